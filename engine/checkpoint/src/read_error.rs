//! Everything that can go wrong while weights are read.

use std::io;
use std::path::PathBuf;

/// Why reading weights stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file of the checkpoint can no longer be opened.
    #[error("cannot open `{}`: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The reason the system gives.
        source: io::Error,
    },
    /// The file has another length than when its header was read.
    #[error(
        "`{}` held {expected} bytes when its header was read and holds {found} now: the file changed or was truncated \
         while reading. Restore it and run again", .path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Length when the checkpoint was opened, in bytes.
        expected: u64,
        /// Length now.
        found: u64,
    },
    /// The system could not read.
    #[error("cannot read {len} bytes at offset {offset} of `{}`: {source}. Check the drive and the file, then run again", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Absolute offset in bytes where the failed read began.
        offset: u64,
        /// Bytes that were still wanted there.
        len: u64,
        /// The reason the system gives.
        source: io::Error,
    },
    /// The file ended early though its length looks unchanged.
    #[error("`{}` ends at offset {offset}, {len} bytes early: the file changed or was truncated while reading. Restore it and run again", .path.display())]
    UnexpectedEnd {
        /// The file.
        path: PathBuf,
        /// Offset where no more bytes came.
        offset: u64,
        /// Bytes that were still wanted there.
        len: u64,
    },
    /// A unit fits in no arena of the pool.
    #[error("`{unit}` needs an arena of {needed} bytes and the arenas may have {allowed}. Raise `engine.memory`")]
    UnitTooLarge {
        /// Name of the unit.
        unit: String,
        /// Bytes of arena it needs.
        needed: usize,
        /// The most the pool gives to one arena.
        allowed: usize,
    },
    /// No memory for an arena.
    #[error("cannot get {len} bytes of memory to read `{unit}` into: {source}. Free memory or lower `engine.memory`")]
    NoMemory {
        /// Name of the unit.
        unit: String,
        /// Bytes asked for.
        len: usize,
        /// The reason the system gives.
        source: io::Error,
    },
    /// The run was cancelled from outside.
    #[error("reading was cancelled")]
    Cancelled,
    /// The reader's thread could not be started or ended without a word.
    #[error("the reading thread stopped: {reason}")]
    Thread {
        /// What is known about it.
        reason: String,
    },
}
