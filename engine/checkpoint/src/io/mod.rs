//! Moving blocks between files and memory, many at a time. Two backends: io_uring, and threads with `pread`.

// A backend is handed memory that others own, by address; see `Op::new`.
#![allow(unsafe_code)]

mod blocking;
mod crew;
mod piece;
mod registered;
mod threads;
mod uring;

pub(crate) use blocking::{Stopped, read_piece, write_piece};
pub(crate) use crew::Crew;
pub(crate) use piece::{Handles, InFlight, Piece, Step};

use crate::arena::Arena;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How blocks are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// io_uring: one thread hands the kernel many requests with few system calls. Where the kernel refuses it, threads
    /// are used instead.
    #[default]
    Uring,
    /// Threads that each wait for one `pread` or `pwrite`.
    Threads,
}

impl std::fmt::Display for BackendKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BackendKind::Uring => "io_uring",
            BackendKind::Threads => "pread",
        })
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Op {
    /// Given back with the result.
    id: usize,
    direction: Direction,
    /// Index into the backend's files.
    fd: usize,
    offset: u64,
    start: *mut u8,
    len: usize,
}

// SAFETY: `start` is only an address; who made the `Op` vouches for the memory (see `Op::new`).
unsafe impl Send for Op {}

impl Op {
    /// A request to move `len` bytes between file number `fd` at `offset` and the memory at `start`.
    ///
    /// # Safety
    /// Once pushed to a backend, and until the backend has given back its [`Done`] or has been dropped, the memory must
    /// stay valid, must be read by nobody if the direction is `Read`, and written by nobody.
    pub(crate) unsafe fn new(
        id: usize,
        direction: Direction,
        fd: usize,
        offset: u64,
        start: *mut u8,
        len: usize,
    ) -> Op {
        Op {
            id,
            direction,
            fd,
            offset,
            start,
            len,
        }
    }
}

/// The end of one request: bytes moved, or the system's error.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) id: usize,
    pub(crate) result: io::Result<usize>,
}

/// Ends a backend's wait from another thread.
#[derive(Debug)]
pub(crate) enum Waker {
    Event(OwnedFd),
    Channel(crossbeam_channel::Sender<threads::Event>),
}

impl Waker {
    pub(crate) fn wake(&self) {
        match self {
            // It can only fail when it is full, and then the sleeper is awake.
            Waker::Event(event) => drop(rustix::io::write(event, &1_u64.to_ne_bytes())),
            // It can only fail when nobody sleeps any more.
            Waker::Channel(channel) => drop(channel.send(threads::Event::Wake)),
        }
    }
}

/// Requests in flight. Used by one thread. Dropping it waits for all of them.
#[derive(Debug)]
pub(crate) enum Backend {
    Uring(Box<uring::Uring>),
    Threads(threads::Threads),
}

impl Backend {
    /// A backend for `files` with up to `depth` requests in flight, of the `kind` wanted or, where the kernel refuses
    /// io_uring, of the other. To be called by the thread that will use it.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(kind: BackendKind, files: Arc<[OwnedFd]>, depth: usize) -> io::Result<Backend> {
        if kind == BackendKind::Uring {
            match uring::Uring::start(Arc::clone(&files), depth) {
                Ok(uring) => return Ok(Backend::Uring(Box::new(uring))),
                Err(error) => tracing::debug!(%error, "io_uring is refused, reading with threads"),
            }
        }
        threads::Threads::start(files, depth).map(Backend::Threads)
    }

    /// What was chosen.
    pub(crate) fn kind(&self) -> BackendKind {
        match self {
            Backend::Uring(_) => BackendKind::Uring,
            Backend::Threads(_) => BackendKind::Threads,
        }
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        match self {
            Backend::Uring(uring) => uring.waker(),
            Backend::Threads(threads) => threads.waker(),
        }
    }

    /// Says that requests into `arena` follow, and that it is a good time to let go of memory that is no more.
    pub(crate) fn prepare(&mut self, arena: Option<&mut Arena>) {
        if let Backend::Uring(uring) = self {
            uring.prepare(arena.and_then(Arena::mapping));
        }
    }

    /// Starts a request. No more than `depth` may be in flight.
    pub(crate) fn push(&mut self, op: Op) {
        match self {
            Backend::Uring(uring) => uring.push(&op),
            Backend::Threads(threads) => threads.push(op),
        }
    }

    /// Waits until a request ends, the waker is used, or `timeout` is over (without one: until one of the others), and
    /// appends what has ended to `done`.
    ///
    /// # Errors
    /// If the kernel refuses to wait; requests may be in flight all the same.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Done>) -> io::Result<()> {
        match self {
            Backend::Uring(uring) => uring.wait(timeout, done),
            Backend::Threads(threads) => {
                threads.wait(timeout, done);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
