//! What a schedule will take: seconds, bytes read and written.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::choose::{Batch, Schedule};
use super::cost::Costs;

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes a second that the checkpoint's drive gives.
    pub read: f64,
    /// Bytes a second that the drive of the output folder takes.
    pub write: f64,
    /// Floating point operations a second in matrix products of the compute type.
    pub flops: f64,
    /// Whether the rates were measured on this machine; else they are a guess.
    pub measured: bool,
}

/// A drive and a processor of no special speed.
impl Default for Rates {
    fn default() -> Self {
        Rates {
            read: 1e9,
            write: 0.5e9,
            flops: 1e11,
            measured: false,
        }
    }
}

/// Bytes a second at which weights come from main memory, which bounds products with few rows.
const MEMORY: f64 = 8e9;

/// Attention reaches this part of the rate of matrix products.
const ATTENTION: f64 = 0.4;

/// What a run will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Seconds in all.
    pub seconds: f64,
    /// Seconds of reading weights and of spilling, if nothing else were done.
    pub disk_seconds: f64,
    /// Seconds of computing, if all weights were there.
    pub compute_seconds: f64,
    /// Bytes of weights read.
    pub read_bytes: u64,
    /// Bytes of hidden state written to disk, and read again.
    pub spill_bytes: u64,
    /// Whether the rates behind it were measured on this machine.
    pub measured: bool,
}

/// What `schedule` will take. Disk and computing go on side by side where a unit is read ahead; then the longer of
/// the two counts, with the first unit that is read before anything can be computed.
pub(crate) fn predict(costs: &Costs, schedule: &Schedule, batches: &[Batch], rates: &Rates) -> Prediction {
    let read_bytes = read_bytes(costs, schedule, batches);
    let spill_bytes = match schedule.spill {
        true => batches.iter().map(|batch| batch.state).sum::<u64>() * costs.units.len().saturating_sub(1) as u64,
        false => 0,
    };
    let disk_seconds = read_bytes as f64 / rates.read + spill_bytes as f64 * (1.0 / rates.write + 1.0 / rates.read);
    let compute_seconds = compute_seconds(costs, batches, rates);
    let first = costs
        .units
        .first()
        .map_or(0.0, |unit| unit.plan.bytes as f64 / rates.read);
    let seconds = match schedule.slots {
        0 | 1 => disk_seconds + compute_seconds,
        _ => disk_seconds.max(compute_seconds) + first.min(disk_seconds),
    };
    Prediction {
        seconds,
        disk_seconds,
        compute_seconds,
        read_bytes,
        spill_bytes,
        measured: rates.measured,
    }
}

fn read_bytes(costs: &Costs, schedule: &Schedule, batches: &[Batch]) -> u64 {
    let sweeps = schedule.sweeps.len() as u64;
    let units = costs.units.iter().zip(&schedule.stays);
    let weights: u64 = units
        .map(|(unit, stays)| unit.plan.bytes * if *stays { sweeps.min(1) } else { sweeps })
        .sum();
    let tokens = |sweep: &Range<usize>| batches[sweep.clone()].iter().map(|batch| batch.tokens).sum::<u64>();
    let mut experts = 0;
    for tokens in schedule.sweeps.iter().map(tokens) {
        for (unit, all) in costs.units.iter().zip(&schedule.all_experts) {
            if let Some(apart) = &unit.apart {
                experts += if *all { apart.bytes() } else { apart.expected(tokens) };
            }
        }
    }
    costs.resident + weights + experts
}

/// Products of few rows are bound by the weights that come from memory for every micro-batch.
fn compute_seconds(costs: &Costs, batches: &[Batch], rates: &Rates) -> f64 {
    let per_token: u64 = costs.units.iter().map(|unit| unit.plan.flops_per_token).sum();
    let per_pair: u64 = costs.units.iter().map(|unit| unit.plan.flops_per_pair).sum();
    let weights: u64 = costs.units.iter().map(|unit| unit.plan.bytes).sum();
    let seconds = |batch: &Batch| {
        let product = batch.tokens as f64 * per_token as f64 / rates.flops;
        let attention = batch.squares / 2.0 * per_pair as f64 / (ATTENTION * rates.flops);
        product.max(weights as f64 / MEMORY) + attention
    };
    batches.iter().map(seconds).sum()
}
