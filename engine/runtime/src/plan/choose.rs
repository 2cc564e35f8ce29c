//! Cutting the documents into micro-batches and sweeps under a budget.

use std::ops::Range;

use super::cost::Costs;
use crate::data::Dataset;
use crate::memory::{OVERHEAD, SLACK};

/// Tokens of a micro-batch that are tried, the first that costs no further sweep wins. More than the first
/// makes matrix products no faster; fewer make them slower.
const TARGETS: [u64; 5] = [1024, 512, 256, 128, 1];

/// Least bytes of logits that are in memory together, if one row does not need more.
const CHUNK_LEAST: u64 = 4 << 20;
/// Most bytes of logits that are in memory together.
const CHUNK_MOST: u64 = 64 << 20;

/// Steps in which the process's own size is counted, so that a plan does not depend on a few pages.
const STEP: u64 = 16 << 20;

/// The lengths of documents, as far as planning needs them.
pub(crate) struct Shape<'a> {
    /// The documents.
    pub(crate) dataset: &'a Dataset,
    /// `engine.memory` in bytes.
    pub(crate) budget: u64,
    /// The process in memory before weights are read, token ids included.
    pub(crate) process: u64,
    /// Units whose weights may be in memory at once, at most.
    pub(crate) arenas: usize,
}

/// Documents in micro-batches, micro-batches in sweeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Arenas.
    pub(crate) slots: usize,
    /// Bytes of all arenas.
    pub(crate) arena_bytes: u64,
    /// Bytes of the unit that needs most beside arenas and state.
    pub(crate) working: u64,
    /// Bytes of hidden state of the largest sweep.
    pub(crate) state: u64,
}

/// The schedule with the fewest sweeps, or the smallest budget that would work.
///
/// # Errors
/// The smallest `engine.memory` that works, in bytes.
pub(crate) fn choose(costs: &Costs, shape: &Shape<'_>) -> Result<Schedule, u64> {
    let taken = taken(shape.process) + costs.resident + costs.stages.fixed;
    let room = (shape.budget + OVERHEAD).saturating_sub(taken);
    let mut best: Option<Schedule> = None;
    for slots in (1..=shape.arenas.max(1)).rev() {
        for target in TARGETS {
            let most = (shape.budget / 16).clamp(CHUNK_LEAST, CHUNK_MOST);
            let Some(found) = fit(costs, shape.dataset, room, target, slots, most) else {
                continue;
            };
            // A second arena lets reading and computing overlap, which is worth twice the sweeps, but not more.
            let factor = best.as_ref().map_or(1, |best| if best.slots > slots { 2 } else { 1 });
            if best
                .as_ref()
                .is_none_or(|best| found.sweeps.len() * factor < best.sweeps.len())
            {
                best = Some(found);
            }
        }
    }
    best.ok_or_else(|| smallest(costs, shape))
}

/// The smallest `engine.memory` that works, in whole MiB.
pub(crate) fn smallest(costs: &Costs, shape: &Shape<'_>) -> u64 {
    let dataset = shape.dataset;
    let longest = (0..dataset.len())
        .map(|document| dataset.tokens(document))
        .max()
        .unwrap_or(0);
    let state = (0..dataset.len())
        .map(|document| state_of(costs, dataset, document..document + 1))
        .max()
        .unwrap_or(0);
    let chunk = chunk_rows(costs, CHUNK_LEAST);
    let all = taken(shape.process)
        + costs.resident
        + costs.stages.fixed
        + arenas(costs, 1)
        + working(costs, longest, chunk)
        + state;
    let budget = all.saturating_sub(OVERHEAD).next_multiple_of(1 << 20);
    // With a larger budget chunks are larger too: what works is what `fit` says.
    let works = |budget: u64| {
        let room = (budget + OVERHEAD).saturating_sub(taken(shape.process) + costs.resident + costs.stages.fixed);
        let most = (budget / 16).clamp(CHUNK_LEAST, CHUNK_MOST);
        TARGETS
            .iter()
            .any(|target| fit(costs, dataset, room, *target, 1, most).is_some())
    };
    let mut budget = budget.max(1 << 20);
    while !works(budget) {
        budget += (budget / 64).next_multiple_of(1 << 20);
    }
    budget
}

