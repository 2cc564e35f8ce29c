//! Files that change while a program runs.
//!
//! A [`Watcher`] says which files changed, judging by what they hold: events of the system only say when to look. A
//! [`Live`] state keeps the last good one while an edit is broken, and says each problem once.

mod files;
mod live;
mod names;
mod watcher;

pub use files::{Change, FileChange, How};
pub use live::{Live, Offered, Snapshot};
pub use watcher::{Options, Target, Watcher};
