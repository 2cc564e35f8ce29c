//! Everything that can go wrong with a spill file.

use std::io;
use std::path::PathBuf;

/// Why activations could not be put on disk or brought back.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The folder takes no such file.
    #[error("cannot create a file for activations in `{}`: {source}. Choose another folder", .folder.display())]
    Create {
        /// The folder.
        folder: PathBuf,
        /// The reason the system gives.
        source: io::Error,
    },
    /// The drive has not enough room.
    #[error(
        "activations need {wanted} bytes in `{}`, where {free} bytes are free. Free some, choose a folder on another \
         drive, or keep activations in memory", .folder.display()
    )]
    Full {
        /// The folder.
        folder: PathBuf,
        /// Bytes wanted.
        wanted: u64,
        /// Bytes free.
        free: u64,
    },
    /// The system could not write or read.
    #[error("cannot {action} {len} bytes at offset {offset} of `{}`: {source}. Check the drive, then run again", .path.display())]
    Io {
        /// `write` or `read`.
        action: &'static str,
        /// The file, which has no name any more.
        path: PathBuf,
        /// Offset in bytes where it stopped.
        offset: u64,
        /// Bytes that were still to be moved there.
        len: u64,
        /// The reason the system gives.
        source: io::Error,
    },
    /// What was read is not what was written.
    #[error(
        "the {len} bytes at offset {offset} of `{}` are not those that were written there: the drive or the memory \
         is faulty. Check both, or choose a folder on another drive, then run again", .path.display()
    )]
    Corrupt {
        /// The file, which has no name any more.
        path: PathBuf,
        /// Offset in bytes of the block whose checksum is wrong.
        offset: u64,
        /// Length of that block in bytes.
        len: u64,
    },
    /// More bytes than the slot has.
    #[error("{len} bytes do not fit in slot {slot}, which has {capacity}")]
    TooLong {
        /// The slot, 0-based.
        slot: usize,
        /// Bytes to be written.
        len: u64,
        /// Bytes the slot has.
        capacity: u64,
    },
    /// Nothing was ever written to the slot.
    #[error("slot {slot} was never written")]
    Empty {
        /// The slot, 0-based.
        slot: usize,
    },
    /// The caller holds on to every buffer.
    #[error("all {count} buffers of the spill file are held by who read them; drop some first")]
    BuffersHeld {
        /// How many there are.
        count: usize,
    },
    /// No memory for a buffer.
    #[error(
        "cannot get {len} bytes of memory for activations on their way to disk: {source}. Free memory or lower `engine.memory`"
    )]
    NoMemory {
        /// Bytes asked for.
        len: usize,
        /// The reason the system gives.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread to write activations: {source}")]
    Thread {
        /// The reason the system gives.
        source: io::Error,
    },
    /// An error that was told before made the file useless.
    #[error("the spill file failed earlier")]
    Earlier,
}
