//! Files that are edited while the program runs.

mod dev;
mod edits;
mod run_watch;
mod talk;
