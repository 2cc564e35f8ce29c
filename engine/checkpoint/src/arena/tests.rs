//! Arenas under a budget.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

fn never() -> bool {
    false
}

#[test]
fn fixed_arenas_are_aligned_and_come_back_as_they_were() {
    let pool = ArenaPool::fixed(2, 5000);
    assert_eq!((pool.budget(), pool.bytes(), pool.largest()), (4 * PAGE, 0, 2 * PAGE));
    let mut arena = pool.acquire(5000, never).unwrap();
    assert_eq!(
        (arena.as_slice().len(), arena.as_slice().as_ptr().align_offset(PAGE)),
        (5000, 0)
    );
    arena.as_mut_slice()[4999] = 9;
    let start = arena.as_slice().as_ptr();
    drop(arena);
    let again = pool.acquire(5000, never).unwrap();
    assert_eq!((again.as_slice().as_ptr(), again.as_slice()[4999]), (start, 9));
    assert_eq!(pool.bytes(), 2 * PAGE);
    drop(again);
}

#[test]
fn a_full_pool_makes_wait_until_one_comes_back() {
    let pool = ArenaPool::fixed(1, PAGE);
    let held = pool.acquire(1, never).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.acquire(1, never).map(|arena| arena.as_slice().len()));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiter.is_finished());
        drop(held);
        assert_eq!(waiter.join().unwrap().unwrap(), 1);
        let _held = pool.acquire(1, never).unwrap();
        let waiter = scope.spawn(|| pool.acquire(1, || stop.load(Ordering::Relaxed)));
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(waiter.join().unwrap(), Err(AcquireError::Stopped)));
    });
}

#[test]
fn what_can_never_fit_is_refused_at_once() {
    let error = ArenaPool::fixed(2, PAGE).acquire(PAGE + 1, never).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an arena of 4097 bytes was asked for and 4096 are allowed"
    );
    let error = ArenaPool::shared(2, 3 * PAGE).acquire(3 * PAGE + 1, never).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an arena of 12289 bytes was asked for and 12288 are allowed"
    );
}

#[test]
fn a_shared_pool_stays_under_its_budget_whatever_the_sizes() {
    let pool = ArenaPool::shared(2, 10 * PAGE);
    let sizes = [1, 8, 2, 2, 8, 1, 10, 3, 7];
    for (i, pages) in sizes.into_iter().cycle().take(200).enumerate() {
        let first = pool.acquire(pages * PAGE, never).unwrap();
        assert!(pool.bytes() <= 10 * PAGE, "step {i}: {} bytes", pool.bytes());
        let second = pool.acquire((10 - pages) * PAGE, || true);
        assert_eq!(second.is_ok(), pages < 10, "step {i}");
        assert!(pool.bytes() <= 10 * PAGE);
        drop(first);
    }
}

#[test]
fn a_unit_near_the_budget_is_not_rounded_out_of_it() {
    let pool = ArenaPool::shared(1, HUGE + PAGE);
    assert_eq!(pool.acquire(HUGE + 1, never).unwrap().as_slice().len(), HUGE + 1);
}

#[test]
fn the_window_counts_neighbours_across_the_end() {
    assert_eq!(ArenaPool::window(&[5 * PAGE, PAGE, 2 * PAGE, 4 * PAGE], 2), 9 * PAGE);
    assert_eq!(ArenaPool::window(&[3 * PAGE], 2), 6 * PAGE);
    assert_eq!(ArenaPool::window(&[HUGE + 1, PAGE], 1), 2 * HUGE);
    assert_eq!(ArenaPool::window(&[], 2), 0);
}

/// KiB in memory of the mappings from `start` on, `len` bytes long.
fn resident(start: usize, len: usize) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut within = false;
    let mut sum = 0;
    for line in maps.lines() {
        let (first, rest) = line.split_once([' ', ':']).unwrap();
        if let Some((from, _)) = first.split_once('-') {
            within = usize::from_str_radix(from, 16).is_ok_and(|from| (start..start + len).contains(&from));
        } else if within && first == "Rss" {
            sum += rest.trim().trim_end_matches(" kB").parse::<usize>().unwrap();
        }
    }
    sum
}

#[test]
fn a_dropped_pool_gives_its_pages_back() {
    let (pool, len) = (ArenaPool::fixed(1, 96 << 20), 96 << 20);
    let mut arena = pool.acquire(len, never).unwrap();
    arena.as_mut_slice().fill(1);
    let start = arena.as_slice().as_ptr() as usize;
    drop(arena);
    assert_eq!(
        resident(start, len),
        len >> 10,
        "the pages are in memory while the arena is idle"
    );
    drop(pool);
    assert!(resident(start, len) < len >> 11, "and gone with the pool");
}

#[test]
fn arenas_come_in_the_order_of_asking() {
    let pool = ArenaPool::shared(4, 10 * PAGE);
    let held = pool.acquire(8 * PAGE, never).unwrap();
    let large = pool.claim(4 * PAGE).unwrap();
    let small = pool.claim(PAGE).unwrap();
    assert!(large.try_take().unwrap().is_none(), "no room");
    assert!(small.try_take().unwrap().is_none(), "room, but not its turn");
    assert!(matches!(pool.acquire(PAGE, || true), Err(AcquireError::Stopped)));
    drop(held);
    assert!(small.try_take().unwrap().is_none());
    let first = large.try_take().unwrap().unwrap();
    let second = small.try_take().unwrap().unwrap();
    assert_eq!((first.as_slice().len(), second.as_slice().len()), (4 * PAGE, PAGE));
    // A claim that is given up makes way.
    let (large, small) = (pool.claim(6 * PAGE).unwrap(), pool.claim(2 * PAGE).unwrap());
    assert!(small.try_take().unwrap().is_none());
    drop(large);
    assert!(small.try_take().unwrap().is_some());
}

#[test]
fn changing_sizes_reuse_pages_once_the_budget_is_full() {
    let pool = ArenaPool::shared(1, 20 * PAGE);
    let start = |len: usize| pool.acquire(len, never).unwrap().as_slice().as_ptr();
    let (ten, eight) = (start(10 * PAGE), start(8 * PAGE));
    assert_ne!(ten, eight, "room for both");
    assert_eq!((start(10 * PAGE), start(8 * PAGE)), (ten, eight), "the same again");
    assert_eq!((start(9 * PAGE), pool.bytes()), (ten, 17 * PAGE), "the larger is cut");
    assert_eq!((start(12 * PAGE), pool.bytes()), (ten, 20 * PAGE), "the largest grows");
    assert_eq!(
        (start(20 * PAGE), pool.bytes()),
        (ten, 20 * PAGE),
        "and others make way"
    );
}
