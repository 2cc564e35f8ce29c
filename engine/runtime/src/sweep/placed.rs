//! Weights where they are used: in the arena they were read into, or in the memory of a device.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use sli_checkpoint::{LoadedUnit, PlannedUnit, TensorId};
use sli_model::DType;
use sli_torch::upload::{DeviceUnit, PageLock, Uploader};
use sli_torch::{ByteView, Bytes, Device, DeviceError, Tensor, TensorError};

/// A unit whose weights can be used.
#[derive(Clone)]
pub(crate) enum Placed {
    /// In main memory.
    Host(Arc<LoadedUnit>),
    /// In a slot of a device, at the same offsets as in the arena, which is free again once the copy is done.
    Device {
        /// The slot.
        slot: DeviceUnit,
        /// What lies where.
        plan: Arc<PlannedUnit>,
    },
}

impl Placed {
    /// Bytes `range` of a tensor, of that type and shape; nothing if they are not part of the unit.
    pub(crate) fn view(
        &self,
        id: TensorId,
        range: Range<u64>,
        dtype: DType,
        shape: &[i64],
    ) -> Option<Result<Tensor, TensorError>> {
        match self {
            Placed::Host(unit) => {
                let len = unit.part(id, range.clone())?.len();
                let unit = Arc::clone(unit);
                let bytes: Bytes = Arc::new(Part { unit, id, range });
                Some(ByteView::new(bytes, 0..len).and_then(|view| Tensor::view(view, dtype, shape)))
            }
            Placed::Device { slot, plan } => Some(slot.view(plan.plan.part(id, range)?, dtype, shape)),
        }
    }
}

/// Bytes of one tensor, and what keeps them.
struct Part {
    unit: Arc<LoadedUnit>,
    id: TensorId,
    range: Range<u64>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self.unit.part(self.id, self.range.clone()).unwrap_or_default()
    }
}

/// The arena of a unit.
struct Whole(Arc<LoadedUnit>);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.0.arena()
    }
}

/// Where weights are brought.
pub(crate) enum Placement {
    /// They stay in their arenas.
    Host,
    /// To slots of a device.
    Device {
        /// The slots.
        uploader: Uploader,
        /// Arenas whose pages are locked, by address: they are never unmapped while the run goes on.
        locks: HashMap<usize, (usize, PageLock)>,
    },
}

impl Placement {
    /// A placement on `device`, with `slots` slots of `bytes`.
    ///
    /// # Errors
    /// No memory on the device.
    pub(crate) fn new(device: Device, slots: usize, bytes: u64) -> Result<Placement, DeviceError> {
        if device.is_cpu() {
            return Ok(Placement::Host);
        }
        Ok(Placement::Device {
            uploader: Uploader::new(device, slots, bytes.max(1) as usize)?,
            locks: HashMap::new(),
        })
    }

    /// Whether one more unit can be brought now.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Placement::Host => true,
            Placement::Device { uploader, .. } => uploader.free_slots() > 0,
        }
    }

    /// Brings a unit to where it is used. On a device that is a copy in its queue; this does not wait for it.
    ///
    /// # Errors
    /// No free slot, or a driver that fails.
    pub(crate) fn place(&mut self, loaded: Arc<LoadedUnit>) -> Result<Placed, DeviceError> {
        let Placement::Device { uploader, locks } = self else {
            return Ok(Placed::Host(loaded));
        };
        let (start, len) = (loaded.arena().as_ptr() as usize, loaded.arena().len());
        if len > 0 && locks.get(&start).is_none_or(|(locked, _)| *locked < len) {
            locks.remove(&start);
            // Without the lock a copy is slower, not wrong.
            if let Ok(lock) = uploader.register(loaded.arena()) {
                locks.insert(start, (len, lock));
            }
        }
        let plan = Arc::clone(loaded.planned());
        let ranges: Vec<Range<usize>> = (plan.plan.ranges.iter())
            .map(|range| range.arena_offset..range.arena_offset + range.len)
            .collect();
        let slot = uploader.upload(Arc::new(Whole(loaded)), &ranges)?;
        Ok(Placed::Device { slot, plan })
    }
}
