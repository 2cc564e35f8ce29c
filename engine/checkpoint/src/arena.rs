//! Page-aligned memory under a byte budget, handed from one layer to the next.
//!
//! Arenas are anonymous private mappings: page-aligned, in huge pages where the system has them, taken from it without
//! touching a page, never zeroed again on reuse (the bytes of the layer before are simply overwritten).

use crate::io::Waker;
use crate::mapping::{HUGE, Mapping, PAGE};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How often a waiting [`ArenaPool::acquire`] looks whether it should give up.
const LOOK: Duration = Duration::from_millis(20);

/// Arenas under a budget: never more than `slots` in use and never more than `budget` bytes mapped.
///
/// Two ways to size them. [`ArenaPool::fixed`]: every arena has the same size, that of the largest unit; each is
/// mapped once, and pages are only touched as far as units reach. [`ArenaPool::shared`]: arenas are as large as each
/// unit needs, under a common budget; a large unit beside small ones then costs its bytes once, not once a slot.
/// [`ArenaPool::window`] says what budget lets a given sequence run without waiting for bytes.
///
/// Arenas are handed out strictly in the order in which they were asked for: a small request never overtakes a large
/// one that waits. So a sequence runs to its end if each of its units fits beside what its consumer still holds.
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
    /// Bytes of `idle`.
    idle_bytes: usize,
    /// Claims that wait, first come first served.
    queue: VecDeque<u64>,
    next_claim: u64,
    /// Who else wants to know that memory came back.
    listeners: Vec<Weak<Waker>>,
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
        self.lock().mapped()
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

    /// Gives idle arenas back to the system.
    #[cfg(test)]
    pub(crate) fn release_idle(&self) {
        let mut state = self.lock();
        state.idle.clear();
        state.idle_bytes = 0;
        // Who has pinned their pages lets go of them.
        self.changed(state);
    }

    /// Queues for an arena of `len` bytes. It is to be had from the claim once those who came before have theirs.
    ///
    /// # Errors
    /// [`AcquireError::TooLarge`] if it can never fit.
    pub(crate) fn claim(self: &Arc<Self>, len: usize) -> Result<Claim, AcquireError> {
        let size = self.size_for(len)?;
        let mut state = self.lock();
        let ticket = state.next_claim;
        state.next_claim += 1;
        state.queue.push_back(ticket);
        drop(state);
        Ok(Claim {
            pool: Arc::clone(self),
            len,
            size,
            ticket,
        })
    }

    /// Takes an arena of `len` bytes, waiting while slots or bytes are all in use or others wait in front. While it
    /// waits, `stop` is asked every 20 ms and whenever an arena comes back whether to give up.
    ///
    /// The contents are whatever was there before.
    ///
    /// # Errors
    /// [`AcquireError::TooLarge`] at once if it can never fit, [`AcquireError::Stopped`], [`AcquireError::System`].
    pub fn acquire(self: &Arc<Self>, len: usize, stop: impl Fn() -> bool) -> Result<Arena, AcquireError> {
        let claim = self.claim(len)?;
        let mut state = self.lock();
        loop {
            if let Some(mapping) = state.serve(&claim)? {
                self.changed(state);
                return Ok(claim.arena(mapping));
            }
            if stop() {
                // Dropping the claim takes the lock.
                drop(state);
                return Err(AcquireError::Stopped);
            }
            state = self
                .freed
                .wait_timeout(state, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Has `listener` woken whenever memory comes back, as long as it lives.
    pub(crate) fn listen(&self, listener: &Arc<Waker>) {
        self.lock().listeners.push(Arc::downgrade(listener));
    }

    /// Tells all who wait that something is different, without holding the lock meanwhile.
    fn changed(&self, mut state: MutexGuard<'_, State>) {
        state.listeners.retain(|listener| listener.strong_count() > 0);
        let listeners: Vec<_> = state.listeners.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        self.freed.notify_all();
        listeners.iter().for_each(|listener| listener.wake());
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
        state.in_use_bytes -= mapping.len();
        state.idle_bytes += mapping.len();
        state.idle.push(mapping);
        self.changed(state);
    }

    /// A panic elsewhere leaves the counts as they are; they are only changed in single steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Bytes mapped; never more than the budget.
    fn mapped(&self) -> usize {
        self.in_use_bytes + self.idle_bytes
    }

    /// A mapping for `claim`, if it is first in the queue and slots and bytes allow.
    fn serve(&mut self, claim: &Claim) -> io::Result<Option<Mapping>> {
        let (pool, size) = (&claim.pool, claim.size);
        let fits = self.in_use < pool.slots && self.in_use_bytes + size <= pool.budget;
        if self.queue.front() != Some(&claim.ticket) || !fits {
            return Ok(None);
        }
        let mapping = self.take(size, pool.budget, pool.largest())?;
        self.queue.pop_front();
        self.in_use += 1;
        self.in_use_bytes += size;
        Ok(Some(mapping))
    }

    /// A mapping of exactly `size` bytes: an idle one as it is; a new one while the budget has room; else an idle
    /// one made to measure, because what it keeps of its pages need not be asked of the system again.
    fn take(&mut self, size: usize, budget: usize, most: usize) -> io::Result<Mapping> {
        if let Some(at) = self.idle.iter().rposition(|mapping| mapping.len() == size) {
            return Ok(self.take_idle(at));
        }
        if self.mapped() + size <= budget {
            return Mapping::new(size, most);
        }
        let nearest = |mapping: &Mapping| (mapping.len() < size, mapping.len().abs_diff(size));
        let best = (0..self.idle.len()).min_by_key(|at| nearest(&self.idle[*at]));
        let kept = best.map(|at| self.take_idle(at));
        while self.mapped() + size > budget && !self.idle.is_empty() {
            self.take_idle(0);
        }
        if let Some(mut mapping) = kept
            && mapping.resize(size).is_ok()
        {
            return Ok(mapping);
        }
        Mapping::new(size, most)
    }

    fn take_idle(&mut self, at: usize) -> Mapping {
        let mapping = self.idle.swap_remove(at);
        self.idle_bytes -= mapping.len();
        mapping
    }
}

/// The size of a shared pool's arena for `len` bytes: whole pages, from 2 MiB on in steps of 2 MiB. Layers that
/// differ by a page or two then take each other's arena as it is.
fn step_up(len: usize) -> usize {
    len.max(1).next_multiple_of(if len < HUGE { PAGE } else { HUGE })
}

/// A place in the queue for an arena. Dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Claim {
    pool: Arc<ArenaPool>,
    len: usize,
    size: usize,
    ticket: u64,
}

impl Claim {
    /// The arena, if it is this claim's turn and there is room; never waits.
    pub(crate) fn try_take(&self) -> io::Result<Option<Arena>> {
        let taken = self.pool.lock().serve(self)?;
        Ok(taken.map(|mapping| self.arena(mapping)))
    }

    fn arena(&self, mapping: Mapping) -> Arena {
        Arena {
            mapping: Some(mapping),
            len: self.len,
            pool: Arc::clone(&self.pool),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        if let Some(at) = state.queue.iter().position(|ticket| *ticket == self.ticket) {
            state.queue.remove(at);
        }
        // Served or given up: the next one in the queue may look.
        self.pool.changed(state);
    }
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

    pub(crate) fn mapping(&mut self) -> Option<&mut Mapping> {
        self.mapping.as_mut()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.pool.give_back(mapping);
        }
    }
}

#[cfg(test)]
mod tests;
