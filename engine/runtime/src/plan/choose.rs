//! Choosing how a run goes: super-batches, what stays in memory, how experts are read, whether hidden state is spilled.
//!
//! Every way that fits the budget is priced ([`super::predict`]) and the fastest is taken; among equals the simpler
//! one, which is the earlier. A way is: experts apart from their layer or with it, one or more units of weights in
//! memory, the size of micro-batches, hidden state in memory or on disk, and how many units stay in memory.

use std::ops::Range;

use sli_checkpoint::{ArenaPool, SpillFile, SpillOptions};

use super::cost::{Costs, INDEX, UnitCost};
use super::predict::{Prediction, Rates, predict};
use crate::data::Dataset;
use crate::memory::{OVERHEAD, SLACK};

/// Tokens of a micro-batch that are tried. More than the first makes matrix products no faster; fewer make them slower.
const TARGETS: [u64; 5] = [1024, 512, 256, 128, 1];

/// Least bytes of logits that are in memory together, if one row does not need more.
const CHUNK_LEAST: u64 = 4 << 20;
/// Most bytes of logits that are in memory together.
const CHUNK_MOST: u64 = 64 << 20;

/// Steps in which the process's own size is counted, so that a plan does not depend on a few pages.
const STEP: u64 = 16 << 20;

/// Parts of the memory for hidden state that are tried for weights that stay.
const SHARES: u64 = 8;

/// A way must be that much faster than a simpler one.
const FASTER: f64 = 0.99;

/// What [`smallest`] says where something else than main memory is missing: more than any machine has.
pub(crate) const NONE: u64 = 1 << 60;

/// Bytes that stay in memory for every document whose hidden state is on disk.
const DOCUMENT: u64 = 512;

/// A way that takes as long must read less than this part of what a simpler one reads.
const LESS: f64 = 0.9;

/// A way that spills must be that much faster than one that does not.
const SPILL: f64 = 0.75;

/// Experts are read ahead, all of them, where fewer than this part is expected not to be hit.
const ALL_HIT: f64 = 0.995;

/// What planning needs to know beside the model.
pub(crate) struct Shape<'a> {
    /// The documents.
    pub(crate) dataset: &'a Dataset,
    /// `engine.memory` in bytes.
    pub(crate) budget: u64,
    /// The process in memory before weights are read, token ids included.
    pub(crate) process: u64,
    /// Budget of the memory of the device that computes, if that is not main memory.
    pub(crate) device_budget: Option<u64>,
    /// Units that may be read ahead of the one that computes.
    pub(crate) ahead: usize,
    /// Whether hidden state may be, or has to be, on disk: `[false]`, `[true]` or both.
    pub(crate) spill: &'a [bool],
    /// Whether the experts of a layer are all read: `None` leaves it open.
    pub(crate) all_experts: Option<bool>,
    /// What the machine does.
    pub(crate) rates: Rates,
}

/// Documents in micro-batches, micro-batches in sweeps, and where everything is meanwhile.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schedule {
    /// Documents of each micro-batch.
    pub(crate) micro_batches: Vec<Range<usize>>,
    /// Micro-batches of each sweep.
    pub(crate) sweeps: Vec<Range<usize>>,
    /// Most tokens of a micro-batch.
    pub(crate) micro_tokens: u64,
    /// Most tokens of a sweep.
    pub(crate) sweep_tokens: u64,
    /// Tokens whose logits are in memory together.
    pub(crate) chunk: u64,
    /// Units whose weights are in memory together.
    pub(crate) slots: usize,
    /// Bytes of all arenas, those of units that stay among them.
    pub(crate) arena_bytes: u64,
    /// Units that stay in memory after the first sweep.
    pub(crate) stays: Vec<bool>,
    /// Bytes of arenas of the units that stay.
    pub(crate) stay_bytes: u64,
    /// Units whose experts are all read ahead, hit or not.
    pub(crate) all_experts: Vec<bool>,
    /// Bytes of experts that are read together.
    pub(crate) group_bytes: u64,
    /// Slots of the device's memory that weights are brought to, and bytes of each; none where they are used in main
    /// memory.
    pub(crate) device_slots: (usize, u64),
    /// Hidden state is on disk.
    pub(crate) spill: bool,
    /// Bytes of the unit that needs most beside arenas and state.
    pub(crate) working: u64,
    /// Bytes of hidden state of each micro-batch.
    pub(crate) state_bytes: Vec<u64>,
    /// Bytes of hidden state in memory in the largest sweep.
    pub(crate) state: u64,
    /// What it will take.
    pub(crate) prediction: Prediction,
}

