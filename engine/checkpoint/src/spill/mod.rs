//! Activations that do not fit in memory: records in one raw file, written behind and read ahead of the computation.

mod create;
mod error;
mod rate;
mod shared;
mod transfer;

pub use error::SpillError;
pub use rate::{known_write_rate, write_rate};
pub use shared::SpillStats;

use crate::io::{Crew, Direction};
use crate::mapping::{Mapping, PAGE};
use shared::Shared;
use std::collections::VecDeque;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use transfer::{BLOCK, Place, Transfer};

/// How a spill file works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpillOptions {
    /// Whether to go around the page cache where the file system allows.
    pub direct: bool,
    /// Threads, each with one request of 4 MiB at a time; at least 1.
    pub threads: usize,
    /// Buffers of the size of the largest slot: for records that are being written, were read ahead, or are held by who
    /// read them. At least 2.
    pub buffers: usize,
    /// More buffers than that if they have fewer bytes together, so that small records keep the drive busy too.
    pub bytes: u64,
}

/// Around the page cache; eight threads; four buffers (one to compute from, two that are read ahead, one being
/// written), or as many as make 96 MiB.
impl Default for SpillOptions {
    fn default() -> Self {
        SpillOptions {
            direct: true,
            threads: 8,
            buffers: 4,
            bytes: 96 << 20,
        }
    }
}

/// A file of slots, each for one record at a time, with a checksum for every MiB.
///
/// The file loses its name as soon as it is open, so that nothing stays behind however the process ends. Its room is
/// taken from the drive at once.
#[derive(Debug)]
pub struct SpillFile {
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    /// Slots that were read ahead and not asked for yet, in that order.
    ahead: VecDeque<usize>,
    /// Bytes of a buffer.
    size: usize,
    /// Buffers that exist.
    buffers: usize,
    /// Buffers there may be.
    most_buffers: usize,
    /// Last: its threads end with it.
    crew: Crew,
}

#[derive(Debug)]
struct Slot {
    place: Place,
    capacity: u64,
    /// Bytes of the record that is in it.
    len: Option<usize>,
    /// What was begun last.
    last: Option<Arc<Transfer>>,
    /// The last one is a read that nobody has asked for yet.
    is_ahead: bool,
}

impl SpillFile {
    /// Creates a file in `folder` with slots of these sizes in bytes, each rounded up to whole pages.
    ///
    /// # Errors
    /// [`SpillError::Full`] with the bytes wanted and free, [`SpillError::Create`], [`SpillError::Thread`].
    pub fn create(folder: &Path, slots: &[u64], options: SpillOptions) -> Result<SpillFile, SpillError> {
        SpillFile::create_with(folder, slots, options, &create::allocate)
    }

    fn create_with(
        folder: &Path,
        slots: &[u64],
        options: SpillOptions,
        allocate: &create::Allocate,
    ) -> Result<SpillFile, SpillError> {
        let total = slots
            .iter()
            .fold(0_u64, |total, slot| total.saturating_add(in_pages(*slot)));
        let (most_buffers, size) = buffers_for(slots, options);
        let raw = create::raw(folder, total, options.direct, allocate)?;
        let mut offset = 0;
        let slots: Vec<Slot> = slots.iter().map(|capacity| Slot::new(*capacity, &mut offset)).collect();
        let crew = Crew::start("sli-spill", options.threads).map_err(|source| SpillError::Thread { source })?;
        Ok(SpillFile {
            shared: Arc::new(Shared::new(raw)),
            size,
            slots,
            ahead: VecDeque::new(),
            buffers: 0,
            most_buffers,
            crew,
        })
    }

    /// Bytes of memory that a file with such slots will use at most.
    pub fn memory(slots: &[u64], options: SpillOptions) -> u64 {
        let (count, size) = buffers_for(slots, options);
        count as u64 * size as u64
    }

