//! Memory straight from the system: a page-aligned mapping that can change its length in place.

// Mappings are made, viewed as bytes, resized and unmapped here; that cannot be said in safe Rust.
#![allow(unsafe_code)]

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use rustix::mm::{madvise, mmap_anonymous, mprotect, munmap};
use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

/// Alignment of arenas, and the unit in which they are sized: what direct I/O asks for on every common drive.
pub const PAGE: usize = 4096;

/// The size of a huge page on common processors. Mappings start at a multiple of it, and those at least as large are
/// sized in steps of it.
pub(crate) const HUGE: usize = 2 << 20;

/// An anonymous private mapping, owned: `len` usable bytes at the start of a larger stretch of reserved addresses, so
/// that it can grow and shrink without moving and without giving up the pages that it keeps.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Start of the reserved addresses.
    base: NonNull<c_void>,
    reserved: usize,
    start: NonNull<u8>,
    /// A multiple of [`PAGE`], not zero.
    len: usize,
    /// Replaced when pages are given up: who pinned them can tell by a dead `Weak` that they must be let go.
    pages: Arc<()>,
}

// SAFETY: a `Mapping` is the only owner of its pages, and gives access to them only through `&self` and `&mut self`.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&self` gives only `&[u8]`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes (a multiple of [`PAGE`], not zero) that may later grow to `most`. Pages are taken from the
    /// system when they are first touched.
    pub(crate) fn new(len: usize, most: usize) -> io::Result<Mapping> {
        // Addresses cost nothing, unless their number is limited: then there is no growing.
        let mut mapping = Self::reserve(most.max(len)).or_else(|_| Self::reserve(len))?;
        mapping.allow(0, len)?;
        mapping.len = len;
        Ok(mapping)
    }

    fn reserve(most: usize) -> io::Result<Mapping> {
        let reserved = most.checked_add(HUGE).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: without an address hint or `FIXED` the kernel picks pages that nothing else uses.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), reserved, ProtFlags::empty(), flags) }?;
        let skip = base.align_offset(HUGE);
        let (base, start) = (NonNull::new(base), NonNull::new(base.cast::<u8>().wrapping_add(skip)));
        let (Some(base), Some(start)) = (base, start) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        // Fewer faults and shorter page lists for the drive. Advice: a system without huge pages ignores it.
        // SAFETY: the advice does not change what the pages hold, and they belong to nobody else.
        let _ = unsafe { madvise(start.as_ptr().cast(), most, Advice::LinuxHugepage) };
        Ok(Mapping {
            base,
            reserved,
            start,
            len: 0,
            pages: Arc::new(()),
        })
    }

    /// The most bytes this mapping can have.
    fn capacity(&self) -> usize {
        let skip = self.start.as_ptr() as usize - self.base.as_ptr() as usize;
        (self.reserved - skip) / PAGE * PAGE
    }

    /// Changes the length to `len`, a multiple of [`PAGE`] and not zero. Pages below the smaller length stay as they
    /// are; those above a smaller `len` go back to the system. Fails without change, as when addresses run out.
    pub(crate) fn resize(&mut self, len: usize) -> io::Result<()> {
        if len > self.capacity() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        if len > self.len {
            self.allow(self.len, len)?;
        } else if len < self.len {
            let (tail, bytes) = (self.start.as_ptr().wrapping_add(len).cast::<c_void>(), self.len - len);
            // SAFETY: the tail belongs to this mapping, nothing borrows from it (`&mut self`), and with the new
            // length nothing reaches it any more.
            unsafe {
                madvise(tail, bytes, Advice::LinuxDontNeed)?;
                mprotect(tail, bytes, MprotectFlags::empty())?;
            }
            self.pages = Arc::new(());
        }
        self.len = len;
        Ok(())
    }

    /// Makes the bytes from `from` to `to` usable.
    fn allow(&mut self, from: usize, to: usize) -> io::Result<()> {
        let start = self.start.as_ptr().wrapping_add(from).cast();
        // SAFETY: the addresses are reserved by this mapping (`to` is within the capacity) and not yet in use.
        unsafe { mprotect(start, to - from, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Lives as long as the mapping keeps every page it has now.
    pub(crate) fn pages(&self) -> &Arc<()> {
        &self.pages
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for `len` bytes as long as `self` lives, fresh pages read as zeroes (so all
        // bytes are initialised), and writing needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; the mapping is writable, and `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping this value owns; slices borrowed from it have ended.
        let unmapped = unsafe { munmap(self.base.as_ptr(), self.reserved) };
        debug_assert!(unmapped.is_ok(), "munmap of an owned mapping: {unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Weak;

    #[test]
    fn resizing_keeps_what_stays_and_forgets_the_rest() {
        let mut mapping = Mapping::new(2 * PAGE, 4 * PAGE).unwrap();
        let pages = Arc::downgrade(mapping.pages());
        mapping.bytes_mut().fill(7);
        mapping.resize(4 * PAGE).unwrap();
        assert!(mapping.bytes()[..2 * PAGE].iter().all(|byte| *byte == 7));
        assert!(mapping.bytes()[2 * PAGE..].iter().all(|byte| *byte == 0));
        assert!(pages.upgrade().is_some(), "growing gives no page up");
        mapping.resize(PAGE).unwrap();
        assert!(Weak::upgrade(&pages).is_none(), "shrinking does");
        mapping.resize(2 * PAGE).unwrap();
        assert_eq!((mapping.bytes()[PAGE - 1], mapping.bytes()[PAGE]), (7, 0));
        assert_eq!(mapping.as_mut_ptr().align_offset(HUGE), 0);
        assert!(mapping.resize(HUGE + 5 * PAGE).is_err());
        assert_eq!(mapping.len(), 2 * PAGE);
    }
}
