//! The thread that puts copies into the queue and waits for them.

use super::Copier;
use crate::Bytes;
use crate::device::DeviceError;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// One unit to be copied.
pub(super) struct Job {
    slot: usize,
    bytes: Bytes,
    ranges: Vec<Range<usize>>,
    ticket: Arc<Ticket>,
}

impl Job {
    pub(super) fn new(slot: usize, bytes: Bytes, ranges: &[Range<usize>]) -> Job {
        Job {
            slot,
            bytes,
            ranges: ranges.to_vec(),
            ticket: Arc::new(Ticket::default()),
        }
    }

    /// Queues the copy, tells who asked for it, and waits for its end.
    fn run(&self, copier: &dyn Copier) {
        let bytes = (*self.bytes).as_ref();
        let parts: Vec<(usize, &[u8])> = (self.ranges.iter())
            .map(|range| (range.start, &bytes[range.clone()]))
            .collect();
        let queued = copier.copy(self.slot, &parts);
        let waits = queued.is_ok();
        self.ticket.set(queued);
        if waits && let Err(error) = copier.wait(self.slot) {
            self.ticket.set(Err(error));
        }
    }
}

/// What became of a job.
#[derive(Default)]
pub(super) struct Ticket {
    /// `None` until the copy is queued.
    state: Mutex<Option<Result<(), DeviceError>>>,
    changed: Condvar,
}

impl Ticket {
    fn set(&self, state: Result<(), DeviceError>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        self.changed.notify_all();
    }

    /// Waits until the copy is in the queue: before, there is no event to wait for.
    pub(super) fn queued(&self) -> Result<(), DeviceError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(state, |state| state.is_none());
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        state.clone().unwrap_or(Ok(()))
    }
}

/// The thread.
pub(super) struct Worker {
    /// `None` only while dropping.
    jobs: Option<Sender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(copier: Arc<dyn Copier>) -> Result<Worker, DeviceError> {
        let (jobs, queue) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("upload".into())
            .spawn(move || work(&queue, &*copier, &stopped))
            .map_err(|error| DeviceError::Unit(format!("the upload thread cannot be started: {error}")))?;
        Ok(Worker {
            jobs: Some(jobs),
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn send(&self, job: Job) -> Arc<Ticket> {
        let ticket = job.ticket.clone();
        let sent = match &self.jobs {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if !sent {
            ticket.set(Err(gone()));
        }
        ticket
    }
}

fn work(queue: &Receiver<Job>, copier: &dyn Copier, stop: &AtomicBool) {
    // one after the other, like the copies themselves: a unit takes milliseconds, the step to the next
    // microseconds
    for job in queue {
        if stop.load(Ordering::Relaxed) {
            job.ticket.set(Err(gone()));
        } else {
            job.run(copier);
        }
    }
}

fn gone() -> DeviceError {
    DeviceError::Unit("the upload has ended".into())
}

impl Drop for Worker {
    /// Waits for the copy that is under way; those behind it are not begun.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // a panic there has been printed; its tickets are answered below by nobody, and nobody asks
            let _ = thread.join();
        }
    }
}
