//! Reading the ranges of one plan into one arena: blocks of a few MiB, some of them in flight at a time.
//!
//! This is the place for other ways to read (io_uring, direct I/O): another body for [`read_all`], nothing else.

use crate::checkpoint::FileId;
use crate::files::OpenFiles;
use crate::ranges::LoadPlan;
use crate::read_error::ReadError;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// One positioned read.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    file: FileId,
    offset: u64,
    buffer: &'a mut [u8],
}

/// Cuts a plan into blocks of at most `block_bytes`, in file order, each with its own part of the arena. Within a file
/// the cuts are at multiples of `block_bytes`, so that no page is asked for twice.
pub(crate) fn cut<'a>(plan: &LoadPlan, arena: &'a mut [u8], block_bytes: usize) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    let mut rest = arena;
    let mut at = 0;
    for range in &plan.ranges {
        rest = &mut std::mem::take(&mut rest)[range.arena_offset - at..];
        at = range.arena_offset + range.len;
        let (mut offset, end) = (range.file_offset, range.file_offset + range.len as u64);
        while offset < end {
            let stop = (offset + 1).next_multiple_of(block_bytes as u64).min(end);
            let (buffer, tail) = std::mem::take(&mut rest).split_at_mut((stop - offset) as usize);
            blocks.push(Block {
                file: range.file,
                offset,
                buffer,
            });
            (rest, offset) = (tail, stop);
        }
    }
    blocks
}

/// Reads all blocks with `threads` threads, the caller's among them. Between blocks, `cancelled` is asked.
///
/// # Errors
/// The first error that occurred; the arena's contents are then undefined.
pub(crate) fn read_all(
    files: &OpenFiles,
    blocks: Vec<Block<'_>>,
    threads: usize,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(), ReadError> {
    let helpers = threads.min(blocks.len()).saturating_sub(1);
    let queue = Mutex::new(blocks.into_iter());
    let failure = Mutex::new(None);
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let Some(block) = queue.lock().unwrap_or_else(PoisonError::into_inner).next() else {
                return;
            };
            let result = if cancelled() {
                Err(ReadError::Cancelled)
            } else {
                read_block(files, block)
            };
            if let Err(error) = result {
                failed.store(true, Ordering::Relaxed);
                failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..helpers {
            // Without a helper the caller reads alone: slower, not wrong.
            let _ = std::thread::Builder::new()
                .name("sli-read".into())
                .spawn_scoped(scope, work);
        }
        work();
    });
    failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .map_or(Ok(()), Err)
}

fn read_block(files: &OpenFiles, block: Block<'_>) -> Result<(), ReadError> {
    let file = files.get(block.file);
    fill(block.buffer, block.offset, |buffer, offset| {
        file.file.read_at(buffer, offset)
    })
    .map_err(|stop| {
        let left = (block.buffer.len() - stop.done) as u64;
        file.read_error(block.offset + stop.done as u64, left, stop.error)
    })
}

/// Where a read stopped short.
#[derive(Debug)]
struct Stop {
    done: usize,
    /// `None` at the end of the file.
    error: Option<io::Error>,
}

/// Fills `buffer` from `offset` on with a `read` that may be interrupted or come up short.
fn fill(buffer: &mut [u8], offset: u64, mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>) -> Result<(), Stop> {
    let mut done = 0;
    while done < buffer.len() {
        match read(&mut buffer[done..], offset + done as u64) {
            Ok(0) => return Err(Stop { done, error: None }),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Stop {
                    done,
                    error: Some(error),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::ReadRange;

    #[test]
    fn blocks_cover_ranges_and_cut_at_round_offsets() {
        let range = |file_offset, len, arena_offset| ReadRange {
            file: FileId(0),
            file_offset,
            len,
            arena_offset,
        };
        let plan = LoadPlan {
            ranges: vec![range(10, 25, 10), range(50, 3, 4146)],
            slices: vec![],
            arena_len: 8192,
        };
        let mut arena: Vec<u8> = (0..8192).map(|i| (i % 251) as u8).collect();
        let expected = arena.clone();
        let blocks = cut(&plan, &mut arena, 16);
        let got: Vec<_> = blocks
            .iter()
            .map(|block| (block.offset, block.buffer.to_vec()))
            .collect();
        let want = [(10, 10..16), (16, 16..32), (32, 32..35), (50, 4146..4149)];
        assert_eq!(got, want.map(|(offset, part)| (offset, expected[part].to_vec())));
    }

    #[test]
    fn short_reads_and_interruptions_are_carried_on() {
        let source: Vec<u8> = (0..100).collect();
        let mut call = 0;
        let mut buffer = [0; 50];
        fill(&mut buffer, 20, |buffer, offset| {
            call += 1;
            if call % 3 == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = buffer.len().min(7);
            buffer[..n].copy_from_slice(&source[offset as usize..offset as usize + n]);
            Ok(n)
        })
        .unwrap();
        assert_eq!(buffer[..], source[20..70]);
    }

    #[test]
    fn a_stop_tells_how_far_it_came() {
        let mut calls = [Ok(3), Err(io::Error::from_raw_os_error(5))].into_iter();
        let stop = fill(&mut [0; 8], 0, |_, _| calls.next().unwrap()).unwrap_err();
        assert_eq!((stop.done, stop.error.unwrap().raw_os_error()), (3, Some(5)));
        let stop = fill(&mut [0; 8], 0, |_, _| Ok(0)).unwrap_err();
        assert!(stop.done == 0 && stop.error.is_none());
    }
}
