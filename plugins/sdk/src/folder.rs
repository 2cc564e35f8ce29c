//! The one folder of the user's that a stage may read: if its manifest asks for `folder` and the user names one.

#[cfg(all(target_arch = "wasm32", feature = "filter"))]
use crate::filter::bindings::sli_pipe::plugin::folder as host;
#[cfg(all(target_arch = "wasm32", feature = "formatter", not(feature = "filter")))]
use crate::formatter::bindings::sli_pipe::plugin::folder as host;
#[cfg(all(
    target_arch = "wasm32",
    feature = "reducer",
    not(any(feature = "filter", feature = "formatter"))
))]
use crate::reducer::bindings::sli_pipe::plugin::folder as host;

/// Names of the files in the folder, sorted. Folders below are not shown.
///
/// # Errors
/// Why there is no folder to read.
pub fn names() -> Result<Vec<String>, String> {
    #[cfg(target_arch = "wasm32")]
    return host::names();
    #[cfg(not(target_arch = "wasm32"))]
    Err("outside the sandbox there is no folder".to_owned())
}

/// The bytes of a file, by its name.
///
/// # Errors
/// Why the file cannot be read.
pub fn read(name: &str) -> Result<Vec<u8>, String> {
    #[cfg(target_arch = "wasm32")]
    return host::read(name);
    #[cfg(not(target_arch = "wasm32"))]
    Err(format!("outside the sandbox there is no folder with `{name}`"))
}
