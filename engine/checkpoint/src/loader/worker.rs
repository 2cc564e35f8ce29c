//! The loader's thread.

// The memory of arenas is handed to the backend by address.
#![allow(unsafe_code)]

use super::cut::Cursor;
use super::pending::{Request, Ticket};
use super::{ReadOptions, Shared, lock};
use crate::arena::{AcquireError, Arena, ArenaPool, Claim};
use crate::checkpoint::FileId;
use crate::files::OpenFiles;
use crate::io::{Backend, Direction, Done, InFlight, Op, Piece, Step};
use crate::read_error::ReadError;
use crate::unit::{LoadedUnit, PlannedUnit};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the cancel flag is looked at while something is going on.
const LOOK: Duration = Duration::from_millis(20);

/// What the loader's thread owns. The order of the fields is the order in which a panic drops them.
pub(super) struct Worker {
    /// First: it waits for the requests in flight, into arenas that must still be there.
    backend: Backend,
    in_flight: InFlight<InUnit>,
    /// Units that have an arena, in the order of requests.
    active: VecDeque<Active>,
    /// Units that wait for one.
    waiting: VecDeque<Waiting>,
    next_number: u64,
    /// Nothing new is begun.
    failed: bool,
    files: Arc<OpenFiles>,
    pool: Arc<ArenaPool>,
    options: ReadOptions,
    cancel: Arc<AtomicBool>,
    clock: Clock,
    /// Last: nobody is told anything after this.
    closer: Closer,
}

/// A block in flight.
struct InUnit {
    number: u64,
    file: FileId,
    piece: Piece,
}

struct Waiting {
    number: u64,
    request: Request,
    claim: Claim,
}

struct Active {
    number: u64,
    unit: Arc<PlannedUnit>,
    /// `None` once nobody is to be told: what is in flight is only waited for.
    ticket: Option<Ticket>,
    arena: Arena,
    cursor: Cursor,
    in_flight: usize,
    since: Instant,
}

impl Active {
    fn is_read(&self) -> bool {
        self.in_flight == 0 && self.cursor.is_at_end(&self.unit.plan)
    }

    fn has_more(&self) -> bool {
        self.ticket.is_some() && !self.cursor.is_at_end(&self.unit.plan)
    }
}

impl Worker {
    pub(super) fn new(
        backend: Backend,
        files: Arc<OpenFiles>,
        pool: Arc<ArenaPool>,
        options: ReadOptions,
        shared: Arc<Shared>,
        cancel: Arc<AtomicBool>,
    ) -> Worker {
        let options = ReadOptions {
            direct: options.direct && files.allow_direct(),
            backend: backend.kind(),
            ..options
        };
        lock(&shared.stats).how = options;
        Worker {
            backend,
            in_flight: InFlight::new(options.depth),
            active: VecDeque::new(),
            waiting: VecDeque::new(),
            next_number: 0,
            failed: false,
            files,
            pool,
            options,
            cancel,
            clock: Clock {
                since: Instant::now(),
                reading: false,
                starved: false,
            },
            closer: Closer(shared),
        }
    }

    /// Reads until the loader is dropped.
    pub(super) fn run(mut self) {
        let mut done = Vec::new();
        loop {
            self.backend.prepare(None);
            self.receive();
            self.forget_abandoned();
            self.submit();
            let idle = self.active.is_empty() && self.waiting.is_empty();
            if idle && self.closer.0.closing.load(Ordering::Relaxed) {
                return;
            }
            self.tick();
            if let Err(error) = self.backend.wait((!idle).then_some(LOOK), &mut done) {
                let reason = format!("the kernel takes no more requests ({error})");
                return self.fail(0, ReadError::Thread { reason });
            }
            self.tick();
            done.drain(..).for_each(|done| self.finish(done));
        }
    }

    /// Takes new requests, or ends what cannot go on.
    fn receive(&mut self) {
        let closing = self.closer.0.closing.load(Ordering::Relaxed);
        if !self.failed && (closing || self.cancel.load(Ordering::Relaxed)) {
            self.fail(0, ReadError::Cancelled);
        }
        for request in self.closer.0.take_requests() {
            if self.failed {
                // Its ticket tells.
                continue;
            }
            let number = self.next_number;
            self.next_number += 1;
            match self.pool.claim(request.unit.plan.arena_len) {
                Ok(claim) => self.waiting.push_back(Waiting { number, request, claim }),
                Err(error) => {
                    let error = acquire_error(&request.unit, error);
                    self.fail(number, error);
                }
            }
        }
    }

    /// Reads nothing more for units that nobody waits for.
    fn forget_abandoned(&mut self) {
        self.waiting.retain(|waiting| !waiting.request.ticket.is_abandoned());
        for active in &mut self.active {
            active.ticket.take_if(|ticket| ticket.is_abandoned());
        }
        self.active
            .retain(|active| active.in_flight > 0 || active.ticket.is_some());
    }

    /// Puts as many blocks in flight as may be, of the first unit that has some.
    fn submit(&mut self) {
        while !self.in_flight.is_full() {
            match self.active.iter().position(Active::has_more) {
                Some(at) => self.submit_block(at),
                None if self.begin_unit() => {}
                None => return,
            }
        }
    }