/// The process before weights are read, with the slack for allocator and libtorch; never less than what the
/// overhead is meant for, so that a plan does not depend on how much of libtorch is loaded yet.
pub(crate) fn taken(process: u64) -> u64 {
    (process + SLACK).max(OVERHEAD).next_multiple_of(STEP)
}

fn fit(costs: &Costs, dataset: &Dataset, room: u64, target: u64, slots: usize, chunk_bytes: u64) -> Option<Schedule> {
    let micro_batches = pack(dataset, target);
    let tokens =
        |documents: &Range<usize>| -> u64 { dataset.fields.iter().map(|field| field.total(documents.clone())).sum() };
    let micro_tokens = micro_batches.iter().map(tokens).max().unwrap_or(0);
    let chunk = chunk_rows(costs, chunk_bytes);
    let (arena_bytes, working) = (arenas(costs, slots), working(costs, micro_tokens, chunk));
    let left = room.checked_sub(arena_bytes + working)?;
    let (mut sweeps, mut state): (Vec<Range<usize>>, u64) = (Vec::new(), 0);
    let mut largest = 0;
    for (index, documents) in micro_batches.iter().enumerate() {
        let bytes = state_of(costs, dataset, documents.clone());
        match sweeps.last_mut() {
            Some(sweep) if state + bytes <= left => {
                sweep.end += 1;
                state += bytes;
            }
            _ if bytes <= left => {
                sweeps.push(index..index + 1);
                state = bytes;
            }
            _ => return None,
        }
        largest = largest.max(state);
    }
    let sweep_documents = |sweep: &Range<usize>| micro_batches[sweep.start].start..micro_batches[sweep.end - 1].end;
    let sweep_tokens = sweeps
        .iter()
        .map(|sweep| tokens(&sweep_documents(sweep)))
        .max()
        .unwrap_or(0);
    Some(Schedule {
        micro_batches,
        sweeps,
        micro_tokens,
        sweep_tokens,
        chunk,
        slots,
        arena_bytes,
        working,
        state: largest,
    })
}

/// Whole documents in a row, up to `target` tokens; a longer document is alone.
fn pack(dataset: &Dataset, target: u64) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for document in 0..dataset.len() {
        let own = dataset.tokens(document);
        match batches.last_mut() {
            Some(batch) if tokens + own <= target => batch.end += 1,
            _ => {
                batches.push(document..document + 1);
                tokens = 0;
            }
        }
        tokens += own;
    }
    batches
}

fn state_of(costs: &Costs, dataset: &Dataset, documents: Range<usize>) -> u64 {
    let count = documents.len() as u64;
    let per_field = dataset.fields.iter().zip(&costs.state_per_token);
    per_field
        .map(|(field, bytes)| field.total(documents.clone()) * bytes)
        .sum::<u64>()
        + count * costs.state_per_document
}

