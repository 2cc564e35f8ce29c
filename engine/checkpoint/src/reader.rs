//! Weights in order, ahead of who needs them.

use crate::arena::ArenaPool;
use crate::files::OpenFiles;
use crate::read_error::ReadError;
use crate::unit::{LoadedUnit, PlannedUnit, ReadOptions, acquire, fill};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// What a reader did so far, and where time went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadStats {
    /// Units read to the end.
    pub units: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Seconds the reader spent reading.
    pub read_seconds: f64,
    /// Seconds the reader waited for a free arena: the consumer was slower than the disk.
    pub arena_wait_seconds: f64,
    /// Seconds the consumer waited in `next`: the disk was slower than the consumer.
    pub consumer_wait_seconds: f64,
}

/// A thread that reads units in a given order, each into an arena of the pool, as far ahead of its consumer as the
/// pool has arenas. An iterator: it ends after the last unit, or after the first error.
///
/// With a pool of one arena nothing is read ahead, and the consumer must drop a unit before it asks for the next;
/// generally, who holds all of the pool's arenas and calls `next` waits until someone else lets go of one.
///
/// Dropping the reader stops its thread after the block it is at, and waits for that.
#[derive(Debug)]
pub struct LayerReader {
    /// `None` only while dropping.
    loaded: Option<Receiver<Result<Arc<LoadedUnit>, ReadError>>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<Stop>,
    stats: Arc<Mutex<ReadStats>>,
    pool: Arc<ArenaPool>,
}

/// The two reasons to stop early.
#[derive(Debug)]
struct Stop {
    /// The reader is being dropped.
    dropped: AtomicBool,
    /// The run is being cancelled.
    cancelled: Arc<AtomicBool>,
}

impl Stop {
    fn is_set(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) || self.cancelled.load(Ordering::Relaxed)
    }
}

impl LayerReader {
    /// Starts reading. `order` gives indices into `units`, for several sweeps one after the other, so that the first
    /// layers of the next sweep are read while the last ones of this compute; it is asked on the reader's thread, and
    /// may be endless. `cancel` ends the reading from outside, between two blocks.
    ///
    /// # Errors
    /// [`ReadError::UnitTooLarge`] if some unit fits in no arena, so that this is known before anything is read;
    /// [`ReadError::Thread`].
    pub fn start<O>(
        files: Arc<OpenFiles>,
        units: Arc<[PlannedUnit]>,
        order: O,
        pool: Arc<ArenaPool>,
        options: ReadOptions,
        cancel: Arc<AtomicBool>,
    ) -> Result<LayerReader, ReadError>
    where
        O: IntoIterator<Item = usize>,
        O::IntoIter: Send + 'static,
    {
        let allowed = pool.largest();
        if let Some(unit) = units.iter().find(|unit| unit.plan.arena_len > allowed) {
            let (unit, needed) = (unit.name.clone(), unit.plan.arena_len);
            return Err(ReadError::UnitTooLarge { unit, needed, allowed });
        }
        let stop = Arc::new(Stop {
            dropped: AtomicBool::new(false),
            cancelled: cancel,
        });
        let stats = Arc::new(Mutex::default());
        let (sender, loaded) = unbounded();
        let worker = Worker {
            files,
            units,
            pool: Arc::clone(&pool),
            options,
            stop: Arc::clone(&stop),
            stats: Arc::clone(&stats),
        };
        let order = order.into_iter();
        let thread = std::thread::Builder::new()
            .name("sli-reader".into())
            .spawn(move || worker.run(order, &sender))
            .map_err(|error| ReadError::Thread {
                reason: error.to_string(),
            })?;
        Ok(LayerReader {
            loaded: Some(loaded),
            thread: Some(thread),
            stop,
            stats,
            pool,
        })
    }

    /// What was read so far, and where time went.
    pub fn stats(&self) -> ReadStats {
        *lock(&self.stats)
    }
}

impl Iterator for LayerReader {
    type Item = Result<Arc<LoadedUnit>, ReadError>;

    /// The next unit in order, waiting until it is read.
    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let received = self.loaded.as_ref()?.recv();
        lock(&self.stats).consumer_wait_seconds += start.elapsed().as_secs_f64();
        received.ok().or_else(|| {
            // The thread ended; a panic in it (in the caller's `order`) must not look like the end of the order.
            let reason = "it panicked".to_owned();
            self.thread
                .take()?
                .join()
                .is_err()
                .then_some(Err(ReadError::Thread { reason }))
        })
    }
}

impl Drop for LayerReader {
    fn drop(&mut self) {
        self.stop.dropped.store(true, Ordering::Relaxed);
        // Units that were read ahead go back to the pool with the channel.
        self.loaded = None;
        self.pool.wake();
        if let Some(thread) = self.thread.take() {
            // A panic has been told by `next`, or nobody wants to know any more.
            let _ = thread.join();
        }
    }
}

/// What the reader's thread owns.
struct Worker {
    files: Arc<OpenFiles>,
    units: Arc<[PlannedUnit]>,
    pool: Arc<ArenaPool>,
    options: ReadOptions,
    stop: Arc<Stop>,
    stats: Arc<Mutex<ReadStats>>,
}

impl Worker {
    fn run(self, order: impl Iterator<Item = usize>, sender: &Sender<Result<Arc<LoadedUnit>, ReadError>>) {
        for index in order {
            let result = self.load(index).map(Arc::new);
            let last = result.is_err();
            if sender.send(result).is_err() || last {
                return;
            }
        }
    }

    fn load(&self, index: usize) -> Result<LoadedUnit, ReadError> {
        let cancelled = || self.stop.is_set();
        let start = Instant::now();
        let arena = acquire(&self.units, index, &self.pool, &cancelled);
        lock(&self.stats).arena_wait_seconds += start.elapsed().as_secs_f64();
        let unit = fill(&self.files, &self.units, index, arena?, self.options, &cancelled)?;
        let mut stats = lock(&self.stats);
        stats.units += 1;
        stats.bytes += unit.bytes();
        stats.read_seconds += unit.read_seconds();
        tracing::trace!(
            unit = unit.name(),
            bytes = unit.bytes(),
            seconds = unit.read_seconds(),
            "read"
        );
        Ok(unit)
    }
}

fn lock(stats: &Mutex<ReadStats>) -> MutexGuard<'_, ReadStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}