/// The fastest schedule over all layouts, with the number of its layout; or the smallest budget that would work.
///
/// # Errors
/// The smallest `engine.memory` that works, in bytes.
pub(crate) fn choose(layouts: &[&Costs], shape: &Shape<'_>) -> Result<(usize, Schedule), u64> {
    let mut best: Option<(usize, Schedule)> = None;
    for (number, costs) in layouts.iter().enumerate() {
        let taken = taken(shape.process) + costs.resident + costs.stages.fixed;
        let room = (shape.budget + OVERHEAD).saturating_sub(taken);
        for found in ways(costs, shape, room) {
            if best.as_ref().is_none_or(|(_, best)| found.beats(best)) {
                best = Some((number, found));
            }
        }
    }
    best.ok_or_else(|| layouts.iter().map(|costs| smallest(costs, shape)).min().unwrap_or(NONE))
}

impl Schedule {
    /// Whether it is worth more than a simpler one: faster, or as fast with less from the disk. Spilling wears the
    /// drive, so it must gain more.
    fn beats(&self, simpler: &Schedule) -> bool {
        let (own, other) = (&self.prediction, &simpler.prediction);
        let factor = if self.spill && !simpler.spill { SPILL } else { FASTER };
        let reads_less = (own.read_bytes as f64) < LESS * other.read_bytes as f64;
        let as_fast = own.seconds <= other.seconds / FASTER;
        own.seconds < factor * other.seconds || (as_fast && reads_less && self.spill == simpler.spill)
    }
}

/// Every way that fits.
fn ways(costs: &Costs, shape: &Shape<'_>, room: u64) -> Vec<Schedule> {
    let mut found = Vec::new();
    let packed = TARGETS.map(|target| pack(costs, shape.dataset, target));
    for spill in shape.spill {
        for slots in (1..=shape.ahead + 1).rev() {
            for batches in &packed {
                found.extend(Way::new(costs, shape, room, batches, slots, *spill).fit());
            }
        }
    }
    found
}

