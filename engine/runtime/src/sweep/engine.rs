//! Units over micro-batches.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use sli_checkpoint::{Checkpoint, Pending};
use sli_config::Diagnostic;
use sli_model::{DType, GraphInput, ModelPlan, Op, StackValue};
use sli_torch::{Device, DeviceError, ExecError, RtValue, TensorError};

use super::experts::ExpertBytes;
use super::feed::{Fed, Feed};
use super::micro::Micro;
use super::micros::Micros;
use super::placed::{Placed, Placement};
use super::ready::{Holders, Prepared};
use crate::data::Dataset;
use crate::demand::Demand;
use crate::error::{Result, RunError};
use crate::lookups::Lookup;
use crate::mixtures::Mixture;
use crate::observer::{Event, Observer};
use crate::plan::Schedule;
use crate::points::Points;
use crate::report::{Spilled, UnitTimes};
use crate::stages::{Context, Stage};
use crate::units::{Role, Unit};

/// What a sweep works with.
pub(crate) struct Inputs<'a> {
    /// The plan of the model.
    pub(crate) plan: &'a ModelPlan,
    /// Its units.
    pub(crate) units: &'a [Unit<'a>],
    /// What is wanted of them.
    pub(crate) demand: &'a Demand,
    /// Their mixtures whose experts are read on their own, by unit.
    pub(crate) mixtures: &'a [Vec<Mixture>],
    /// Their look-ups in tables that are read row by row, by unit.
    pub(crate) lookups: &'a [Vec<Lookup>],
    /// Named values.
    pub(crate) points: &'a Points,
    /// Where tensors lie.
    pub(crate) checkpoint: &'a Checkpoint,
    /// Weights that several units read.
    pub(crate) resident: Option<Placed>,
    /// What computes.
    pub(crate) device: Device,
    /// The documents.
    pub(crate) dataset: &'a Arc<Dataset>,
    /// Micro-batches and sweeps.
    pub(crate) schedule: &'a Schedule,
    /// The dataset's field of each stack.
    pub(crate) fields: &'a [usize],
    /// The type that matrices are multiplied in.
    pub(crate) compute: DType,
    /// Where hidden state is spilled.
    pub(crate) dir: &'a Path,
    /// Set from outside to stop.
    pub(crate) cancel: &'a AtomicBool,
    /// Whoever wants to know.
    pub(crate) observer: &'a dyn Observer,
}

/// Runs sweeps.
pub(crate) struct Engine<'a> {
    pub(super) inputs: Inputs<'a>,
    /// Where weights are brought.
    pub(super) placement: Placement,
    /// The next unit, if it has been brought there already.
    next: Option<Ahead>,
    pub(super) graphs: Vec<Prepared>,
    /// Values of stacks that later graphs read.
    pub(super) kept: HashSet<(String, StackValue)>,
    /// `let` values of the current stack that are the same for every micro-batch.
    pub(super) shared: HashMap<String, RtValue>,
    /// What was read of experts, if some are read on their own.
    pub(crate) expert_bytes: ExpertBytes,
    /// What hidden state went to disk and back.
    pub(crate) spilled: Spilled,
    /// Seconds from the start of the process to the first layer computing.
    pub(crate) startup: Option<f64>,
    /// Where time went, by unit.
    pub(crate) times: Vec<UnitTimes>,
}

