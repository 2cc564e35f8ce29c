//! What a spill file, its threads and its buffers have in common.

use super::error::SpillError;
use crate::io::Handles;
use crate::mapping::Mapping;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a spill file did so far, and where time went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpillStats {
    /// Bytes of records written to the file.
    pub bytes_written: u64,
    /// Bytes of records read from it.
    pub bytes_read: u64,
    /// Seconds in which at least one record was being written.
    pub write_seconds: f64,
    /// Seconds in which at least one record was being read.
    pub read_seconds: f64,
    /// Seconds the caller waited: for a free buffer, for a record, for the end of writing.
    pub wait_seconds: f64,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Raw {
    /// For messages: it has no name any more.
    pub(super) path: PathBuf,
    pub(super) files: Vec<OwnedFd>,
    pub(super) handles: Handles,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) raw: Raw,
    pub(super) state: Mutex<State>,
    /// Something in `state` is different.
    pub(super) changed: Condvar,
    /// The file is being dropped: what waits to be written need not be.
    pub(super) abandoned: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Buffers that nobody uses.
    pub(super) free: Vec<Mapping>,
    pub(super) writes: Gauge,
    pub(super) reads: Gauge,
    pub(super) wait_seconds: f64,
    /// The first error of a write, until it is told.
    pub(super) failure: Option<SpillError>,
    /// There was one.
    pub(super) failed: bool,
}

/// Transfers in one direction.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Under way now.
    pub(super) running: usize,
    since: Option<Instant>,
    seconds: f64,
    pub(super) bytes: u64,
}

impl Gauge {
    pub(super) fn begin(&mut self) {
        self.running += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn end(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.running -= 1;
        if self.running == 0 {
            self.seconds = self.seconds();
            self.since = None;
        }
    }

    fn seconds(&self) -> f64 {
        self.seconds + self.since.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }
}

impl Shared {
    /// A panic elsewhere leaves the state whole; it is only changed in single steps.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` finds what it looks for, and counts the time as waiting.
    pub(super) fn wait_for<T>(&self, mut done: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        if let Some(found) = done(&mut state) {
            return found;
        }
        let start = Instant::now();
        loop {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = done(&mut state) {
                state.wait_seconds += start.elapsed().as_secs_f64();
                return found;
            }
        }
    }

    pub(super) fn give_back(&self, buffer: Mapping) {
        self.lock().free.push(buffer);
        self.changed.notify_all();
    }
}

impl State {
    pub(super) fn stats(&self) -> SpillStats {
        SpillStats {
            bytes_written: self.writes.bytes,
            bytes_read: self.reads.bytes,
            write_seconds: self.writes.seconds(),
            read_seconds: self.reads.seconds(),
            wait_seconds: self.wait_seconds,
        }
    }

    /// The error of an earlier write: in full the first time.
    pub(super) fn check(&mut self) -> Result<(), SpillError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None if self.failed => Err(SpillError::Earlier),
            None => Ok(()),
        }
    }
}
