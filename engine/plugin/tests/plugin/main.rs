//! Good plugins, and every kind of bad one: each ends in a diagnostic, in bounded time and memory.

mod family;
mod folder;
mod fuzz;
mod limits;
mod load;
mod op;
mod results;
mod stage;
mod support;
