//! Shim.
use crate::arena::ArenaPool;
use crate::files::OpenFiles;
use crate::read_error::ReadError;
use crate::reader::ReadStats;
use crate::unit::{LoadedUnit, PlannedUnit, ReadOptions};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Answer = Result<Arc<LoadedUnit>, ReadError>;
/// Shim.
#[derive(Debug)]
pub struct Loader {
    sender: Option<Sender<(Arc<PlannedUnit>, Sender<Answer>)>>,
    thread: Option<std::thread::JoinHandle<()>>,
    stats: Arc<Mutex<ReadStats>>,
    stop: Arc<AtomicBool>,
    pool: Arc<ArenaPool>,
}
/// Shim.
#[derive(Debug)]
pub struct Pending(Receiver<Answer>);
impl Pending {
    /// Shim.
    pub fn wait(self) -> Answer {
        self.0.recv().unwrap_or(Err(ReadError::Cancelled))
    }
}
impl Loader {
    /// Shim.
    pub fn start(files: Arc<OpenFiles>, pool: Arc<ArenaPool>, options: ReadOptions, cancel: Arc<AtomicBool>) -> Result<Loader, ReadError> {
        let (sender, requests) = unbounded::<(Arc<PlannedUnit>, Sender<Answer>)>();
        let stats = Arc::new(Mutex::new(ReadStats::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (s, st, p) = (Arc::clone(&stats), Arc::clone(&stop), Arc::clone(&pool));
        let thread = std::thread::spawn(move || {
            for (unit, answer) in requests {
                let units: Arc<[PlannedUnit]> = Arc::from([(*unit).clone()]);
                let cancelled = || st.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed);
                let made = LoadedUnit::load(&files, &units, 0, &p, options, &cancelled).map(Arc::new);
                if let (Ok(unit), Ok(mut stats)) = (&made, s.lock()) {
                    stats.units += 1;
                    stats.bytes += unit.bytes();
                    stats.read_seconds += unit.read_seconds();
                }
                let failed = made.is_err();
                let _ = answer.send(made);
                if failed { return; }
            }
        });
        Ok(Loader { sender: Some(sender), thread: Some(thread), stats, stop, pool })
    }
    /// Shim.
    pub fn request(&self, unit: Arc<PlannedUnit>) -> Result<Pending, ReadError> {
        let (a, b) = bounded(1);
        if let Some(sender) = &self.sender { let _ = sender.send((unit, a)); }
        Ok(Pending(b))
    }
    /// Shim.
    pub fn stats(&self) -> ReadStats { *self.stats.lock().unwrap() }
}
impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sender = None;
        self.pool.wake();
        if let Some(thread) = self.thread.take() { let _ = thread.join(); }
    }
}

/// Shim.
#[derive(Debug)]
pub struct SpillFile;
impl SpillFile {
    /// Shim.
    pub fn memory(slots: &[u64]) -> u64 { 4 * slots.iter().copied().max().unwrap_or(0) }
}
