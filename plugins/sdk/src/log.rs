//! Messages for the user. They appear if the plugin's manifest asks for `log` and the user grants it.

#[cfg(all(target_arch = "wasm32", feature = "family"))]
use crate::family::bindings::sli_pipe::plugin::log as host;
#[cfg(all(target_arch = "wasm32", feature = "filter", not(feature = "family")))]
use crate::filter::bindings::sli_pipe::plugin::log as host;
#[cfg(all(
    target_arch = "wasm32",
    feature = "formatter",
    not(any(feature = "family", feature = "filter"))
))]
use crate::formatter::bindings::sli_pipe::plugin::log as host;
#[cfg(all(
    target_arch = "wasm32",
    feature = "op",
    not(any(feature = "family", feature = "filter", feature = "formatter"))
))]
use crate::op::bindings::sli_pipe::plugin::log as host;
#[cfg(all(
    target_arch = "wasm32",
    feature = "reducer",
    not(any(feature = "family", feature = "filter", feature = "formatter", feature = "op"))
))]
use crate::reducer::bindings::sli_pipe::plugin::log as host;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For whoever writes the plugin.
    Debug,
    /// For whoever runs it.
    Info,
    /// Something that the user should look at.
    Warning,
}

/// Writes one message. Its length and the number of messages are limited by the program. Outside the sandbox (native
/// tests) it goes nowhere.
pub fn write(level: Level, message: &str) {
    #[cfg(all(
        target_arch = "wasm32",
        any(
            feature = "family",
            feature = "op",
            feature = "filter",
            feature = "reducer",
            feature = "formatter"
        )
    ))]
    host::write(
        match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warning => host::Level::Warning,
        },
        message,
    );
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, message);
}

/// Writes a message for whoever writes the plugin.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Writes a message for whoever runs the plugin.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes a message that the user should look at.
pub fn warning(message: &str) {
    write(Level::Warning, message);
}

/// Lets a panic say its message before it ends the call.
#[cfg(any(
    feature = "family",
    feature = "op",
    feature = "filter",
    feature = "reducer",
    feature = "formatter"
))]
pub(crate) fn panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| warning(&panic.to_string())));
}
