//! A unit on the device.

use super::Slots;
use super::worker::Ticket;
use crate::Tensor;
use crate::device::DeviceError;
use crate::error::{Result, TensorError, fail};
use crate::kinds::kind_of;
use sli_model::DType;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tch::Kind;

/// The slot of a unit. When the last tensor that looks into it is dropped, what was computed with it is in the
/// computing queue, whose place is marked there: the slot is free for a copy behind that mark.
pub(super) struct Hold {
    slots: Arc<Slots>,
    slot: usize,
}

impl Hold {
    pub(super) fn new(slots: Arc<Slots>, slot: usize) -> Hold {
        Hold { slots, slot }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // without its mark the slot might be overwritten too early: then it is not used again
        if self.slots.copier.after_compute(self.slot).is_ok() {
            self.slots.free().push(self.slot);
        }
    }
}

/// A unit that is or will be on the device. Its tensors keep its slot; so does a clone.
#[derive(Clone)]
pub struct DeviceUnit {
    hold: Arc<Hold>,
    ticket: Arc<Ticket>,
    ranges: Arc<[Range<usize>]>,
    ready: Arc<OnceLock<std::result::Result<(), DeviceError>>>,
}

impl DeviceUnit {
    pub(super) fn new(hold: Arc<Hold>, ticket: Arc<Ticket>, ranges: &[Range<usize>]) -> DeviceUnit {
        DeviceUnit {
            hold,
            ticket,
            ranges: ranges.into(),
            ready: Arc::default(),
        }
    }

    /// Lets everything computed from now on wait for the unit's copy. The host waits only until the copy is in
    /// the device's queue. Done once; [`DeviceUnit::view`] does it too.
    ///
    /// # Errors
    /// The copy could not be made.
    pub fn make_ready(&self) -> std::result::Result<(), DeviceError> {
        let ready = || {
            self.ticket.queued()?;
            self.hold.slots.copier.before_compute(self.hold.slot)
        };
        self.ready.get_or_init(ready).clone()
    }

    /// A tensor of the bytes `range` of the unit, as [`Tensor::view`] makes it of bytes of the host: without a
    /// copy where they are aligned for the dtype; the unsigned types that libtorch lacks become i64.
    ///
    /// # Errors
    /// Bytes that were not copied, or that do not fill the shape; and errors of the copy.
    pub fn view(&self, range: Range<usize>, dtype: DType, shape: &[i64]) -> Result<Tensor> {
        self.make_ready().map_err(|error| TensorError(error.to_string()))?;
        let inside = |part: &Range<usize>| part.start <= range.start && range.end <= part.end;
        if !self.ranges.iter().any(inside) {
            fail!("bytes {range:?} were asked for, the unit's are {:?}", self.ranges);
        }
        let count = shape
            .iter()
            .try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?));
        if count.and_then(|n| n.checked_mul(dtype.size())) != Some(range.len()) {
            fail!("{} bytes do not fill {shape:?} of {dtype}", range.len());
        }
        let slot = self.hold.slots.memory[self.hold.slot].raw();
        let bytes = slot.f_narrow(0, range.start as i64, range.len() as i64)?;
        if let DType::U16 | DType::U32 | DType::U64 = dtype {
            return Ok(Tensor::own(widen(&bytes, dtype.size())?.f_reshape(shape)?));
        }
        // slots begin where libtorch's memory does, which is aligned for every type
        if range.start.is_multiple_of(dtype.size()) && !range.is_empty() {
            let raw = bytes.f_view_dtype(kind_of(dtype)?)?.f_reshape(shape)?;
            return Ok(Tensor::held(raw, self.hold.clone()));
        }
        let own = bytes.f_to_dtype(Kind::Uint8, false, true)?;
        Ok(Tensor::own(own.f_view_dtype(kind_of(dtype)?)?.f_reshape(shape)?))
    }
}

impl std::fmt::Debug for DeviceUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bytes {:?} in slot {}", self.ranges, self.hold.slot)
    }
}

/// Unsigned little-endian numbers of `size` bytes as i64: the sum of each byte times its power of 256.
fn widen(bytes: &tch::Tensor, size: usize) -> Result<tch::Tensor> {
    let wide = bytes.f_reshape([-1, size as i64])?.f_to_kind(Kind::Int64)?;
    let mut sum = wide.f_select(1, 0)?;
    for place in 1..size as i64 {
        sum = sum.f_add(&wide.f_select(1, place)?.f_mul_scalar(1i64 << (8 * place))?)?;
    }
    Ok(sum)
}