/// The smallest `engine.memory` that works, in whole MiB; [`NONE`] if none does.
pub(crate) fn smallest(costs: &Costs, shape: &Shape<'_>) -> u64 {
    let packed = TARGETS.map(|target| pack(costs, shape.dataset, target));
    let works = |mib: u64| {
        let shape = Shape {
            budget: mib << 20,
            ..*shape
        };
        let taken = taken(shape.process) + costs.resident + costs.stages.fixed;
        let room = (shape.budget + OVERHEAD).saturating_sub(taken);
        let way = |batches, spill| Way::new(costs, &shape, room, batches, 1, spill).works();
        packed
            .iter()
            .any(|batches| shape.spill.iter().any(|spill| way(batches, *spill)))
    };
    let (mut low, mut high) = (0, 1);
    while !works(high) {
        (low, high) = (high, 2 * high);
        if high > NONE >> 20 {
            return NONE;
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match works(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    high << 20
}

/// The process before weights are read, with the slack for allocator and libtorch; never less than what the
/// overhead is meant for, so that a plan does not depend on how much of libtorch is loaded yet.
pub(crate) fn taken(process: u64) -> u64 {
    (process + SLACK).max(OVERHEAD).next_multiple_of(STEP)
}

/// Documents that go through a unit together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// Which.
    pub(crate) documents: Range<usize>,
    /// Their tokens, of all fields.
    pub(crate) tokens: u64,
    /// Sum of the squares of their lengths.
    pub(crate) squares: f64,
    /// Bytes of their hidden state.
    pub(crate) state: u64,
}

/// One way to run, before it is known whether it fits.
#[derive(Clone, Copy)]
struct Way<'a> {
    costs: &'a Costs,
    shape: &'a Shape<'a>,
    room: u64,
    batches: &'a [Batch],
    slots: usize,
    chunk: u64,
    spill: bool,
}

impl<'a> Way<'a> {
    fn new(
        costs: &'a Costs,
        shape: &'a Shape<'a>,
        room: u64,
        batches: &'a [Batch],
        slots: usize,
        spill: bool,
    ) -> Way<'a> {
        let most = (shape.budget / 16).clamp(CHUNK_LEAST, CHUNK_MOST);
        Way {
            costs,
            shape,
            room,
            batches,
            slots,
            chunk: chunk_rows(costs, most),
            spill,
        }
    }

    /// The schedules of this way: nothing stays, some units stay, all do.
    fn fit(&self) -> Vec<Schedule> {
        let units = &self.costs.units;
        let Some(plain) = self.with(vec![false; units.len()], 0) else {
            return Vec::new();
        };
        let several = plain.sweeps.len() > 1;
        let mut found = vec![plain];
        for share in (1..=SHARES).filter(|_| several) {
            let most = self.room / SHARES * share;
            let (mut stays, mut bytes) = (vec![false; units.len()], 0);
            for (unit, stays) in units.iter().zip(&mut stays) {
                let arena = ArenaPool::window(&[unit.arena as usize], 1) as u64;
                *stays = bytes + arena <= most;
                bytes += if *stays { arena } else { 0 };
            }
            found.extend(self.with(stays, bytes));
        }
        found
    }

    fn works(&self) -> bool {
        self.sweeps(&vec![false; self.costs.units.len()], 0).is_some()
    }

    /// Micro-batches in sweeps, with the most bytes of hidden state in memory, if that fits beside the rest.
    fn sweeps(&self, stays: &[bool], stay_bytes: u64) -> Option<(Vec<Range<usize>>, u64)> {
        if self.spill && self.costs.units.iter().any(|unit| unit.apart.is_some()) {
            return None; // rows of all micro-batches meet at every expert
        }
        let most = self.batches.iter().map(|batch| batch.tokens).max().unwrap_or(0);
        let (arenas, working) = (self.arenas(stays), working(self.costs, most, self.chunk));
        let main = self.room.checked_sub(stay_bytes + arenas)?;
        // Where a device computes, hidden state and all other values are in its memory.
        let left = match self.shape.device_budget {
            None => main.checked_sub(working)?,
            Some(budget) => {
                let (slots, bytes) = self.device_slots();
                budget.checked_sub(slots as u64 * bytes + self.costs.resident + working)?
            }
        };
        match self.spill {
            true => {
                let state = self.buffers();
                let one = std::iter::once(0..self.batches.len()).collect();
                (state <= left).then_some((one, state))
            }
            false => sweeps(self.batches, left),
        }
    }

    /// Bytes of the arenas that weights are read into. Those of a device have one size and stay where they are, for
    /// their pages are locked.
    fn arenas(&self, stays: &[bool]) -> u64 {
        match self.shape.device_budget {
            None => arenas(self.costs, stays, self.slots),
            Some(_) => (self.slots as u64 + 1) * self.device_slots().1,
        }
    }

    /// One slot computes while the next is filled, for units and for groups of experts.
    fn device_slots(&self) -> (usize, u64) {
        if self.shape.device_budget.is_none() {
            return (0, 0);
        }
        let groups = self
            .costs
            .units
            .iter()
            .filter_map(|unit| unit.apart.as_ref())
            .map(|apart| apart.group);
        let units = self.costs.units.iter().map(|unit| unit.arena);
        let slots = if groups.clone().next().is_some() { 4 } else { 2 };
        (slots, groups.chain(units).max().unwrap_or(0))
    }

    fn with(&self, stays: Vec<bool>, stay_bytes: u64) -> Option<Schedule> {
        let costs = self.costs;
        let (sweeps, state) = self.sweeps(&stays, stay_bytes)?;
        let micro_tokens = self.batches.iter().map(|batch| batch.tokens).max().unwrap_or(0);
        let tokens = |sweep: &Range<usize>| {
            self.batches[sweep.clone()]
                .iter()
                .map(|batch| batch.tokens)
                .sum::<u64>()
        };
        let sweep_tokens = sweeps.iter().map(tokens).max().unwrap_or(0);
        let mut schedule = Schedule {
            micro_batches: self.batches.iter().map(|batch| batch.documents.clone()).collect(),
            micro_tokens,
            sweep_tokens,
            chunk: self.chunk,
            slots: self.slots,
            arena_bytes: stay_bytes + self.arenas(&stays),
            device_slots: self.device_slots(),
            stay_bytes,
            all_experts: costs
                .units
                .iter()
                .map(|unit| self.all_experts(unit, sweep_tokens))
                .collect(),
            group_bytes: group_limit(self.shape.budget),
            stays,
            spill: self.spill,
            working: working(costs, micro_tokens, self.chunk),
            state_bytes: self.batches.iter().map(|batch| batch.state).collect(),
            state,
            sweeps,
            prediction: Prediction::default(),
        };
        schedule.prediction = predict(costs, &schedule, self.batches, &self.shape.rates);
        Some(schedule)
    }

    /// Whether the experts of a unit are read ahead.
    fn all_experts(&self, unit: &UnitCost, tokens: u64) -> bool {
        unit.apart.as_ref().is_some_and(|apart| {
            let nearly_all = apart.expected(tokens) as f64 >= ALL_HIT * apart.bytes() as f64;
            self.shape.all_experts.unwrap_or(nearly_all)
        })
    }

    /// Memory of hidden state that is on disk: buffers, and what stays for every token and document.
    fn buffers(&self) -> u64 {
        let dataset = self.shape.dataset;
        let slots: Vec<u64> = self.batches.iter().map(|batch| batch.state).collect();
        let all: u64 = self.batches.iter().map(|batch| batch.tokens).sum();
        let largest = slots.iter().copied().max().unwrap_or(0);
        let buffers = SpillFile::memory(&slots, SpillOptions::default());
        buffers + largest + all * INDEX + DOCUMENT * dataset.len() as u64
    }
}

