//! The queues of a CUDA device.
//!
//! libtorch computes on the legacy default stream of the device's primary context, which is the null stream
//! here. The copies have a stream of their own that does not wait for that one by itself ("non-blocking").

use super::Copier;
use crate::Tensor;
use crate::device::{Context, DeviceError, driver_error};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

/// Where libtorch computes.
const COMPUTE: sys::CUstream = std::ptr::null_mut();

/// A slot of the device.
struct Slot {
    address: sys::CUdeviceptr,
    len: usize,
    copied: sys::CUevent,
    computed: sys::CUevent,
}

/// Copies to a CUDA device on a stream of their own.
pub(super) struct CudaCopier {
    context: Context,
    stream: sys::CUstream,
    slots: Vec<Slot>,
}

// SAFETY: the driver's calls may be made from any thread that has entered the context, which every method
// does; streams and events are handles that are never changed after `new`.
#[allow(unsafe_code)]
unsafe impl Send for CudaCopier {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for CudaCopier {}

impl CudaCopier {
    /// For slots that lie in these tensors, which must live as long.
    pub(super) fn new(index: usize, memory: &[Tensor]) -> Result<CudaCopier, DeviceError> {
        let context = Context::new(index)?;
        context.enter()?;
        let failed = |error| driver_error("making a stream", index, error);
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed)?;
        let mut copier = CudaCopier {
            context,
            stream,
            slots: Vec::with_capacity(memory.len()),
        };
        for tensor in memory {
            let (copied, computed) = (event(), event());
            copier.slots.push(Slot {
                address: tensor.raw().data_ptr() as sys::CUdeviceptr,
                len: tensor.numel(),
                copied: copied.map_err(failed)?,
                computed: computed.map_err(failed)?,
            });
            // libtorch may have taken the memory from tensors that are still computed with
            copier.after_compute(copier.slots.len() - 1)?;
        }
        Ok(copier)
    }

    /// A call on this device, named for its error.
    fn call(&self, what: &str, call: impl FnOnce() -> Result<(), DriverError>) -> Result<(), DeviceError> {
        self.context.enter()?;
        call().map_err(|error| driver_error(what, self.context.index(), error))
    }
}

/// An event that measures no time, and on which a waiting thread sleeps.
fn event() -> Result<sys::CUevent, DriverError> {
    let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC as u32 | sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
    let mut made = std::ptr::null_mut();
    // SAFETY: writes one handle to where it is told; the context was entered.
    #[allow(unsafe_code)]
    unsafe { sys::cuEventCreate(&raw mut made, flags) }.result()?;
    Ok(made)
}

fn wait_for(stream: sys::CUstream, event: sys::CUevent) -> Result<(), DriverError> {
    let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
    // SAFETY: both belong to a `CudaCopier` that lives (or are the null stream).
    #[allow(unsafe_code)]
    unsafe {
        result::stream::wait_event(stream, event, flags)
    }
}

fn record(event: sys::CUevent, stream: sys::CUstream) -> Result<(), DriverError> {
    // SAFETY: as in `wait_for`.
    #[allow(unsafe_code)]
    unsafe {
        result::event::record(event, stream)
    }
}

impl Copier for CudaCopier {
    fn copy(&self, slot: usize, parts: &[(usize, &[u8])]) -> Result<(), DeviceError> {
        let slot = &self.slots[slot];
        if let Some((at, bytes)) = parts.iter().find(|(at, bytes)| at + bytes.len() > slot.len) {
            let (end, len) = (at + bytes.len(), slot.len);
            return Err(DeviceError::Unit(format!("a copy up to byte {end} of a slot of {len}")));
        }
        let copied = self.call("copying weights", || {
            wait_for(self.stream, slot.computed)?;
            for (at, bytes) in parts.iter().filter(|(_, bytes)| !bytes.is_empty()) {
                let to = slot.address + *at as sys::CUdeviceptr;
                // SAFETY: the target is inside the slot (checked above); the caller keeps the bytes until the
                // copy is done, or this returns an error, before which the stream is waited for.
                #[allow(unsafe_code)]
                unsafe { result::memcpy_htod_async(to, bytes, self.stream) }?;
            }
            record(slot.copied, self.stream)
        });
        if copied.is_err() {
            // SAFETY: the stream belongs to `self`.
            #[allow(unsafe_code)]
            let drained = unsafe { result::stream::synchronize(self.stream) };
            // a stream that cannot be waited for has failed, and reads no more either
            let _ = drained;
        }
        copied
    }

    fn wait(&self, slot: usize) -> Result<(), DeviceError> {
        self.call("copying weights", || {
            // SAFETY: the event belongs to `self`.
            #[allow(unsafe_code)]
            unsafe {
                result::event::synchronize(self.slots[slot].copied)
            }
        })
    }

    fn before_compute(&self, slot: usize) -> Result<(), DeviceError> {
        self.call("waiting for weights", || wait_for(COMPUTE, self.slots[slot].copied))
    }

    fn after_compute(&self, slot: usize) -> Result<(), DeviceError> {
        self.call("marking computed weights", || {
            record(self.slots[slot].computed, COMPUTE)
        })
    }

    fn lock(&self, start: usize, len: usize) -> Result<(), DeviceError> {
        self.call("locking host memory", || {
            // SAFETY: the memory is mapped, and stays so until `unlock` (see `Uploader::register`); "portable"
            // makes it known to every context.
            #[allow(unsafe_code)]
            let status = unsafe { sys::cuMemHostRegister_v2(start as *mut _, len, sys::CU_MEMHOSTREGISTER_PORTABLE) };
            status.result()
        })
    }

    fn unlock(&self, start: usize) {
        let unlocked = self.call("unlocking host memory", || {
            // SAFETY: the address was given to `lock`.
            #[allow(unsafe_code)]
            let status = unsafe { sys::cuMemHostUnregister(start as *mut _) };
            status.result()
        });
        // fails only with the device, which others report
        drop(unlocked);
    }
}

impl Drop for CudaCopier {
    fn drop(&mut self) {
        if self.context.enter().is_err() {
            return;
        }
        // SAFETY: all handles were made by `new` and are destroyed once. The driver frees what is still queued
        // when it is done.
        #[allow(unsafe_code)]
        unsafe {
            let _ = result::stream::synchronize(self.stream);
            for slot in &self.slots {
                let _ = result::event::destroy(slot.copied);
                let _ = result::event::destroy(slot.computed);
            }
            let _ = result::stream::destroy(self.stream);
        }
    }
}
