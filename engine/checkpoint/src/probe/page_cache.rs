//! How much of the files is in the page cache, without touching what is not.

use crate::checkpoint::FileId;
use crate::files::{OpenFile, OpenFiles};
use crate::mapping::PAGE;
use rustix::fs::{Advice, Mode, OFlags, fadvise, fstatfs};
use rustix::io::{ReadWriteFlags, preadv2};
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

/// Pages looked at for the whole checkpoint.
const SAMPLES: u64 = 64;

/// The type of file systems that are nothing but page cache.
const TMPFS: i64 = 0x0102_1994;

/// The share of the files' pages that is in the page cache, from 0 to 1, from a sample. What cannot be found out
/// counts as not there.
///
/// The places are drawn anew each time: looking at a page that is not there makes the kernel fetch it, so fixed places
/// would look like a cached file the next time.
pub(super) fn share(files: &OpenFiles) -> f64 {
    let total = files.bytes();
    if total == 0 {
        return 0.0;
    }
    let mut by_file: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let shift = random();
    for i in 0..SAMPLES {
        // One place in each of equal parts of the checkpoint.
        let within = shift.wrapping_mul(2 * i + 1) % total.div_ceil(SAMPLES);
        let (file, offset) = files.locate((i * (total / SAMPLES) + within).min(total - 1));
        by_file.entry(file.0).or_default().push(offset);
    }
    let cached = |(file, offsets): (u32, Vec<u64>)| count(files.get(FileId(file)), &offsets);
    by_file.into_iter().map(cached).sum::<usize>() as f64 / SAMPLES as f64
}

/// Whether some of the bytes from `offset` to `offset + len` seem to be in the page cache.
pub(super) fn is_cached(file: &OpenFile, offset: u64, len: u64) -> bool {
    let places: Vec<u64> = (0..8).map(|i| offset + i * (len / 8)).collect();
    count(file, &places) > 0
}

/// How many of these places are in the page cache.
fn count(file: &OpenFile, offsets: &[u64]) -> usize {
    let Some(fd) = open(file) else { return 0 };
    if fstatfs(&fd).is_ok_and(|system| system.f_type == TMPFS) {
        return offsets.len();
    }
    offsets
        .iter()
        .filter(|offset| is_there(&fd, **offset / PAGE as u64 * PAGE as u64))
        .count()
}

/// Its own handle, told not to read ahead: looking must not fetch more than it looks at.
fn open(file: &OpenFile) -> Option<OwnedFd> {
    let fd = rustix::fs::open(&file.path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    fadvise(&fd, 0, None, Advice::Random).ok()?;
    Some(fd)
}

fn is_there(fd: &OwnedFd, offset: u64) -> bool {
    let mut byte = [0];
    preadv2(fd, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT).is_ok_and(|read| read == 1)
}

/// A number that differs from call to call.
pub(super) fn random() -> u64 {
    // Without a source of randomness, the time will do: nothing secret depends on it.
    getrandom::u64().unwrap_or_else(|_| {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |time| time.as_nanos() as u64 | 1)
    })
}
