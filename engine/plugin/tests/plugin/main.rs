//! Good plugins, and every kind of bad one: each ends in a diagnostic, in bounded time and memory.

mod family;
mod support;
