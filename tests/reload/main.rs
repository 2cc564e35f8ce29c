//! Files that are edited while the program runs. `--nocapture` shows how long an edit took to be live.
#![allow(clippy::print_stdout)]

mod dev;
mod edits;
mod plugins;
mod run_watch;
mod talk;
