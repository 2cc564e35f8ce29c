//! Page-aligned memory under a byte budget, handed from one layer to the next.
//!
//! Arenas are anonymous private mappings: page-aligned, taken from the system without touching a page, never zeroed
//! again on reuse (the bytes of the layer before are simply overwritten), and given back at once when dropped.

// A mapping is made, viewed as bytes and unmapped here; that cannot be said in safe Rust. Nothing else in this crate
// may use `unsafe`.
#![allow(unsafe_code)]

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Alignment of arenas, and the unit in which they are sized: what direct I/O asks for on every common drive.
pub const PAGE: usize = 4096;

/// From this size on, the arenas of a shared pool are sized in steps of it: layers that differ by a page or two then
/// take each other's arena as it is.
const STEP: usize = 2 << 20;

/// How often a waiting [`ArenaPool::acquire`] looks whether it should give up.
const LOOK: Duration = Duration::from_millis(20);

/// Arenas under a budget: never more than `slots` in use and never more than `budget` bytes mapped.
///
/// Two ways to size them. [`ArenaPool::fixed`]: every arena has the same size, that of the largest unit; each is
/// mapped once, and pages are only touched as far as units reach. [`ArenaPool::shared`]: arenas are as large as each
/// unit needs, under a common budget; a large unit beside small ones then costs its bytes once, not once a slot.
/// [`ArenaPool::window`] says what budget lets a given sequence run without waiting for bytes.
#[derive(Debug)]
pub struct ArenaPool {
    state: Mutex<State>,
    freed: Condvar,
    slots: usize,
    budget: usize,
    fixed: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Mapping>,
    in_use: usize,
    in_use_bytes: usize,
    /// Bytes of `idle`; always `in_use_bytes + idle_bytes <= budget`.
    idle_bytes: usize,
}

/// Why there is no arena.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// It would never fit.
    #[error("an arena of {needed} bytes was asked for and {allowed} are allowed")]
    TooLarge {
        /// Bytes asked for.
        needed: usize,
        /// The most that one arena of this pool may have.
        allowed: usize,
    },
    /// The caller asked to give up.
    #[error("waiting for an arena was given up")]
    Stopped,
    /// The system has no memory.
    #[error("cannot map memory: {0}")]
    System(#[from] io::Error),
}

impl ArenaPool {
    /// A pool of `slots` arenas of `slot_bytes` each (rounded up to whole pages).
    ///
    /// # Panics
    /// If `slots` is 0.
    pub fn fixed(slots: usize, slot_bytes: usize) -> Arc<ArenaPool> {
        let slot = slot_bytes.max(1).next_multiple_of(PAGE);
        Self::new(slots, slot.saturating_mul(slots), Some(slot))
    }

    /// A pool of at most `slots` arenas of any size, together at most `budget` bytes.
    ///
    /// # Panics
    /// If `slots` is 0.
    pub fn shared(slots: usize, budget: usize) -> Arc<ArenaPool> {
        Self::new(slots, budget, None)
    }

    fn new(slots: usize, budget: usize, fixed: Option<usize>) -> Arc<ArenaPool> {
        assert!(slots > 0, "a pool needs at least one arena");
        Arc::new(ArenaPool {
            state: Mutex::default(),
            freed: Condvar::new(),
            slots,
            budget,
            fixed,
        })
    }

    /// The budget of a shared pool that lets units of `lens` bytes, run through in this order again and again, be
    /// read `slots - 1` units ahead: the largest sum over `slots` neighbours, the last being followed by the first.
    pub fn window(lens: &[usize], slots: usize) -> usize {
        let sum = |start: usize| (start..start + slots).map(|i| step_up(lens[i % lens.len()])).sum();
        (0..lens.len()).map(sum).max().unwrap_or(0)
    }

    /// Bytes mapped now, in use or idle: what the pool holds of the process's memory at most.
    pub fn bytes(&self) -> usize {
        let state = self.lock();
        state.in_use_bytes + state.idle_bytes
    }

    /// The most bytes that are ever mapped.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// The most arenas that are in use together.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The most bytes that one arena can have.
    pub fn largest(&self) -> usize {
        self.fixed.unwrap_or(self.budget)
    }

    /// Gives idle arenas back to the system, as before work that needs the memory more.
    pub fn release_idle(&self) {
        let mut state = self.lock();
        state.idle.clear();
        state.idle_bytes = 0;
    }

