//! Ctrl-C and termination: a flag that every loop looks at, so that nothing is left half done.

use std::{
    process::{Child, ExitStatus},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::failure::Failure;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// How often a waiting loop looks around.
const TICK: Duration = Duration::from_millis(50);

/// Starts to listen to the signals INT, TERM and HUP.
pub(crate) fn listen() -> Result<(), Failure> {
    ctrlc::set_handler(|| REQUESTED.store(true, Ordering::SeqCst)).map_err(|error| Failure::Io {
        action: "listen to",
        path: "SIGINT".into(),
        source: std::io::Error::other(error),
    })
}

/// Fails once a stop has been asked for.
pub(crate) fn check() -> Result<(), Failure> {
    if REQUESTED.load(Ordering::SeqCst) {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// Waits for `child`, calling `each` in between; stops the child when a stop has been asked for.
pub(crate) fn wait(child: &mut Child, mut each: impl FnMut()) -> Result<ExitStatus, Failure> {
    let io = |source| Failure::Io {
        action: "wait for",
        path: "a child process".into(),
        source,
    };
    loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            // A child that the same Ctrl-C ended is not a failure of its own.
            check()?;
            return Ok(status);
        }
        if let Err(stop) = check() {
            // Both may fail only when the child is gone already, which is what we want.
            let _ = child.kill();
            let _ = child.wait();
            return Err(stop);
        }
        each();
        thread::sleep(TICK);
    }
}
