//! One record on its way to the file or back, in pieces that several threads move.

// Pieces of one buffer are filled by several threads at once.
#![allow(unsafe_code)]

use super::error::SpillError;
use super::shared::Shared;
use crate::io::{Crew, Direction, Piece, Stopped, read_piece, write_piece};
use crate::mapping::{Mapping, PAGE};
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes that share a checksum.
pub(super) const BLOCK: usize = 1 << 20;

/// Bytes of one request to the system; whole blocks.
const PIECE: usize = 4 * BLOCK;

/// A place in the file and the checksums of what is there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// A multiple of [`PAGE`].
    pub(super) offset: u64,
    /// CRC-32 of each [`BLOCK`] of the record.
    pub(super) sums: Arc<[AtomicU32]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Transfer {
    direction: Direction,
    place: Place,
    /// Bytes of the record.
    len: usize,
    /// What was under way at the same place before, and must have ended first.
    after: Option<Arc<Transfer>>,
    progress: Mutex<Progress>,
    ended: Condvar,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Progress {
    /// Pieces that have not ended.
    left: usize,
    /// Kept here until no piece is left; the threads know it by its address.
    buffer: Option<Mapping>,
    error: Option<SpillError>,
}

/// The address of a buffer.
#[derive(Clone, Copy)]
struct Start(*mut u8);

// SAFETY: only an address; `Transfer::start` says why it may be used.
unsafe impl Send for Start {}

impl Transfer {
    /// Sets the crew to work on a record of `len` bytes in `buffer`, after `after` has ended.
    pub(super) fn start(
        crew: &Crew,
        shared: &Arc<Shared>,
        direction: Direction,
        place: Place,
        len: usize,
        mut buffer: Mapping,
        after: Option<Arc<Transfer>>,
    ) -> Arc<Transfer> {
        let start = Start(buffer.as_mut_ptr());
        let pieces = len.div_ceil(PIECE);
        // What has ended needs no waiting for, and keeps others that have ended alive.
        let after = after.filter(|transfer| !transfer.has_ended());
        let progress = Progress {
            left: pieces,
            buffer: Some(buffer),
            error: None,
        };
        let transfer = Arc::new(Transfer {
            direction,
            place,
            len,
            after,
            progress: Mutex::new(progress),
            ended: Condvar::new(),
            shared: Arc::clone(shared),
        });
        transfer.gauge(|gauge| gauge.begin());
        if pieces == 0 {
            transfer.finish(Ok(()));
        }
        for piece in 0..pieces {
            let part = piece * PIECE..len.min((piece + 1) * PIECE);
            let transfer = Arc::clone(&transfer);
            crew.hand(move || {
                // The whole of it, not only the address within.
                let start = start;
                // SAFETY: the transfer keeps the buffer until this piece has ended, no other piece has these bytes, and
                // nobody else looks at the buffer meanwhile. Buffers are whole pages, so that the last piece may be
                // rounded up to one.
                let bytes = unsafe {
                    let start = start.0.wrapping_add(part.start);
                    std::slice::from_raw_parts_mut(start, part.len().next_multiple_of(PAGE))
                };
                let result = catch_unwind(AssertUnwindSafe(|| transfer.work(part.clone(), bytes)));
                transfer.finish(
                    result.unwrap_or_else(|_| Err(transfer.error(part, io::Error::other("a thread panicked")))),
                );
            });
        }
        transfer
    }

    /// Moves one piece, whose place in memory is `bytes`.
    fn work(&self, part: Range<usize>, bytes: &mut [u8]) -> Result<(), SpillError> {
        if let Some(after) = &self.after {
            // It was handed to the crew before this, so that it is under way.
            after.wait();
        }
        if self.shared.abandoned.load(Ordering::Relaxed) {
            return Ok(());
        }
        let len = part.len();
        let raw = &self.shared.raw;
        let direct = raw.handles.direct.is_some();
        let (offset, need) = (self.place.offset + part.start as u64, len);
        let mut piece = Piece {
            handles: raw.handles,
            direct,
            offset,
            need,
            at: 0,
            tries: 0,
        };
        let sums = &self.place.sums[part.start / BLOCK..];
        if self.direction == Direction::Write {
            for (sum, block) in sums.iter().zip(bytes[..len].chunks(BLOCK)) {
                sum.store(crc32fast::hash(block), Ordering::Relaxed);
            }
            // Whole pages go to the file, so that a direct request is never rounded.
            bytes[len..].fill(0);
            piece.need = bytes.len();
            return write_piece(&raw.files, piece, bytes).map_err(|stop| self.stopped(stop));
        }
        read_piece(&raw.files, piece, bytes).map_err(|stop| self.stopped(stop))?;
        let mut at = offset;
        for (sum, block) in sums.iter().zip(bytes[..len].chunks(BLOCK)) {
            if crc32fast::hash(block) != sum.load(Ordering::Relaxed) {
                let (path, len) = (raw.path.clone(), block.len() as u64);
                return Err(SpillError::Corrupt { path, offset: at, len });
            }
            at += block.len() as u64;
        }
        Ok(())
    }

    fn stopped(&self, stop: Stopped) -> SpillError {
        let source = stop.error.unwrap_or_else(|| match self.direction {
            Direction::Write => io::ErrorKind::WriteZero.into(),
            Direction::Read => io::ErrorKind::UnexpectedEof.into(),
        });
        let (offset, len) = (stop.piece.offset, stop.piece.need as u64);
        SpillError::Io {
            action: self.action(),
            path: self.shared.raw.path.clone(),
            offset,
            len,
            source,
        }
    }

    fn error(&self, part: Range<usize>, source: io::Error) -> SpillError {
        let (offset, len) = (self.place.offset + part.start as u64, part.len() as u64);
        SpillError::Io {
            action: self.action(),
            path: self.shared.raw.path.clone(),
            offset,
            len,
            source,
        }
    }

    fn action(&self) -> &'static str {
        match self.direction {
            Direction::Write => "write",
            Direction::Read => "read",
        }
    }

    /// Counts one piece as ended; with the last one, a written buffer goes back and its error to who asks next.
    fn finish(&self, result: Result<(), SpillError>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.left = progress.left.saturating_sub(1);
        if let Err(error) = result {
            progress.error.get_or_insert(error);
        }
        if progress.left > 0 {
            return;
        }
        if self.direction == Direction::Write {
            let mut state = self.shared.lock();
            state.free.extend(progress.buffer.take());
            if let Some(error) = progress.error.take() {
                state.failed = true;
                state.failure.get_or_insert(error);
            }
        }
        drop(progress);
        self.gauge(|gauge| gauge.end(self.len as u64));
        self.ended.notify_all();
        self.shared.changed.notify_all();
    }

    fn gauge(&self, change: impl FnOnce(&mut super::shared::Gauge)) {
        let mut state = self.shared.lock();
        change(match self.direction {
            Direction::Write => &mut state.writes,
            Direction::Read => &mut state.reads,
        });
    }

    pub(super) fn has_ended(&self) -> bool {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).left == 0
    }

    fn wait(&self) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        while progress.left > 0 {
            progress = self.ended.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the end of a read; the buffer comes back whether it went well or not.
    pub(super) fn take(&self) -> (Option<Mapping>, Result<(), SpillError>) {
        self.wait();
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let error = progress.error.take();
        (progress.buffer.take(), error.map_or(Ok(()), Err))
    }
}
