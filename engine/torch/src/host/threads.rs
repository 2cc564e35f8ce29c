//! Rows on several threads.

use crate::threads;
use std::mem::MaybeUninit;

/// Bytes of results that are worth a thread of their own, which takes some 50 µs to start.
const LEAST: usize = 512 << 10;

/// Fills `out`, rows of `width` elements: `work` gets the number of its first row and the place for the results, once
/// per thread.
pub(super) fn share<T: Send>(
    out: &mut [MaybeUninit<T>],
    width: usize,
    work: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) {
    let bytes = size_of_val(out);
    share_among(threads().min(bytes / LEAST).max(1), out, width, work);
}

/// The same on `count` threads at most.
pub(super) fn share_among<T: Send>(
    count: usize,
    out: &mut [MaybeUninit<T>],
    width: usize,
    work: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) {
    let rows = out.len() / width.max(1);
    let each = rows.div_ceil(count.max(1)).max(1);
    if rows <= each {
        return work(0, out);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let mut parts = out.chunks_mut(each * width).enumerate();
        let own = parts.next();
        for (part, out) in parts {
            scope.spawn(move || work(part * each, out));
        }
        // this thread does the first part instead of waiting
        if let Some((_, out)) = own {
            work(0, out);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_filled_once_by_any_number_of_threads() {
        for (rows, count) in [(0, 3), (1, 3), (7, 1), (7, 3), (8, 4), (2, 5)] {
            let mut out = vec![MaybeUninit::new(0usize); rows * 3];
            share_among(count, &mut out, 3, |first, out| {
                for (i, place) in out.iter_mut().enumerate() {
                    place.write(1 + first + i / 3);
                }
            });
            // SAFETY: every element was made with a value.
            #[allow(unsafe_code)]
            let found: Vec<usize> = out.iter().map(|n| unsafe { n.assume_init() }).collect();
            let expected: Vec<usize> = (0..rows * 3).map(|i| 1 + i / 3).collect();
            assert_eq!(found, expected, "{rows} rows, {count} threads");
        }
    }
}