    /// Puts a record, given in parts, in a slot. It is copied before this returns and written after; this waits only
    /// while all buffers are busy.
    ///
    /// # Errors
    /// [`SpillError::TooLong`]; [`SpillError::BuffersHeld`], [`SpillError::NoMemory`]; the error of an earlier write.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn write(&mut self, slot: usize, parts: &[&[u8]]) -> Result<(), SpillError> {
        self.shared.lock().check()?;
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let capacity = self.slots[slot].capacity;
        if len as u64 > capacity {
            return Err(SpillError::TooLong {
                slot,
                len: len as u64,
                capacity,
            });
        }
        self.forget_ahead(slot);
        let mut buffer = self.take_buffer()?;
        let mut rest = buffer.bytes_mut();
        for part in parts {
            let (place, tail) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = tail;
        }
        self.slots[slot].len = Some(len);
        self.start(slot, Direction::Write, len, buffer);
        Ok(())
    }

    /// Begins to read a record that will be asked for soon. A hint: does nothing if no buffer is free, if the slot is
    /// empty, or if it is being read already.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn prefetch(&mut self, slot: usize) {
        let Some(len) = self.slots[slot].len else { return };
        if self.slots[slot].is_ahead || self.shared.lock().failed {
            return;
        }
        if let Some(buffer) = self.free_buffer() {
            self.start(slot, Direction::Read, len, buffer);
            self.slots[slot].is_ahead = true;
            self.ahead.push_back(slot);
        }
    }

    /// The record in a slot, waiting until it is read, and before that until it is written if it still is.
    ///
    /// # Errors
    /// [`SpillError::Empty`], [`SpillError::Corrupt`], [`SpillError::Io`], [`SpillError::BuffersHeld`],
    /// [`SpillError::NoMemory`]; the error of an earlier write.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn read(&mut self, slot: usize) -> Result<SpillBuffer, SpillError> {
        self.shared.lock().check()?;
        let len = self.slots[slot].len.ok_or(SpillError::Empty { slot })?;
        if self.slots[slot].is_ahead {
            self.ahead.retain(|ahead| *ahead != slot);
            self.slots[slot].is_ahead = false;
        } else {
            let buffer = self.take_buffer()?;
            self.start(slot, Direction::Read, len, buffer);
        }
        let Some(transfer) = self.slots[slot].last.take() else {
            return Err(SpillError::Empty { slot });
        };
        let (buffer, result) = self.waiting(&transfer);
        let buffer = SpillBuffer {
            buffer,
            len,
            shared: Arc::clone(&self.shared),
        };
        // A write that this read came after may have failed, which says more than a wrong checksum.
        self.shared.lock().check()?;
        result.map(|()| buffer)
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The error of an earlier write.
    pub fn flush(&mut self) -> Result<(), SpillError> {
        self.shared.wait_for(|state| (state.writes.running == 0).then_some(()));
        self.shared.lock().check()
    }

    /// How many records to have read ahead: half of the buffers, which leaves the others to hold and to write.
    pub fn read_ahead(&self) -> usize {
        self.most_buffers / 2
    }

    /// What was done so far, and where time went.
    pub fn stats(&self) -> SpillStats {
        self.shared.lock().stats()
    }

    fn start(&mut self, slot: usize, direction: Direction, len: usize, buffer: Mapping) {
        let slot = &mut self.slots[slot];
        let (place, after) = (slot.place.clone(), slot.last.take());
        slot.last = Some(Transfer::start(
            &self.crew,
            &self.shared,
            direction,
            place,
            len,
            buffer,
            after,
        ));
    }

    /// A buffer, if one is free or may still be made.
    fn free_buffer(&mut self) -> Option<Mapping> {
        if let Some(buffer) = self.shared.lock().free.pop() {
            return Some(buffer);
        }
        if self.buffers == self.most_buffers {
            return None;
        }
        let buffer = Mapping::new(self.size, self.size).ok()?;
        self.buffers += 1;
        Some(buffer)
    }

    /// A buffer: a free one, else one that is being written, else one that was read ahead.
    fn take_buffer(&mut self) -> Result<Mapping, SpillError> {
        loop {
            if let Some(buffer) = self.free_buffer() {
                return Ok(buffer);
            }
            if self.buffers == 0 {
                let len = self.size;
                return Mapping::new(len, len).map_err(|source| SpillError::NoMemory { len, source });
            }
            let freed = |state: &mut shared::State| (!state.free.is_empty() || state.writes.running == 0).then_some(());
            self.shared.wait_for(freed);
            if !self.shared.lock().free.is_empty() {
                continue;
            }
            let Some(slot) = self.ahead.front().copied() else {
                return Err(SpillError::BuffersHeld { count: self.buffers });
            };
            self.forget_ahead(slot);
        }
    }

    /// Takes back the buffer of a record that was read ahead.
    fn forget_ahead(&mut self, slot: usize) {
        if !std::mem::take(&mut self.slots[slot].is_ahead) {
            return;
        }
        self.ahead.retain(|ahead| *ahead != slot);
        if let Some(transfer) = self.slots[slot].last.take()
            && let (Some(buffer), _) = self.waiting(&transfer)
        {
            self.shared.give_back(buffer);
        }
    }

    /// Waits for a read and counts the time.
    fn waiting(&self, transfer: &Transfer) -> (Option<Mapping>, Result<(), SpillError>) {
        let start = Instant::now();
        let taken = transfer.take();
        self.shared.lock().wait_seconds += start.elapsed().as_secs_f64();
        taken
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // The crew's threads, which end with it, skip what they have not begun.
        self.shared.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Slot {
    /// A slot at `offset`, which is moved behind it.
    fn new(capacity: u64, offset: &mut u64) -> Slot {
        let place = Place {
            offset: *offset,
            sums: (0..capacity.div_ceil(BLOCK as u64))
                .map(|_| AtomicU32::new(0))
                .collect(),
        };
        *offset += in_pages(capacity);
        Slot {
            place,
            capacity,
            len: None,
            last: None,
            is_ahead: false,
        }
    }
}

/// Bytes that a slot takes in the file: whole pages.
fn in_pages(capacity: u64) -> u64 {
    capacity.checked_next_multiple_of(PAGE as u64).unwrap_or(u64::MAX)
}

/// How many buffers there may be for these slots, and the bytes of each: the largest slot's.
fn buffers_for(slots: &[u64], options: SpillOptions) -> (usize, usize) {
    let size = in_pages(slots.iter().copied().max().unwrap_or(0).max(1));
    // More than two for each slot can never be in use.
    let more = (options.bytes / size).min(2 * slots.len() as u64) as usize;
    (options.buffers.max(2).max(more), size as usize)
}

/// A record in memory. Dropping it gives its buffer back to the spill file.
#[derive(Debug)]
pub struct SpillBuffer {
    /// `None` only while dropping.
    buffer: Option<Mapping>,
    len: usize,
    shared: Arc<Shared>,
}

impl Deref for SpillBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer.bytes()[..self.len])
    }
}

impl Drop for SpillBuffer {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.shared.give_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests;