/// Bytes of experts that are read together at most, unless one is larger.
pub(crate) fn group_limit(budget: u64) -> u64 {
    (budget / 16).clamp(8 << 20, 128 << 20)
}

/// Micro-batches in as few sweeps as `left` bytes of hidden state allow, and the most bytes that one has.
fn sweeps(batches: &[Batch], left: u64) -> Option<(Vec<Range<usize>>, u64)> {
    let (mut sweeps, mut state): (Vec<Range<usize>>, u64) = (Vec::new(), 0);
    let mut largest = 0;
    for (index, batch) in batches.iter().enumerate() {
        match sweeps.last_mut() {
            Some(sweep) if state + batch.state <= left => {
                sweep.end += 1;
                state += batch.state;
            }
            _ if batch.state <= left => {
                sweeps.push(index..index + 1);
                state = batch.state;
            }
            _ => return None,
        }
        largest = largest.max(state);
    }
    Some((sweeps, largest))
}

/// Whole documents in a row, up to `target` tokens; a longer document is alone.
fn pack(costs: &Costs, dataset: &Dataset, target: u64) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for document in 0..dataset.len() {
        let tokens = dataset.tokens(document);
        let state = state_of(costs, dataset, document);
        match batches.last_mut() {
            Some(batch) if batch.tokens + tokens <= target => {
                batch.documents.end += 1;
                batch.tokens += tokens;
                batch.squares += (tokens as f64).powi(2);
                batch.state += state;
            }
            _ => batches.push(Batch {
                documents: document..document + 1,
                tokens,
                squares: (tokens as f64).powi(2),
                state,
            }),
        }
    }
    batches
}

/// Bytes of hidden state of a document.
fn state_of(costs: &Costs, dataset: &Dataset, document: usize) -> u64 {
    let apart = costs.apart_per_token.iter().chain(std::iter::repeat(&0));
    let per_field = dataset.fields.iter().zip(costs.state_per_token.iter().zip(apart));
    per_field
        .map(|(field, (bytes, apart))| field.total(document..document + 1) * (bytes + apart))
        .sum::<u64>()
        + costs.state_per_document
}

/// Bytes of the arenas that units which do not stay are read into, `slots` of them at a time, with their experts.
fn arenas(costs: &Costs, stays: &[bool], slots: usize) -> u64 {
    let units = costs.units.iter().zip(stays).filter(|(_, stays)| !**stays);
    let lens: Vec<usize> = units.map(|(unit, _)| unit.arena as usize).collect();
    let groups = costs
        .units
        .iter()
        .filter_map(|unit| unit.apart.as_ref())
        .map(|apart| apart.group)
        .max();
    ArenaPool::window(&lens, slots) as u64 + slots as u64 * groups.unwrap_or(0)
}

fn working(costs: &Costs, tokens: u64, chunk: u64) -> u64 {
    costs
        .units
        .iter()
        .map(|unit| unit.working(tokens, chunk, &costs.stages))
        .max()
        .unwrap_or(0)
}

/// Rows of logits that take at most `bytes`; at least one.
fn chunk_rows(costs: &Costs, bytes: u64) -> u64 {
    let row = costs
        .units
        .iter()
        .filter_map(|unit| unit.chunk)
        .map(|chunk| chunk.row_bytes + costs.stages.per_chunk_row)
        .max();
    row.map_or(1, |row| (bytes / row.max(1)).max(1))
}

#[cfg(test)]
mod tests;
