//! Reading some of the files in every way that may be the best, to find the one that is.

use super::page_cache;
use crate::arena::ArenaPool;
use crate::checkpoint::FileId;
use crate::files::OpenFiles;
use crate::io::BackendKind::{Threads, Uring};
use crate::loader::{Loader, ReadOptions};
use crate::mapping::PAGE;
use crate::ranges::{LoadPlan, ReadRange};
use crate::unit::PlannedUnit;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// After this time no second round is begun.
const ENOUGH: Duration = Duration::from_millis(120);

/// A candidate earlier in the list is taken if it reaches this share of the best: differences below are chance, and
/// what else the processors do is not there while this is measured.
const AS_GOOD: f64 = 0.9;

/// What is read for one measurement: this many units, back to back.
const UNITS: u64 = 4;

/// Bytes of such a unit; fewer on drives that would take long.
const UNIT: u64 = 16 << 20;
const SLOW_UNIT: u64 = 4 << 20;

/// Below this rate in bytes a second, a drive is slow.
const SLOW: f64 = 400e6;

/// The best that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) options: ReadOptions,
    pub(super) bytes_per_second: f64,
}

/// The ways worth trying, best first if all are equally fast: those that cost the processor least and have most in
/// flight, for then the drive has work while the reader waits for its turn on busy processors.
fn candidates(direct: bool) -> Vec<ReadOptions> {
    let option = |backend, direct, depth, mib| ReadOptions {
        backend,
        direct,
        block_bytes: mib * MIB,
        depth,
    };
    let mut list = vec![option(Threads, false, 4, 2), option(Threads, false, 2, 8)];
    if direct {
        let around = [
            option(Uring, true, 16, 4),
            option(Uring, true, 8, 2),
            option(Threads, true, 8, 4),
        ];
        list.splice(0..0, around);
    } else {
        list.push(option(Uring, false, 8, 2));
    }
    list
}

/// Measures all candidates, in rounds, so that a passing disturbance does not hit one alone. `None` if none could be
/// measured.
pub(super) fn best(files: &Arc<OpenFiles>) -> Option<Best> {
    let start = Instant::now();
    let candidates = candidates(files.allow_direct());
    let mut places = Places::new(files);
    let pool = ArenaPool::fixed(UNITS as usize, UNIT as usize + 2 * PAGE);
    touch(&pool);
    // The first tells whether the drive is slow.
    let first = candidates
        .iter()
        .find_map(|options| rate(files, &pool, *options, SLOW_UNIT, &mut places))?;
    let unit = if first < SLOW { SLOW_UNIT } else { UNIT };
    let mut rates = vec![0.0_f64; candidates.len()];
    for round in 0..2 {
        let leader = rates.iter().copied().fold(0.0, f64::max);
        for (rate_so_far, options) in rates.iter_mut().zip(&candidates) {
            // Hopeless ones get no second chance.
            if round == 0 || *rate_so_far > 0.7 * leader {
                let measured = rate(files, &pool, *options, unit, &mut places).unwrap_or(0.0);
                *rate_so_far = rate_so_far.max(measured);
            }
        }
        if start.elapsed() > ENOUGH {
            break;
        }
    }
    pick(&candidates, &rates)
}

/// Takes the pool's memory from the system, so that the first candidate is not the one to wait for it.
fn touch(pool: &Arc<ArenaPool>) {
    let arenas: Vec<_> = (0..pool.slots())
        .filter_map(|_| pool.acquire(pool.largest(), || true).ok())
        .collect();
    for mut arena in arenas {
        arena.as_mut_slice().iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    }
}

/// The first candidate that is as good as the best.
fn pick(candidates: &[ReadOptions], rates: &[f64]) -> Option<Best> {
    let most = rates.iter().copied().fold(0.0, f64::max);
    let (options, _) = candidates
        .iter()
        .zip(rates)
        .find(|(_, rate)| **rate > 0.0 && **rate >= AS_GOOD * most)?;
    Some(Best {
        options: *options,
        bytes_per_second: most,
    })
}

/// Bytes a second of one way to read, over a stretch that nobody has read before.
fn rate(
    files: &Arc<OpenFiles>,
    pool: &Arc<ArenaPool>,
    options: ReadOptions,
    unit: u64,
    places: &mut Places<'_>,
) -> Option<f64> {
    let (file, offset) = places.next(UNITS * unit, options.direct)?;
    let loader = Loader::start(
        Arc::clone(files),
        Arc::clone(pool),
        options,
        Arc::new(AtomicBool::new(false)),
    )
    .ok()?;
    if loader.stats().how.backend != options.backend {
        // The kernel has none of this, and the other candidates cover what it does instead.
        return None;
    }
    let start = Instant::now();
    let units = (0..UNITS).map(|i| loader.request(Arc::new(stretch(file, offset + i * unit, unit))));
    let units: Vec<_> = units.collect::<Result<_, _>>().ok()?;
    let bytes = units
        .into_iter()
        .map(|unit| Some(unit.wait().ok()?.bytes()))
        .sum::<Option<u64>>()?;
    Some(bytes as f64 / start.elapsed().as_secs_f64())
}

/// A unit of one range.
fn stretch(file: FileId, file_offset: u64, len: u64) -> PlannedUnit {
    let arena_offset = (file_offset % PAGE as u64) as usize;
    let len = len as usize;
    let range = ReadRange {
        file,
        file_offset,
        len,
        arena_offset,
    };
    let arena_len = (arena_offset + len).next_multiple_of(PAGE);
    PlannedUnit {
        name: "probe".to_owned(),
        plan: LoadPlan {
            ranges: vec![range],
            slices: vec![],
            arena_len,
        },
    }
}

/// Places to read from, spread over the files, none of them twice.
struct Places<'a> {
    files: &'a OpenFiles,
    at: u64,
}

/// More than are ever read, so that they do not overlap in any checkpoint that is worth measuring.
const PLACES: u64 = 13;

impl<'a> Places<'a> {
    fn new(files: &'a OpenFiles) -> Places<'a> {
        Places {
            files,
            at: page_cache::random() % files.bytes().max(1),
        }
    }

    /// A stretch of `len` bytes within one file; one that is not in the page cache, unless that does not matter.
    fn next(&mut self, len: u64, cached_too: bool) -> Option<(FileId, u64)> {
        let total = self.files.bytes();
        for _ in 0..PLACES {
            self.at = (self.at + total / PLACES) % total;
            let (file, offset) = self.files.locate(self.at);
            let file_len = self.files.get(file).len;
            if file_len < len {
                continue;
            }
            let offset = offset.min(file_len - len) / PAGE as u64 * PAGE as u64;
            if cached_too || !page_cache::is_cached(self.files.get(file), offset, len) {
                return Some((file, offset));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_of_equals_is_picked_and_nothing_from_nothing() {
        let list = candidates(true);
        assert!(list[..3].iter().all(|options| options.direct) && !list[3].direct);
        assert!(candidates(false).iter().all(|options| !options.direct));
        let picked = |rates: &[f64]| pick(&list, rates).map(|best| (best.options, best.bytes_per_second));
        assert_eq!(picked(&[0.97e9, 1e9, 0.5e9, 0.2e9, 0.0]), Some((list[0], 1e9)));
        assert_eq!(picked(&[0.5e9, 0.5e9, 0.5e9, 0.2e9, 1e9]), Some((list[4], 1e9)));
        assert_eq!(picked(&[0.0; 5]), None);
    }
}