impl<'a> Engine<'a> {
    /// Ready to sweep.
    pub(crate) fn new(inputs: Inputs<'a>, placement: Placement) -> Engine<'a> {
        let pairs = || inputs.units.iter().zip(&inputs.demand.units).take(inputs.demand.count);
        let graphs: Vec<Prepared> = pairs()
            .zip(inputs.mixtures.iter().zip(inputs.lookups))
            .map(|((unit, demand), (mixtures, lookups))| {
                Prepared::new(unit.graph, &demand.all(), mixtures.clone(), lookups)
            })
            .collect();
        let read = graphs.iter().flat_map(|prepared| &prepared.graph.nodes);
        let kept = read.filter_map(|node| match &node.op {
            Op::Input(GraphInput::Stack { stack, value }) => Some((stack.clone(), *value)),
            _ => None,
        });
        let kept = kept.collect();
        let times = pairs()
            .map(|(unit, _)| UnitTimes {
                unit: unit.role.name(inputs.plan),
                ..UnitTimes::default()
            })
            .collect();
        Engine {
            inputs,
            placement,
            next: None,
            graphs,
            kept,
            shared: HashMap::new(),
            expert_bytes: ExpertBytes::default(),
            spilled: Spilled::default(),
            startup: None,
            times,
        }
    }

    /// All sweeps. `feed` gives the units of every sweep in order.
    pub(crate) fn run(
        &mut self,
        feed: &mut Feed,
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<()> {
        let schedule = self.inputs.schedule;
        let observer = self.inputs.observer;
        for (index, sweep) in schedule.sweeps.iter().enumerate() {
            let batches = &schedule.micro_batches[sweep.clone()];
            let documents = documents(batches);
            observer.event(&Event::SweepStarted {
                sweep: index,
                of: schedule.sweeps.len(),
                documents: documents.len() as u64,
                tokens: self
                    .inputs
                    .dataset
                    .fields
                    .iter()
                    .map(|field| field.total(documents.clone()))
                    .sum(),
            });
            let micros: std::result::Result<Vec<Micro>, TensorError> = batches
                .iter()
                .map(|batch| Micro::new(self.inputs.dataset, batch.clone(), self.inputs.device))
                .collect();
            let micros = micros.map_err(|error| failed("batch", &error))?;
            let spill = schedule
                .spill
                .then_some((self.inputs.dir, &schedule.state_bytes[sweep.clone()]));
            let mut micros = Micros::new(micros, spill, self.inputs.device)?;
            for unit in 0..self.inputs.demand.count {
                self.unit(unit, feed, &mut micros, stages, context)?;
            }
            self.spilled.add(&micros.stats());
            observer.event(&Event::DocumentsDone {
                done: documents.end as u64,
                of: self.inputs.dataset.len() as u64,
            });
            if !observer.goes_on() {
                return Err(RunError::cancelled());
            }
        }
        Ok(())
    }

    fn unit(
        &mut self,
        index: usize,
        feed: &mut Feed,
        micros: &mut Micros,
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<()> {
        let (observer, of) = (self.inputs.observer, self.inputs.demand.count);
        let start = Instant::now();
        let Ahead {
            fed: mut ahead,
            placed,
            bytes,
            read_seconds,
        } = match self.next.take() {
            Some(next) => next,
            None => self.bring(feed)?,
        };
        let mut waited = start.elapsed().as_secs_f64();
        let name = self.times[index].unit.clone();
        observer.event(&Event::UnitLoaded { unit: &name, bytes });
        let unit = self.inputs.units[index];
        if matches!(unit.role, Role::Enter { .. }) {
            self.shared.clear();
        }
        let mut holders = vec![&placed];
        holders.extend(self.inputs.resident.as_ref());
        let holders = Holders {
            checkpoint: self.inputs.checkpoint,
            units: &holders,
        };
        let raw = self.graphs[index].weights(unit.bound, holders);
        let raw = raw.map_err(|error| failed(&name, &error))?;
        let ready = Instant::now();
        let weights = sli_torch::prepare(&self.graphs[index].graph, raw, self.inputs.compute).map_err(exec_error)?;
        let converted = ready.elapsed().as_secs_f64();
        let mut staged = 0.0;
        if matches!(unit.role, Role::Layer { .. }) && self.startup.is_none() {
            self.startup = crate::memory::since_start();
        }
        let computing = Instant::now();
        let count = micros.len();
        let for_experts = self.mixtures(index, &weights, (&placed, &mut ahead), feed, micros.in_memory())?;
        waited += for_experts;
        micros.each(index + 1 == of, |done, micro| {
            self.check_cancelled()?;
            self.bring_ahead(feed)?;
            self.look_up(index, &placed, micro)?;
            staged += self.whole(index, &weights, micro, stages, context)?;
            staged += self.chunks(index, &weights, micro, stages, context)?;
            observer.event(&Event::Computed {
                unit: &name,
                done: done + 1,
                of: count,
            });
            Ok(())
        })?;
        let times = &mut self.times[index];
        times.bytes += bytes;
        times.read_seconds += read_seconds;
        times.wait_seconds += waited;
        times.convert_seconds += converted;
        times.compute_seconds += computing.elapsed().as_secs_f64() - staged - for_experts;
        times.stage_seconds += staged;
        // The arena goes back before the next unit is asked for: with one arena the reader waits for it.
        drop((weights, placed));
        let seconds = start.elapsed().as_secs_f64();
        observer.event(&Event::UnitDone {
            unit: &name,
            index,
            of,
            seconds,
        });
        Ok(())
    }

    /// The next unit, waited for and brought to where it is used.
    fn bring(&mut self, feed: &mut Feed) -> Result<Ahead> {
        let Fed { unit, ahead } = feed.next().map_err(read_error)?;
        let (bytes, read_seconds) = (unit.bytes(), unit.read_seconds());
        Ok(Ahead {
            fed: ahead,
            placed: self.placement.place(unit).map_err(device_error)?,
            bytes,
            read_seconds,
        })
    }

    /// Brings the next unit to the device while this one computes, if it is there and has room. In main memory
    /// there is nothing to bring.
    fn bring_ahead(&mut self, feed: &mut Feed) -> Result<()> {
        let device = !self.inputs.device.is_cpu();
        if device && self.next.is_none() && self.placement.has_room() && feed.is_ready() {
            self.next = Some(self.bring(feed)?);
        }
        Ok(())
    }

    /// The dataset's field of a unit's tokens.
    pub(super) fn field(&self, index: usize) -> usize {
        self.inputs.fields[self.inputs.units[index].role.stack(self.inputs.plan)]
    }
}

/// A unit that has been brought to where it is used.
struct Ahead {
    /// Its experts on their way, by mixture.
    fed: Vec<VecDeque<Pending>>,
    placed: Placed,
    bytes: u64,
    read_seconds: f64,
}

fn documents(batches: &[Range<usize>]) -> Range<usize> {
    let start = batches.first().map_or(0, |batch| batch.start);
    start..batches.last().map_or(start, |batch| batch.end)
}

pub(super) fn failed(what: &str, error: &TensorError) -> RunError {
    RunError::run(Diagnostic::error(format!("`{what}`: {error}")))
}

/// A device failed.
pub(crate) fn device_error(error: DeviceError) -> RunError {
    RunError::run(Diagnostic::error(error.to_string()))
}

/// An operation failed: says where it was written.
pub(super) fn exec_error(error: ExecError) -> RunError {
    let origin = &error.origin;
    let mut diagnostic = Diagnostic::error(error.message.clone());
    if !origin.chain.is_empty() {
        diagnostic = diagnostic.note(format!("in {}", origin.chain));
    }
    if !origin.equation.is_empty() {
        diagnostic = diagnostic.note(format!("{} in {}", origin.equation, origin.file));
    }
    RunError::run(diagnostic)
}

/// Reading failed.
pub(crate) fn read_error(error: sli_checkpoint::ReadError) -> RunError {
    match error {
        sli_checkpoint::ReadError::Cancelled => RunError::cancelled(),
        other => RunError::run(Diagnostic::error(other.to_string())),
    }
}
