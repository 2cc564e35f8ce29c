//! wip
pub mod data;
mod error;
pub mod memory;
mod observer;
pub mod plan { #[derive(Debug)] pub struct Plan; }
mod points;
pub mod rundir;
mod units;
mod write;
pub use error::{ErrorKind, Result, RunError};
pub use observer::{Event, Observer, Silent};
