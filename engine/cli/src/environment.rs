//! Starting anew with the environment that libtorch wants.
//!
//! libtorch and its thread pool read some variables when they are loaded, before `main`: how long idle threads
//! spin, and the size of memory pages. With the defaults a run on a busy machine was 20 times slower. So `run`
//! replaces the process once by itself with these variables set; what the user has set is left alone.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Replaces the process by itself if a variable is missing. Where that is not possible the run goes on as it
/// is, only slower.
pub(crate) fn tune_environment() {
    let missing = sli_runtime::tuned_environment();
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        let error = Command::new(program).args(env::args_os().skip(1)).envs(missing).exec();
        tracing::debug!("running with the default environment: {error}");
    }
}
