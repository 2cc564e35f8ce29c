//! Weights on their way to a CUDA device: copied beside the computation, into slots that are used again and
//! again.
//!
//! ```text
//! reader thread     arena 4 .. arena 5 ..
//! upload thread     waits for a copy to end, then the arena goes back
//! copy stream       unit 3 -> slot 1   | unit 4 -> slot 0      waits until unit 2 is computed
//! compute stream    unit 2 in slot 0 ..| unit 3 in slot 1      waits until unit 3 is copied
//! ```
//!
//! The streams are queues of the device. The host only puts work into them: it marks the end of a copy or of a
//! unit's computation with an event, and lets the other stream wait for that.

mod copier;
mod cuda;
#[cfg(test)]
mod fake;
mod unit;
mod worker;

pub use copier::{Copier, PageLock};
pub use unit::DeviceUnit;

use crate::device::{Device, DeviceError};
use crate::{Bytes, Tensor};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use unit::Hold;
use worker::{Job, Worker};

/// The slots of a device and the copies into them.
pub struct Uploader {
    slots: Arc<Slots>,
    worker: Worker,
}

/// Memory of the device, cut into slots of one size.
pub(crate) struct Slots {
    copier: Arc<dyn Copier>,
    /// `[slot_bytes]` u8 each. The copy stream writes to them behind libtorch's back; that no computation
    /// reads a slot meanwhile is what the events are for.
    memory: Vec<Tensor>,
    free: Mutex<Vec<usize>>,
}

impl Slots {
    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        // single pushes and pops: a panic elsewhere leaves the list whole
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uploader {
    /// Takes `slots` times `slot_bytes` of the device's memory. Two slots let the next unit be copied while one
    /// computes.
    ///
    /// # Errors
    /// No such memory, no slot, or a device that is the processor, where weights are used where they are read.
    pub fn new(device: Device, slots: usize, slot_bytes: usize) -> Result<Uploader, DeviceError> {
        let Device::Cuda(index) = device else {
            return Err(DeviceError::Unit("weights are not copied to the processor".into()));
        };
        let memory = allocate(device, slots, slot_bytes)?;
        let copier = cuda::CudaCopier::new(index, &memory)?;
        Uploader::with(Arc::new(copier), memory)
    }

    fn with(copier: Arc<dyn Copier>, memory: Vec<Tensor>) -> Result<Uploader, DeviceError> {
        if memory.is_empty() {
            return Err(DeviceError::Unit("an uploader needs at least one slot".into()));
        }
        let free = Mutex::new((0..memory.len()).rev().collect());
        Ok(Uploader {
            worker: Worker::start(copier.clone())?,
            slots: Arc::new(Slots { copier, memory, free }),
        })
    }

    /// Locks the pages of memory that units are read into, so that the device copies from it by itself: without,
    /// copies pass through a small buffer of the driver's, at a fraction of the speed.
    ///
    /// The lock must be dropped before the memory is unmapped.
    ///
    /// # Errors
    /// The driver refuses; copies work nevertheless.
    pub fn register(&self, host: &[u8]) -> Result<PageLock, DeviceError> {
        PageLock::new(self.slots.copier.clone(), host)
    }

    /// Queues the copy of some ranges of `bytes` to the same offsets of a free slot, and returns at once. `bytes`
    /// is dropped when the copy is done.
    ///
    /// # Errors
    /// More bytes than a slot has, a range outside, or no free slot: drop a unit first.
    pub fn upload(&self, bytes: Bytes, ranges: &[Range<usize>]) -> Result<DeviceUnit, DeviceError> {
        let len = (*bytes).as_ref().len();
        let room = self.slots.memory[0].numel();
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        if end > len || ranges.iter().any(|range| range.start > range.end) {
            return Err(DeviceError::Unit(format!("ranges {ranges:?} of a unit of {len} bytes")));
        }
        if end > room {
            return Err(DeviceError::Unit(format!(
                "a unit of {end} bytes for a slot of {room}; set a larger `gpu_memory`"
            )));
        }
        let Some(slot) = self.slots.free().pop() else {
            return Err(DeviceError::Unit(format!(
                "all {} slots of the device are in use",
                self.slots.memory.len()
            )));
        };
        let hold = Arc::new(Hold::new(self.slots.clone(), slot));
        let ticket = self.worker.send(Job::new(slot, bytes, ranges));
        Ok(DeviceUnit::new(hold, ticket, ranges))
    }

    /// How many slots no unit holds.
    pub fn free_slots(&self) -> usize {
        self.slots.free().len()
    }
}

impl std::fmt::Debug for Uploader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (slots, bytes) = (self.slots.memory.len(), self.slots.memory[0].numel());
        write!(f, "{slots} slots of {bytes} bytes, {} free", self.free_slots())
    }
}

/// Slots of libtorch's own memory, so that views of them are ordinary tensors.
fn allocate(device: Device, slots: usize, slot_bytes: usize) -> Result<Vec<Tensor>, DeviceError> {
    let one = |_| {
        let made = tch::Tensor::f_empty([slot_bytes as i64], (tch::Kind::Uint8, device.raw()));
        made.map(Tensor::own).map_err(|error| DeviceError::Memory {
            device: device.to_string(),
            needed: slots.saturating_mul(slot_bytes),
            why: crate::TensorError::from(error).0,
        })
    };
    (0..slots).map(one).collect()
}

#[cfg(test)]
mod tests;