/// Bytes of `slots` arenas under a common budget.
fn arenas(costs: &Costs, slots: usize) -> u64 {
    let lens: Vec<usize> = costs.units.iter().map(|unit| unit.arena as usize).collect();
    sli_checkpoint::ArenaPool::window(&lens, slots) as u64
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
mod tests {
    use super::super::UnitPlan;
    use super::super::cost::{Chunk, UnitCost};
    use super::*;
    use crate::data::Field;

    const MIB: u64 = 1 << 20;

    fn dataset(lengths: &[usize]) -> Dataset {
        let mut field = Field::new("input_ids");
        lengths.iter().for_each(|length| field.push(&vec![1; *length]));
        let ids = (0..lengths.len()).map(|id| id.to_string().into()).collect();
        Dataset {
            ids,
            fields: vec![field],
            ..Dataset::default()
        }
    }

    /// Three units of 64 MiB arenas; 1 KiB of state and 16 KiB of working values a token.
    fn costs() -> Costs {
        let plan = UnitPlan {
            row_bytes: 16 << 10,
            ..UnitPlan::default()
        };
        let unit = UnitCost {
            plan,
            arena: 64 * MIB,
            chunk: None,
        };
        let head = UnitCost {
            chunk: Some(Chunk {
                row_bytes: 128 << 10,
                row_wise: true,
            }),
            ..unit.clone()
        };
        Costs {
            units: vec![unit.clone(), unit, head],
            state_per_token: vec![1 << 10],
            ..Costs::default()
        }
    }

    fn choose_for(lengths: &[usize], budget: u64) -> Result<Schedule, u64> {
        choose(
            &costs(),
            &Shape {
                dataset: &dataset(lengths),
                budget,
                process: 140 * MIB,
                arenas: 2,
            },
        )
    }

    #[test]
    fn everything_that_fits_goes_through_in_one_sweep() {
        let schedule = choose_for(&[500; 20], 512 * MIB).unwrap();
        assert_eq!(
            (schedule.sweeps.len(), schedule.slots, schedule.micro_tokens),
            (1, 2, 1000)
        );
        assert_eq!((schedule.sweep_tokens, schedule.micro_batches.len()), (10_000, 10));
        assert_eq!((schedule.arena_bytes, schedule.state), (128 * MIB, 10_000 << 10));
    }

    #[test]
    fn a_smaller_budget_makes_more_sweeps_and_documents_stay_whole_and_in_order() {
        let schedule = choose_for(&[700; 400], 256 * MIB).unwrap();
        assert!(schedule.sweeps.len() > 1);
        let documents: Vec<usize> = schedule.micro_batches.iter().cloned().flatten().collect();
        assert_eq!(documents, (0..400).collect::<Vec<_>>());
        let batches: Vec<usize> = schedule.sweeps.iter().cloned().flatten().collect();
        assert_eq!(batches, (0..schedule.micro_batches.len()).collect::<Vec<_>>());
        let used = schedule.arena_bytes + schedule.working + schedule.state + taken(140 * MIB);
        assert!(used <= 256 * MIB + OVERHEAD, "{used}");
    }

    #[test]
    fn a_budget_that_cannot_work_names_the_smallest_that_does() {
        let smallest = choose_for(&[3000, 10], 50 * MIB).unwrap_err();
        assert!(smallest > 100 * MIB && smallest < 200 * MIB, "{smallest}");
        let schedule = choose_for(&[3000, 10], smallest).unwrap();
        assert_eq!((schedule.slots, schedule.micro_tokens), (1, 3000));
        assert_eq!(choose_for(&[3000, 10], smallest - MIB).unwrap_err(), smallest);
    }

    #[test]
    fn a_large_process_leaves_less_room() {
        let small = choose_for(&[10], 1).unwrap_err();
        let shape = Shape {
            dataset: &dataset(&[10]),
            budget: 1,
            process: 400 * MIB,
            arenas: 2,
        };
        let large = choose(&costs(), &shape).unwrap_err();
        assert_eq!(large - small, taken(400 * MIB) - taken(140 * MIB));
        assert_eq!(
            taken(1),
            taken(150 * MIB),
            "what is loaded of libtorch does not count twice"
        );
    }

    #[test]
    fn a_document_longer_than_a_micro_batch_is_alone_in_it() {
        assert_eq!(pack(&dataset(&[10, 2000, 10, 10]), 1024), [0..1, 1..2, 2..4]);
        assert_eq!(pack(&dataset(&[512, 512, 1]), 1024), [0..2, 2..3]);
    }
}
