//! Rows on several threads.

use crate::threads;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

/// Bytes of results that are worth a thread of their own, which takes some 50 µs to start.
const LEAST: usize = 512 << 10;
/// Bytes of results that a thread takes at a time: the other core may be busy with reading, and the faster
/// thread then does more.
const PIECE: usize = 128 << 10;

/// Calls `turn` on `count` threads, this one among them, and waits for all. Where the system gives fewer, fewer
/// do the work: `turn` takes what is left until nothing is.
pub(super) fn together(count: usize, turn: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..count {
            let _ = std::thread::Builder::new().spawn_scoped(scope, &turn);
        }
        turn();
    });
}

/// Fills `out`, rows of `width` elements, on as many threads as it is worth: `work` gets the number of its first row and
/// the place for the results.
pub(super) fn share<T: Send>(
    out: &mut [MaybeUninit<T>],
    width: usize,
    work: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) {
    let count = threads().min(size_of_val(out) / LEAST);
    let rows = PIECE / (width * size_of::<T>()).max(1);
    share_among(count, out, width * rows.max(1), |piece, out| {
        work(piece * rows.max(1), out)
    });
}

/// Fills `out` on `count` threads: `work` gets the number of a piece of `len` elements (the last may be shorter) and the
/// piece.
pub(super) fn share_among<T: Send>(
    count: usize,
    out: &mut [MaybeUninit<T>],
    len: usize,
    work: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) {
    let pieces = Mutex::new(out.chunks_mut(len.max(1)).enumerate());
    let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
    together(count, || {
        while let Some((piece, out)) = next() {
            work(piece, out);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_filled_once_by_any_number_of_threads() {
        for (len, piece, count) in [(0, 3, 3), (3, 3, 3), (21, 6, 1), (21, 6, 3), (24, 6, 4), (6, 100, 5)] {
            let mut out = vec![MaybeUninit::new(0usize); len];
            share_among(count, &mut out, piece, |number, out| {
                for (i, place) in out.iter_mut().enumerate() {
                    place.write(1 + number * piece + i);
                }
            });
            // SAFETY: every element was made with a value.
            #[allow(unsafe_code)]
            let found: Vec<usize> = out.iter().map(|n| unsafe { n.assume_init() }).collect();
            let expected: Vec<usize> = (1..=len).collect();
            assert_eq!(found, expected, "{len} in pieces of {piece}, {count} threads");
        }
    }

    #[test]
    fn work_of_many_pieces_gets_the_rows_it_is_told() {
        let (rows, width) = (3000, 70);
        let mut out = vec![MaybeUninit::new(0u64); rows * width];
        share(&mut out, width, |first, out| {
            for (i, place) in out.iter_mut().enumerate() {
                place.write((first + i / width) as u64);
            }
        });
        // SAFETY: every element was made with a value.
        #[allow(unsafe_code)]
        let found = out.iter().map(|n| unsafe { n.assume_init() });
        assert!(found.enumerate().all(|(i, row)| row == (i / width) as u64));
    }
}
