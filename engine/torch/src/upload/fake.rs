//! A device of threads: two queues that run beside each other and beside the host, events with the meaning they
//! have on a CUDA device, and a watch on who touches which slot.

use super::Copier;
use crate::Tensor;
use crate::device::DeviceError;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longer than any test takes; who waits this long will wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mark in a queue. Waiting concerns the mark made last before, as on a CUDA device; none has passed.
#[derive(Default)]
struct Event {
    /// Marks made and marks passed.
    state: Mutex<(u64, u64)>,
    passed: Condvar,
}

impl Event {
    fn made(&self) -> u64 {
        self.state.lock().unwrap().0
    }

    fn pass(&self, mark: u64) {
        let mut state = self.state.lock().unwrap();
        state.1 = state.1.max(mark);
        self.passed.notify_all();
    }

    fn wait(&self, mark: u64) {
        let state = self.state.lock().unwrap();
        let waited = self.passed.wait_timeout_while(state, PATIENCE, |s| s.1 < mark).unwrap();
        assert!(!waited.1.timed_out(), "an event never happened");
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// A queue of work and the thread that does it.
struct Queue(Sender<Work>);

impl Queue {
    fn start() -> Queue {
        let (sender, work) = channel::<Work>();
        std::thread::spawn(move || work.into_iter().for_each(|work| work()));
        Queue(sender)
    }

    fn push(&self, work: impl FnOnce() + Send + 'static) {
        self.0.send(Box::new(work)).unwrap();
    }

    fn wait_for(&self, event: &Arc<Event>) {
        let (event, mark) = (event.clone(), event.made());
        self.push(move || event.wait(mark));
    }

    fn record(&self, event: &Arc<Event>) {
        let mark = {
            let mut state = event.state.lock().unwrap();
            state.0 += 1;
            state.0
        };
        let event = event.clone();
        self.push(move || event.pass(mark));
    }
}

/// Who is at a slot now.
#[derive(Clone, Copy, Default)]
struct Busy {
    copies: u32,
    readers: u32,
}

/// What happened, in order.
#[derive(Default)]
pub(super) struct Diary {
    entries: Mutex<(Vec<String>, Vec<Busy>)>,
    changed: Condvar,
}

impl Diary {
    fn note(&self, entry: String, slot: usize, change: impl FnOnce(&mut Busy)) {
        let (entries, busy) = &mut *self.entries.lock().unwrap();
        entries.push(entry.clone());
        change(&mut busy[slot]);
        if busy[slot].copies > 0 && busy[slot].readers > 0 {
            entries.push(format!("CLASH at {entry}"));
        }
        self.changed.notify_all();
    }

    /// Waits for an entry.
    pub(super) fn wait(&self, entry: &str) {
        let held = self.entries.lock().unwrap();
        let missing = |held: &mut (Vec<String>, Vec<Busy>)| !held.0.iter().any(|e| e == entry);
        let (held, timeout) = self.changed.wait_timeout_while(held, PATIENCE, missing).unwrap();
        assert!(!timeout.timed_out(), "`{entry}` never came: {:?}", held.0);
    }

    pub(super) fn entries(&self) -> Vec<String> {
        self.entries.lock().unwrap().0.clone()
    }

    /// The place of an entry.
    #[track_caller]
    pub(super) fn place(&self, entry: &str) -> usize {
        let entries = self.entries();
        let found = entries.iter().position(|e| e == entry);
        found.unwrap_or_else(|| panic!("no `{entry}` in {entries:?}"))
    }
}

/// The device.
pub(super) struct FakeCopier {
    copying: Queue,
    computing: Queue,
    copied: Vec<Arc<Event>>,
    computed: Vec<Arc<Event>>,
    addresses: Vec<usize>,
    counts: Mutex<Vec<u32>>,
    pub(super) diary: Arc<Diary>,
    /// Copies of slots in this list fail, or fail while they are waited for.
    pub(super) failing: Mutex<Vec<(usize, &'static str)>>,
    pub(super) locked: Mutex<Vec<usize>>,
}

impl FakeCopier {
    pub(super) fn new(memory: &[Tensor]) -> FakeCopier {
        let events = || memory.iter().map(|_| Arc::new(Event::default())).collect();
        let diary = Arc::new(Diary::default());
        diary.entries.lock().unwrap().1 = vec![Busy::default(); memory.len()];
        FakeCopier {
            copying: Queue::start(),
            computing: Queue::start(),
            copied: events(),
            computed: events(),
            addresses: memory.iter().map(|m| m.raw().data_ptr() as usize).collect(),
            counts: Mutex::new(vec![0; memory.len()]),
            diary,
            failing: Mutex::default(),
            locked: Mutex::default(),
        }
    }

    /// Puts a kernel into the computing queue that reads `tensor`, which lies in a slot: the bytes must be
    /// `expected` before and after `work`. The tensor itself is given up at once, as by a caller who has launched.
    pub(super) fn launch(&self, name: &str, tensor: &Tensor, expected: Vec<f32>, work: impl FnOnce() + Send + 'static) {
        let at = tensor.raw().data_ptr() as usize;
        // the allocator puts slots in any order
        let below = |slot: &usize| self.addresses[*slot] <= at;
        let slots = (0..self.addresses.len()).filter(below);
        let room = slots.max_by_key(|slot| self.addresses[*slot]).expect("a slot");
        let (raw, diary, name) = (tensor.raw().shallow_clone(), self.diary.clone(), name.to_owned());
        let read = move || crate::testing::floats(&raw);
        self.computing.push(move || {
            diary.note(format!("{name} begins"), room, |busy| busy.readers += 1);
            let right = read() == expected;
            work();
            let entry = if right && read() == expected {
                "ends"
            } else {
                "READ OTHER BYTES"
            };
            diary.note(format!("{name} {entry}"), room, |busy| busy.readers -= 1);
        });
    }

    /// Waits until all that is computed is done.
    pub(super) fn finish(&self) {
        let event = Arc::new(Event::default());
        self.computing.record(&event);
        event.wait(1);
    }

    fn fails(&self, slot: usize, when: &'static str) -> Result<(), DeviceError> {
        match self.failing.lock().unwrap().contains(&(slot, when)) {
            true => Err(DeviceError::Unit(format!("the cable was pulled at {when}"))),
            false => Ok(()),
        }
    }
}

impl Copier for FakeCopier {
    fn copy(&self, slot: usize, parts: &[(usize, &[u8])]) -> Result<(), DeviceError> {
        self.fails(slot, "copy")?;
        let number = {
            let counts = &mut self.counts.lock().unwrap();
            counts[slot] += 1;
            counts[slot]
        };
        let name = format!("copy {number} to slot {slot}");
        self.copying.wait_for(&self.computed[slot]);
        let (diary, begins) = (self.diary.clone(), format!("{name} begins"));
        self.copying
            .push(move || diary.note(begins, slot, |busy| busy.copies += 1));
        for (offset, bytes) in parts {
            let (from, to, len) = (bytes.as_ptr() as usize, self.addresses[slot] + offset, bytes.len());
            self.copying.push(move || {
                // SAFETY: the caller keeps the bytes until `wait`; the slot is as long as the uploader checks,
                // and lives until the test ends.
                #[allow(unsafe_code)]
                unsafe {
                    std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, len);
                }
            });
        }
        let diary = self.diary.clone();
        self.copying
            .push(move || diary.note(format!("{name} ends"), slot, |busy| busy.copies -= 1));
        self.copying.record(&self.copied[slot]);
        Ok(())
    }

    fn wait(&self, slot: usize) -> Result<(), DeviceError> {
        self.copied[slot].wait(self.copied[slot].made());
        self.fails(slot, "wait")
    }

    fn before_compute(&self, slot: usize) -> Result<(), DeviceError> {
        assert!(
            self.copied[slot].made() > 0,
            "waits for a copy that is not in the queue"
        );
        self.computing.wait_for(&self.copied[slot]);
        Ok(())
    }

    fn after_compute(&self, slot: usize) -> Result<(), DeviceError> {
        self.computing.record(&self.computed[slot]);
        Ok(())
    }

    fn lock(&self, start: usize, _len: usize) -> Result<(), DeviceError> {
        self.locked.lock().unwrap().push(start);
        Ok(())
    }

    fn unlock(&self, start: usize) {
        self.locked.lock().unwrap().retain(|at| *at != start);
    }
}
