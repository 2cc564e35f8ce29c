//! How far a run is: bars on a terminal, plain lines elsewhere.

mod bars;
mod lines;
mod state;
#[cfg(test)]
pub(crate) mod testing;

use std::io::{self, IsTerminal};
use std::sync::Mutex;

use sli_runtime::{Event, Observer};

use bars::Bars;
use lines::Lines;
use state::State;

/// Shows the events of a run on standard error.
pub(crate) struct Progress {
    inner: Mutex<(State, View)>,
}

/// Where and how.
enum View {
    Bars(Bars),
    Lines(Lines),
}

impl Progress {
    /// Bars if standard error is a terminal; lines if not, or if logs go there too and would tear the bars.
    pub(crate) fn new(logs: bool) -> Progress {
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let view = if io::stderr().is_terminal() && !dumb && !logs {
            View::Bars(Bars::new())
        } else {
            View::Lines(Lines::new())
        };
        Progress {
            inner: Mutex::new((State::new(), view)),
        }
    }

    /// Says something while the run goes on.
    pub(crate) fn say(&self, text: &str) {
        match self.inner.lock().as_deref_mut() {
            Ok((_, View::Bars(bars))) => bars.beside(|| crate::output::say(text)),
            _ => crate::output::say(text),
        }
    }

    /// Shows diagnostics while the run goes on.
    pub(crate) fn say_diagnostics(&self, diagnostics: &[sli_config::Diagnostic]) {
        match self.inner.lock().as_deref_mut() {
            Ok((_, View::Bars(bars))) => bars.beside(|| crate::output::show(diagnostics)),
            _ => crate::output::show(diagnostics),
        }
    }

    /// Takes bars off the screen, so that what is said next stands below nothing.
    pub(crate) fn end(&self) {
        if let Ok(mut inner) = self.inner.lock()
            && let View::Bars(bars) = &mut inner.1
        {
            bars.clear();
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event<'_>) {
        // A panic elsewhere while the lock was held leaves nothing to show.
        let Ok(mut inner) = self.inner.lock() else { return };
        let (state, view) = &mut *inner;
        if let Event::Warning(diagnostic) = event {
            let warn = || crate::output::show(std::slice::from_ref(*diagnostic));
            match view {
                View::Bars(bars) => bars.beside(warn),
                View::Lines(_) => warn(),
            }
            return;
        }
        state.update(event);
        match view {
            View::Bars(bars) => bars.update(state, event),
            View::Lines(lines) => lines
                .update(state, event)
                .into_iter()
                .for_each(|line| crate::output::say(&(line + "\n"))),
        }
    }
}