    fn submit_block(&mut self, at: usize) {
        let active = &mut self.active[at];
        let Some((file, piece)) = active.cursor.next(&active.unit.plan, &self.files, self.options) else {
            return;
        };
        let number = active.number;
        self.push(at, InUnit { number, file, piece });
    }

    fn push(&mut self, at: usize, block: InUnit) {
        let active = &mut self.active[at];
        let Some(mapping) = active.arena.mapping() else { return };
        let (piece, ask) = (block.piece, block.piece.ask());
        assert!(piece.at + ask <= mapping.len(), "a block beyond its arena: {piece:?}");
        let start = mapping.as_mut_ptr().wrapping_add(piece.at);
        let id = self.in_flight.insert(block);
        active.in_flight += 1;
        // SAFETY: the bytes lie in the arena, which `active` keeps until none of its requests is in flight, and the
        // backend is dropped before `active` is. Nobody reads the arena before it is delivered, and blocks of a plan
        // share no byte (its ranges share no page, and blocks of a range follow each other).
        self.backend
            .push(unsafe { Op::new(id, Direction::Read, piece.fd(), piece.offset, start, ask) });
    }

    /// Gets an arena for the next unit in line, if there is one to be had.
    fn begin_unit(&mut self) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        match next.claim.try_take() {
            Ok(None) => false,
            Ok(Some(mut arena)) => {
                let Some(Waiting { number, request, .. }) = self.waiting.pop_front() else {
                    return false;
                };
                self.backend.prepare(Some(&mut arena));
                self.active.push_back(Active {
                    number,
                    unit: request.unit,
                    ticket: Some(request.ticket),
                    arena,
                    cursor: Cursor::default(),
                    in_flight: 0,
                    since: Instant::now(),
                });
                true
            }
            Err(error) => {
                let (number, error) = (
                    next.number,
                    acquire_error(&next.request.unit, AcquireError::System(error)),
                );
                self.fail(number, error);
                false
            }
        }
    }

    /// Takes the result of one block.
    fn finish(&mut self, done: Done) {
        let InUnit { number, file, piece } = self.in_flight.remove(&done);
        let Some(at) = self.active.iter().position(|active| active.number == number) else {
            return;
        };
        self.active[at].in_flight -= 1;
        match piece.after(done.result) {
            Step::Complete => {}
            Step::Again(piece) if self.active[at].ticket.is_some() => {
                return self.push(at, InUnit { number, file, piece });
            }
            Step::Again(_) => {}
            Step::Failed(piece, error) => {
                let error = self.files.read_error(file, piece.offset, piece.need as u64, error);
                self.fail(number, error);
            }
        }
        if self.active[at].is_read()
            && let Some(Active {
                unit,
                ticket: Some(ticket),
                arena,
                since,
                ..
            }) = self.active.remove(at)
        {
            self.deliver(
                LoadedUnit::new(unit, Some(arena), since.elapsed().as_secs_f64()),
                ticket,
            );
        }
    }

    fn deliver(&self, unit: LoadedUnit, ticket: Ticket) {
        tracing::trace!(
            unit = unit.name(),
            bytes = unit.bytes(),
            seconds = unit.read_seconds(),
            "read"
        );
        let mut stats = lock(&self.closer.0.stats);
        stats.units += 1;
        stats.bytes += unit.bytes();
        drop(stats);
        ticket.deliver(unit);
    }

    /// Ends the unit of this number and all behind it, and begins nothing more. Those in front may end well.
    fn fail(&mut self, number: u64, error: ReadError) {
        self.closer.0.fail(error);
        self.failed = true;
        self.waiting.clear();
        for active in self.active.iter_mut().filter(|active| active.number >= number) {
            active.ticket = None;
        }
    }

    /// Brings the times of the statistics up to now.
    fn tick(&mut self) {
        let seconds = self.clock.since.elapsed().as_secs_f64();
        let mut stats = lock(&self.closer.0.stats);
        stats.read_seconds += if self.clock.reading { seconds } else { 0.0 };
        stats.arena_wait_seconds += if self.clock.starved { seconds } else { 0.0 };
        self.clock = Clock {
            since: Instant::now(),
            reading: self.in_flight.count() > 0,
            starved: !self.in_flight.is_full() && !self.waiting.is_empty(),
        };
    }
}

/// What the time since the last look is to be counted as.
struct Clock {
    since: Instant,
    reading: bool,
    starved: bool,
}

/// Tells those who come too late that nothing will come.
struct Closer(Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn acquire_error(unit: &PlannedUnit, error: AcquireError) -> ReadError {
    let name = unit.name.clone();
    match error {
        AcquireError::TooLarge { needed, allowed } => ReadError::UnitTooLarge {
            unit: name,
            needed,
            allowed,
        },
        AcquireError::Stopped => ReadError::Cancelled,
        AcquireError::System(source) => ReadError::NoMemory {
            unit: name,
            len: unit.plan.arena_len,
            source,
        },
    }
}
