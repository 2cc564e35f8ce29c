//! What the upload asks of a device.

use crate::device::DeviceError;
use std::sync::Arc;

/// Two queues of a device, one that copies and one that computes, and for each slot two events: "copied" and
/// "computed". Nothing but [`Copier::wait`] waits on the calling thread.
///
/// Its methods are called from two threads. For one slot that happens at once only if its unit is given up before
/// its copy is queued, and then either order will do.
pub trait Copier: Send + Sync {
    /// Queues the copy of `parts`, bytes and their offset in the slot, after "computed" as it was marked last,
    /// and marks "copied" behind it. The bytes must stay until [`Copier::wait`] returns. After an error none of
    /// them is read any more.
    ///
    /// # Errors
    /// The device refuses.
    fn copy(&self, slot: usize, parts: &[(usize, &[u8])]) -> Result<(), DeviceError>;

    /// Waits until "copied" has happened.
    ///
    /// # Errors
    /// The copy failed, or the device did.
    fn wait(&self, slot: usize) -> Result<(), DeviceError>;

    /// Lets what is computed from now on wait for "copied".
    ///
    /// # Errors
    /// The device refuses.
    fn before_compute(&self, slot: usize) -> Result<(), DeviceError>;

    /// Marks "computed" behind all that was put into the computing queue until now.
    ///
    /// # Errors
    /// The device refuses.
    fn after_compute(&self, slot: usize) -> Result<(), DeviceError>;

    /// Locks the pages of host memory.
    ///
    /// # Errors
    /// The device refuses.
    fn lock(&self, start: usize, len: usize) -> Result<(), DeviceError>;

    /// Undoes [`Copier::lock`].
    fn unlock(&self, start: usize);
}

/// Host memory whose pages are locked, until this is dropped.
pub struct PageLock {
    copier: Arc<dyn Copier>,
    start: usize,
}

impl PageLock {
    pub(super) fn new(copier: Arc<dyn Copier>, host: &[u8]) -> Result<PageLock, DeviceError> {
        let start = host.as_ptr() as usize;
        copier.lock(start, host.len())?;
        Ok(PageLock { copier, start })
    }
}

impl Drop for PageLock {
    fn drop(&mut self) {
        self.copier.unlock(self.start);
    }
}
