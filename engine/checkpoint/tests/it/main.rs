//! The crate from outside, on small model folders.

mod open;
mod reader;
mod support;
