//! Mixtures of experts over all micro-batches of a sweep: choose first, then one expert after the other.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sli_checkpoint::Pending;
use sli_model::{Op, Value};
use sli_torch::Weights;

use super::engine::{Engine, device_error, exec_error, failed, read_error};
use super::feed::Feed;
use super::micro::Micro;
use super::placed::Placed;
use super::ready::{self, Holders};
use crate::error::{Result, RunError};
use crate::mixtures::Mixture;
use crate::observer::Event;

/// Bytes of experts in all sweeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpertBytes {
    /// Bytes of all experts of the layers that were run: what reading every expert would have taken.
    pub all_bytes: u64,
    /// Bytes of the experts that some token chose.
    pub hit_bytes: u64,
    /// Bytes that were read for experts.
    pub read_bytes: u64,
    /// Experts that some token chose, over all layers and sweeps.
    pub hits: u64,
}

impl Engine<'_> {
    /// Runs every mixture of a unit that is run apart; the values it leads to are then known to each micro-batch.
    /// Returns the seconds spent waiting for experts.
    pub(super) fn mixtures(
        &mut self,
        index: usize,
        weights: &Weights,
        (unit, ahead): (&Placed, &mut [VecDeque<Pending>]),
        feed: &mut Feed,
        micros: &mut [Micro],
    ) -> Result<f64> {
        let mut waited = 0.0;
        let mixtures = std::mem::take(&mut self.graphs[index].mixtures);
        for (place, mixture) in mixtures.iter().enumerate() {
            self.check_cancelled()?;
            let node = &self.inputs.units[index].graph.nodes[mixture.node as usize];
            let Op::Experts(op) = &node.op else { continue };
            let mut run = sli_torch::Mixture::new(op, &node.origin, self.inputs.compute);
            for micro in &mut *micros {
                self.check_cancelled()?;
                self.lead(index, weights, mixture, &node.inputs, micro, &mut run)?;
            }
            waited += self.experts(index, (place, mixture), &mut run, (unit, &mut *ahead), feed)?;
            let value = Value {
                node: mixture.node,
                out: 0,
            };
            let results = run.finish().map_err(exec_error)?;
            micros.iter_mut().zip(results).for_each(|(micro, result)| {
                micro.known.insert(value, result);
            });
        }
        self.graphs[index].mixtures = mixtures;
        Ok(waited)
    }

    /// What leads to a mixture, for one micro-batch.
    fn lead(
        &self,
        index: usize,
        weights: &Weights,
        mixture: &Mixture,
        inputs: &[Option<Value>],
        micro: &mut Micro,
        run: &mut sli_torch::Mixture<'_>,
    ) -> Result<()> {
        let given: Vec<Value> = inputs.iter().flatten().copied().collect();
        let wanted: Vec<Value> = mixture.kept.iter().copied().chain(given).collect();
        let made = self.compute(index, weights, micro, &wanted, None)?;
        let (kept, given) = made.split_at(mixture.kept.len());
        let [x, chosen, weight @ ..] = given else {
            return Ok(());
        };
        run.push(x, chosen, weight.first()).map_err(exec_error)?;
        micro.known = mixture.kept.iter().copied().zip(kept.iter().cloned()).collect();
        Ok(())
    }

    /// Every expert that was chosen, as the files hold them. Returns the seconds spent waiting.
    fn experts(
        &mut self,
        index: usize,
        (place, mixture): (usize, &Mixture),
        run: &mut sli_torch::Mixture<'_>,
        (unit, ahead): (&Placed, &mut [VecDeque<Pending>]),
        feed: &mut Feed,
    ) -> Result<f64> {
        let name = self.times[index].unit.clone();
        let (checkpoint, limit) = (self.inputs.checkpoint, self.inputs.schedule.group_bytes);
        let hit: Vec<bool> = run.counts().iter().map(|count| *count > 0).collect();
        let ahead = ahead.get_mut(place).map(std::mem::take);
        let wanted = if ahead.is_some() {
            vec![true; hit.len()]
        } else {
            hit.clone()
        };
        let groups = mixture.groups(&name, &wanted, limit, checkpoint);
        let pending = match ahead {
            Some(ahead) => ahead,
            None => {
                let last = place + 1 == self.inputs.mixtures[index].len();
                feed.experts(groups.iter().map(|group| group.unit.clone()), last)
                    .map_err(read_error)?
            }
        };
        let mut waited = 0.0;
        for (group, pending) in groups.iter().zip(pending) {
            let start = Instant::now();
            let loaded = pending.wait().map_err(read_error)?;
            waited += start.elapsed().as_secs_f64();
            self.inputs.observer.event(&Event::UnitLoaded {
                unit: &name,
                bytes: loaded.bytes(),
            });
            self.expert_bytes.read_bytes += loaded.bytes();
            self.times[index].bytes += loaded.bytes();
            self.times[index].read_seconds += loaded.read_seconds();
            let placed = self.placement.place(loaded).map_err(device_error)?;
            let mut units = vec![&placed, unit];
            units.extend(self.inputs.resident.as_ref());
            let holders = Holders {
                checkpoint,
                units: &units,
            };
            for expert in group.experts.iter().copied().filter(|expert| hit[*expert]) {
                self.check_cancelled()?;
                let raw = ready::expert(&mixture.experts[expert], holders).map_err(|error| failed(&name, &error))?;
                run.run(expert, raw).map_err(exec_error)?;
                self.expert_bytes.hit_bytes += mixture.experts[expert].bytes;
                self.expert_bytes.hits += 1;
            }
        }
        self.expert_bytes.all_bytes += mixture.bytes();
        Ok(waited)
    }

    pub(super) fn check_cancelled(&self) -> Result<()> {
        match self.inputs.cancel.load(Ordering::Relaxed) {
            true => Err(RunError::cancelled()),
            false => Ok(()),
        }
    }
}
