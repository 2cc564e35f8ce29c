//! The two ends of a request: who waits, and who reads.

use super::{Shared, lock};
use crate::read_error::ReadError;
use crate::unit::{LoadedUnit, PlannedUnit};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A unit that was asked for.
///
/// Dropping it does not stop reads that are in flight, but no more are started for it, and its arena goes back to the
/// pool as soon as they have ended.
#[derive(Debug)]
pub struct Pending {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    name: String,
}

/// Where the answer is put.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Waiting,
    Ready(Arc<LoadedUnit>),
    Failed,
}

/// A request on its way to the loader's thread.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) unit: Arc<PlannedUnit>,
    pub(super) ticket: Ticket,
}

/// The reading end. Dropped without a delivery, it tells the waiting end that nothing will come.
#[derive(Debug)]
pub(super) struct Ticket {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

/// Both ends of a request.
pub(super) fn pair(shared: &Arc<Shared>, name: &str) -> (Pending, Ticket) {
    let slot = Arc::<Slot>::default();
    let ticket = Ticket {
        slot: Arc::clone(&slot),
        shared: Arc::clone(shared),
    };
    (
        Pending {
            slot,
            shared: Arc::clone(shared),
            name: name.to_owned(),
        },
        ticket,
    )
}

impl Pending {
    /// Waits for the unit.
    ///
    /// # Errors
    /// The first to wait in vain is told why the reading ended; all others get [`ReadError::Cancelled`].
    pub fn wait(self) -> Result<Arc<LoadedUnit>, ReadError> {
        let mut state = lock(&self.slot.state);
        loop {
            match std::mem::take(&mut *state) {
                State::Waiting => state = self.slot.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                State::Ready(unit) => return Ok(unit),
                State::Failed => return Err(self.shared.tell()),
            }
        }
    }

    /// Whether [`Pending::wait`] would return at once.
    pub fn is_ready(&self) -> bool {
        !matches!(*lock(&self.slot.state), State::Waiting)
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Ticket {
    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }

    pub(super) fn deliver(self, unit: LoadedUnit) {
        *lock(&self.slot.state) = State::Ready(Arc::new(unit));
        // Dropping the ticket tells the one who waits.
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.fail(ReadError::Thread {
                reason: "it panicked".to_owned(),
            });
        }
        let mut state = lock(&self.slot.state);
        if matches!(*state, State::Waiting) {
            *state = State::Failed;
        }
        drop(state);
        self.slot.changed.notify_all();
    }
}
