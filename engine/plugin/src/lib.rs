//! The host of plugins: WebAssembly components that say what TOML cannot, in a sandbox.
//!
//! A plugin is foreign code with foreign output. Its code runs in a fresh instance for every call, with limits on
//! instructions, seconds, memory, stack, calls of the host and sizes of results ([`limits`]); it has no files, no clock
//! and no network. What it returns is checked like a file that somebody sent. Only this crate names wasmtime, and no
//! type of wasmtime is in its interface.

mod api;
mod call;
mod data;
mod family;
mod folder;
mod function;
mod host;
pub mod limits;
mod load;
mod options;
pub mod pack;
mod plugin;
mod stage;
mod state;
mod ticker;

pub use data::{Block, Cell, Column, ColumnKind, Document, Grants, Level, Message, Piece, PointState, TableRows};
pub use family::PluginFamily;
pub use function::PluginFunction;
pub use host::Host;
pub use limits::Limits;
pub use options::{OptionError, validate_options};
pub use plugin::Plugin;
pub use stage::{Filter, Formatter, Reducer};
