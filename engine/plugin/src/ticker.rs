//! The clock of deadlines: a thread that moves the engine's epoch on while calls run, and sleeps while none does.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// Ticks a second.
pub(crate) const TICKS: u64 = 20;

#[derive(Default)]
struct Shared {
    state: Mutex<Running>,
    wake: Condvar,
}

#[derive(Default)]
struct Running {
    calls: usize,
    started: bool,
    closed: bool,
}

/// The clock of one engine. Its thread is started by the first call and ends with the clock.
pub(crate) struct Ticker {
    engine: EngineWeak,
    shared: Arc<Shared>,
}

/// A call under way.
pub(crate) struct Call<'a>(&'a Shared);

impl Ticker {
    pub(crate) fn new(engine: &Engine) -> Ticker {
        Ticker {
            engine: engine.weak(),
            shared: Arc::default(),
        }
    }

    /// Lets time pass until the result is dropped.
    pub(crate) fn enter(&self) -> std::io::Result<Call<'_>> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.started {
            let (engine, shared) = (self.engine.clone(), Arc::clone(&self.shared));
            std::thread::Builder::new()
                .name("plugin-clock".into())
                .spawn(move || tick(&engine, &shared))?;
            state.started = true;
        }
        state.calls += 1;
        drop(state);
        self.shared.wake.notify_one();
        Ok(Call(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        drop(state);
        self.shared.wake.notify_one();
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calls -= 1;
    }
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    loop {
        let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut Running| state.calls == 0 && !state.closed;
        let state = shared
            .wake
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        drop(state);
        std::thread::sleep(Duration::from_millis(1000 / TICKS));
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}
