//! Ctrl-C: the first ends the run cleanly, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The flag that Ctrl-C sets; `say` tells what happens next. If the signal cannot be had, Ctrl-C ends the process
/// as ever.
pub(crate) fn flag(say: impl Fn(&str) + Send + 'static) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let handler = move || {
        if set.swap(true, Ordering::SeqCst) {
            exit_now();
        }
        say("stopping after the current batch; press Ctrl-C again to stop at once\n");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::debug!(%error, "no handler for Ctrl-C");
    }
    flag
}

/// Ends the process without waiting for threads that compute: with them still running, the destructors of
/// libtorch's globals would not be safe. What is left behind has temporary names, which the next run clears.
#[allow(unsafe_code)]
fn exit_now() -> ! {
    // SAFETY: `_exit` may be called at any time on any thread; it runs no code of this process.
    unsafe { libc::_exit(1) }
}
