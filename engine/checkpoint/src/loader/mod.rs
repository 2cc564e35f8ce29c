//! Weights in the order of requests, ahead of who needs them.

mod cut;
mod pending;
mod worker;

pub use pending::Pending;

use crate::arena::ArenaPool;
use crate::files::OpenFiles;
use crate::io::{Backend, BackendKind, Waker};
use crate::mapping::PAGE;
use crate::read_error::ReadError;
use crate::unit::{LoadedUnit, PlannedUnit};
use pending::Request;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use worker::Worker;

/// How files are read. [`crate::choose`] finds out what suits a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReadOptions {
    /// Who moves the blocks.
    pub backend: BackendKind,
    /// Whether to go around the page cache where the file system allows.
    pub direct: bool,
    /// Bytes of one request at most; taken as whole pages, from one page to 64 MiB.
    pub block_bytes: usize,
    /// Requests in flight at most, from 1 to 256; with [`BackendKind::Threads`] the number of threads.
    pub depth: usize,
}

/// io_uring around the page cache, 16 requests of 4 MiB: enough for every drive that was tried, and little enough that
/// stopping takes a moment only.
impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            backend: BackendKind::Uring,
            direct: true,
            block_bytes: 4 << 20,
            depth: 16,
        }
    }
}

impl ReadOptions {
    /// The nearest options that make sense.
    pub(crate) fn sane(self) -> ReadOptions {
        ReadOptions {
            block_bytes: (self.block_bytes / PAGE * PAGE).clamp(PAGE, 64 << 20),
            depth: self.depth.clamp(1, 256),
            ..self
        }
    }
}

impl std::fmt::Display for ReadOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = if self.direct { "direct" } else { "buffered" };
        write!(
            f,
            "{}, {way}, {} x {} KiB",
            self.backend,
            self.depth,
            self.block_bytes >> 10
        )
    }
}

/// What a loader did so far, and where time went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadStats {
    /// Units read to the end.
    pub units: u64,
    /// Bytes of these units; see [`crate::LoadPlan::bytes`].
    pub bytes: u64,
    /// Seconds in which at least one read was in flight.
    pub read_seconds: f64,
    /// Seconds in which more could have been read but no arena was free: the consumer was slower than the drive.
    pub arena_wait_seconds: f64,
    /// How the files are read; the backend may be another than the one asked for, where the kernel refuses that.
    pub how: ReadOptions,
}

/// Reads units in the order of requests, as far ahead as the pool has arenas. The last blocks of one unit and the
/// first of the next are in flight together, so that the drive never waits between units.
///
/// Who holds all of the pool's memory and waits for one more unit waits until someone lets go of some.
///
/// Dropping the loader stops it after the requests in flight and waits for them.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
    pool: Arc<ArenaPool>,
    thread: Option<JoinHandle<()>>,
}

/// What the loader, its thread and everything pending have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    /// The loader is being dropped.
    closing: AtomicBool,
    /// The first error.
    failure: Mutex<Failure>,
    stats: Mutex<ReadStats>,
}

#[derive(Debug, Default)]
enum Failure {
    #[default]
    None,
    /// Nobody has been told.
    Untold(ReadError),
    Told,
}

#[derive(Debug, Default)]
struct Inbox {
    requests: VecDeque<Request>,
    /// Nobody will look any more.
    closed: bool,
}

impl Loader {
    /// Starts a loader that reads nothing yet. Once `cancel` is true, all that is pending fails with
    /// [`ReadError::Cancelled`] within about 20 ms.
    ///
    /// # Errors
    /// [`ReadError::Thread`].
    pub fn start(
        files: Arc<OpenFiles>,
        pool: Arc<ArenaPool>,
        options: ReadOptions,
        cancel: Arc<AtomicBool>,
    ) -> Result<Loader, ReadError> {
        let options = options.sane();
        let shared = Arc::new(Shared::new(options));
        let (sender, ready) = crossbeam_channel::bounded(1);
        let (inner, arenas) = (Arc::clone(&shared), Arc::clone(&pool));
        let thread = std::thread::Builder::new().name("sli-reader".into()).spawn(move || {
            // A ring wants to be made by the thread that uses it.
            match Backend::start(options.backend, Arc::clone(files.handles()), options.depth) {
                Ok(backend) => {
                    arenas.listen(&backend.waker());
                    let waker = backend.waker();
                    let worker = Worker::new(backend, files, arenas, options, inner, cancel);
                    let _ = sender.send(Ok(waker));
                    worker.run();
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
        let error = |reason: String| ReadError::Thread { reason };
        let thread = thread.map_err(|cause| error(cause.to_string()))?;
        let waker = ready
            .recv()
            .map_err(|_| error("it panicked".to_owned()))?
            .map_err(|cause| error(cause.to_string()))?;
        Ok(Loader {
            shared,
            waker,
            pool,
            thread: Some(thread),
        })
    }

    /// Asks for a unit; never waits. Units get their arenas in the order of requests.
    ///
    /// # Errors
    /// [`ReadError::UnitTooLarge`] if the unit can never fit.
    pub fn request(&self, unit: Arc<PlannedUnit>) -> Result<Pending, ReadError> {
        let (needed, allowed) = (unit.plan.arena_len, self.pool.largest());
        if needed > allowed {
            return Err(ReadError::UnitTooLarge {
                unit: unit.name.clone(),
                needed,
                allowed,
            });
        }
        let (pending, ticket) = pending::pair(&self.shared, &unit.name);
        if unit.plan.ranges.is_empty() {
            ticket.deliver(LoadedUnit::new(unit, None, 0.0));
            return Ok(pending);
        }
        let mut inbox = lock(&self.shared.inbox);
        if !inbox.closed {
            inbox.requests.push_back(Request { unit, ticket });
            drop(inbox);
            self.waker.wake();
        }
        Ok(pending)
    }

    /// What was read so far, and where time went.
    pub fn stats(&self) -> ReadStats {
        *lock(&self.shared.stats)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic has been told to who waited, or nobody wants to know any more.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn new(how: ReadOptions) -> Shared {
        Shared {
            inbox: Mutex::default(),
            closing: AtomicBool::new(false),
            failure: Mutex::default(),
            stats: Mutex::new(ReadStats {
                how,
                ..ReadStats::default()
            }),
        }
    }

    /// Remembers the first error for the first who waits in vain. What goes wrong after that, such as the other blocks
    /// of the same unit, is not told as well.
    fn fail(&self, error: ReadError) {
        let mut failure = lock(&self.failure);
        if matches!(*failure, Failure::None) {
            *failure = Failure::Untold(error);
        }
    }

    /// The error for someone who waits in vain.
    fn tell(&self) -> ReadError {
        let mut failure = lock(&self.failure);
        match std::mem::replace(&mut *failure, Failure::Told) {
            Failure::Untold(error) => error,
            Failure::None | Failure::Told => ReadError::Cancelled,
        }
    }

    /// Takes what was asked for since the last time.
    fn take_requests(&self) -> VecDeque<Request> {
        std::mem::take(&mut lock(&self.inbox).requests)
    }

    /// Ends the taking of requests; whose are left are told by their tickets.
    fn close(&self) {
        let mut inbox = lock(&self.inbox);
        inbox.closed = true;
        let left = std::mem::take(&mut inbox.requests);
        drop(inbox);
        drop(left);
    }
}

/// A panic elsewhere leaves what these locks guard whole; it is only changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
