//! Reading through an io_uring, as fast as one thread can ask. The only unsafe code of this crate.
#![allow(unsafe_code, reason = "the kernel writes into buffers that it is given by address")]

use std::{fs::File, io, os::fd::AsRawFd};

use io_uring::{IoUring, opcode, types::Fd};
use rustix::mm::{Advice, madvise};

use super::drive::{Aligned, Piece};

/// Asks the system to back memory with huge pages; it may not.
pub(super) fn ask_for_huge_pages(memory: &mut [u8]) {
    // SAFETY: the advice changes how pages are backed, not what they hold; the range is that of a live slice.
    let _ = unsafe { madvise(memory.as_mut_ptr().cast(), memory.len(), Advice::LinuxHugepage) };
}

/// Reads all `pieces`, each into one of `buffers`, as many at a time as there are, and returns the sum of bytes.
///
/// # Errors
/// The number of the file and what the kernel said; where the kernel refuses the ring itself, file 0.
pub(super) fn read(files: &[&File], pieces: &[Piece], mut buffers: Vec<Aligned>) -> Result<u64, (usize, io::Error)> {
    let depth = buffers.len();
    let mut ring = IoUring::new(depth as u32).map_err(|error| (0, error))?;
    let (mut free, mut flying): (Vec<usize>, Vec<Option<Piece>>) = ((0..depth).collect(), vec![None; depth]);
    let (mut waiting, mut sum, mut failed) = (pieces.iter(), 0, None);
    loop {
        while failed.is_none() && !free.is_empty() {
            let Some(piece) = waiting.next() else { break };
            let Some(slot) = free.pop() else { break };
            let target = &mut buffers[slot].bytes()[..piece.bytes];
            let entry = opcode::Read::new(
                Fd(files[piece.file].as_raw_fd()),
                target.as_mut_ptr(),
                target.len() as u32,
            );
            let entry = entry.offset(piece.offset).build().user_data(slot as u64);
            // SAFETY: the buffer of `slot` stays where it is and nobody else uses it until its completion has been seen
            // below; the loop leaves only when nothing is in flight.
            let pushed = unsafe { ring.submission().push(&entry) };
            pushed.expect("there are as many entries as slots");
            flying[slot] = Some(*piece);
        }
        if flying.iter().all(Option::is_none) {
            return failed.map_or(Ok(sum), Err);
        }
        match ring.submit_and_wait(1) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INTR.raw_os_error()) => {
                // The kernel may still write: the memory must outlive this process's use of the ring.
                std::mem::forget(buffers);
                return Err((0, error));
            }
            _ => {}
        }
        for done in ring.completion() {
            let slot = done.user_data() as usize;
            let file = flying[slot].take().map_or(0, |piece| piece.file);
            free.push(slot);
            match done.result() {
                read @ 0.. => sum += u64::from(read.unsigned_abs()),
                error => failed = Some((file, io::Error::from_raw_os_error(-error))),
            }
        }
    }
}