    /// Takes an arena of `len` bytes, waiting while slots or bytes are all in use. While it waits, `stop` is asked
    /// every 20 ms and after every [`ArenaPool::wake`] whether to give up.
    ///
    /// The contents are whatever was there before.
    ///
    /// # Errors
    /// [`AcquireError::TooLarge`] at once if it can never fit, [`AcquireError::Stopped`], [`AcquireError::System`].
    pub fn acquire(self: &Arc<Self>, len: usize, stop: impl Fn() -> bool) -> Result<Arena, AcquireError> {
        let size = self.size_for(len)?;
        let mut state = self.lock();
        while state.in_use == self.slots || state.in_use_bytes + size > self.budget {
            if stop() {
                return Err(AcquireError::Stopped);
            }
            state = self
                .freed
                .wait_timeout(state, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let mapping = state.take(size, self.budget)?;
        state.in_use += 1;
        state.in_use_bytes += size;
        drop(state);
        Ok(Arena {
            mapping: Some(mapping),
            len,
            pool: Arc::clone(self),
        })
    }

    /// Makes every waiting [`ArenaPool::acquire`] ask its `stop` now.
    pub fn wake(&self) {
        self.freed.notify_all();
    }

    fn size_for(&self, len: usize) -> Result<usize, AcquireError> {
        let allowed = self.largest();
        // Near the budget, steps must not make a unit too large that fits by itself.
        let size = self.fixed.unwrap_or_else(|| step_up(len).min(allowed / PAGE * PAGE));
        if len > size || size == 0 {
            return Err(AcquireError::TooLarge { needed: len, allowed });
        }
        Ok(size)
    }

    fn give_back(&self, mapping: Mapping) {
        let mut state = self.lock();
        state.in_use -= 1;
        state.in_use_bytes -= mapping.len;
        state.idle_bytes += mapping.len;
        state.idle.push(mapping);
        drop(state);
        self.freed.notify_all();
    }

    /// A panic elsewhere leaves the counts as they are; they are only changed in single steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An idle mapping of exactly `size` bytes, else a new one, for which idle ones make room if the budget asks.
    fn take(&mut self, size: usize, budget: usize) -> io::Result<Mapping> {
        if let Some(at) = self.idle.iter().rposition(|mapping| mapping.len == size) {
            self.idle_bytes -= size;
            return Ok(self.idle.swap_remove(at));
        }
        while self.in_use_bytes + self.idle_bytes + size > budget {
            let Some(unmapped) = self.idle.pop() else {
                break;
            };
            self.idle_bytes -= unmapped.len;
        }
        Mapping::new(size)
    }
}

/// The size of a shared pool's arena for `len` bytes: whole pages, from 2 MiB on in steps of 2 MiB.
fn step_up(len: usize) -> usize {
    len.max(1).next_multiple_of(if len < STEP { PAGE } else { STEP })
}

/// One arena in use. Dropping it gives it back to its pool.
#[derive(Debug)]
pub struct Arena {
    /// `None` only while dropping.
    mapping: Option<Mapping>,
    len: usize,
    pool: Arc<ArenaPool>,
}

impl Arena {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.mapping {
            Some(mapping) => &mapping.bytes()[..self.len],
            None => &[],
        }
    }

    /// The bytes, to be overwritten.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.mapping {
            Some(mapping) => &mut mapping.bytes_mut()[..self.len],
            None => &mut [],
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.pool.give_back(mapping);
        }
    }
}

/// An anonymous private mapping, owned.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    /// A multiple of [`PAGE`], not zero.
    len: usize,
}

// SAFETY: a `Mapping` is the only owner of its pages, and gives access to them only through `&self` and `&mut self`.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&self` gives only `&[u8]`.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize) -> io::Result<Mapping> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: without an address hint or `FIXED` the kernel picks pages that nothing else uses.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Mapping { start, len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable for `len` bytes as long as `self` lives, fresh pages read as zeroes (so all
        // bytes are initialised), and writing needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; the mapping is writable, and `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the mapping this value owns; slices borrowed from it have ended.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap of an owned mapping: {unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
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
        pool.release_idle();
        assert_eq!(pool.bytes(), 0);
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
            pool.wake();
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
        let pool = ArenaPool::shared(1, STEP + PAGE);
        assert_eq!(pool.acquire(STEP + 1, never).unwrap().as_slice().len(), STEP + 1);
    }

    #[test]
    fn the_window_counts_neighbours_across_the_end() {
        assert_eq!(ArenaPool::window(&[5 * PAGE, PAGE, 2 * PAGE, 4 * PAGE], 2), 9 * PAGE);
        assert_eq!(ArenaPool::window(&[3 * PAGE], 2), 6 * PAGE);
        assert_eq!(ArenaPool::window(&[STEP + 1, PAGE], 1), 2 * STEP);
        assert_eq!(ArenaPool::window(&[], 2), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_dropped_pool_gives_its_pages_back() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
        };
        let before = resident();
        let pool = ArenaPool::fixed(1, 256 << 20);
        pool.acquire(256 << 20, never).unwrap().as_mut_slice().fill(1);
        assert!(
            resident() >= before + (200 << 20),
            "the pages are in memory while the arena is idle"
        );
        drop(pool);
        assert!(resident() < before + (100 << 20), "and gone with the pool");
    }
}
