//! The crate from outside, on small model folders.

mod loader;
mod open;
mod support;
