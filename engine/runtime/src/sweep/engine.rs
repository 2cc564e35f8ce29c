//! Units over micro-batches.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sli_checkpoint::{Checkpoint, LayerReader, LoadedUnit};
use sli_config::Diagnostic;
use sli_model::infer::{Dim, ValueType};
use sli_model::{DType, GraphInput, ModelPlan, Op, StackValue, Value};
use sli_torch::{Batch, ExecError, RtValue, TensorError};

use super::chunk::Chunk;
use super::deliver::{deliver, pieces_of};
use super::micro::Micro;
use super::ready::Prepared;
use crate::data::Dataset;
use crate::demand::{Demand, is_last_layer};
use crate::error::{Result, RunError};
use crate::observer::{Event, Observer};
use crate::plan::Schedule;
use crate::points::Points;
use crate::report::UnitTimes;
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
    /// Named values.
    pub(crate) points: &'a Points,
    /// Where tensors lie.
    pub(crate) checkpoint: &'a Checkpoint,
    /// Weights that stay.
    pub(crate) resident: Option<Arc<LoadedUnit>>,
    /// The documents.
    pub(crate) dataset: &'a Arc<Dataset>,
    /// Micro-batches and sweeps.
    pub(crate) schedule: &'a Schedule,
    /// The dataset's field of each stack.
    pub(crate) fields: &'a [usize],
    /// The type that matrices are multiplied in.
    pub(crate) compute: DType,
    /// Set from outside to stop.
    pub(crate) cancel: &'a AtomicBool,
    /// Whoever wants to know.
    pub(crate) observer: &'a dyn Observer,
}

/// Runs sweeps.
pub(crate) struct Engine<'a> {
    inputs: Inputs<'a>,
    graphs: Vec<Prepared>,
    /// Values of stacks that later graphs read.
    kept: HashSet<(String, StackValue)>,
    /// `let` values of the current stack that are the same for every micro-batch.
    shared: HashMap<String, RtValue>,
    /// Where time went, by unit.
    pub(crate) times: Vec<UnitTimes>,
}

impl<'a> Engine<'a> {
    /// Ready to sweep.
    pub(crate) fn new(inputs: Inputs<'a>) -> Engine<'a> {
        let pairs = || inputs.units.iter().zip(&inputs.demand.units).take(inputs.demand.count);
        let graphs: Vec<Prepared> = pairs()
            .map(|(unit, demand)| Prepared::new(unit.graph, &demand.all()))
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
            graphs,
            kept,
            shared: HashMap::new(),
            times,
        }
    }

    /// All sweeps. `reader` gives the units of every sweep in order.
    pub(crate) fn run(
        &mut self,
        reader: &mut LayerReader,
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
                .map(|batch| Micro::new(self.inputs.dataset, batch.clone()))
                .collect();
            let mut micros = micros.map_err(|error| failed("batch", &error))?;
            for unit in 0..self.inputs.demand.count {
                self.unit(unit, reader, &mut micros, stages, context)?;
            }
            observer.event(&Event::DocumentsDone {
                done: documents.end as u64,
                of: self.inputs.dataset.len() as u64,
            });
        }
        Ok(())
    }

    fn unit(
        &mut self,
        index: usize,
        reader: &mut LayerReader,
        micros: &mut [Micro],
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<()> {
        let (observer, of) = (self.inputs.observer, self.inputs.demand.count);
        let start = Instant::now();
        let loaded = reader
            .next()
            .unwrap_or(Err(sli_checkpoint::ReadError::Cancelled))
            .map_err(read_error)?;
        let waited = start.elapsed().as_secs_f64();
        let name = self.times[index].unit.clone();
        observer.event(&Event::UnitLoaded {
            unit: &name,
            bytes: loaded.bytes(),
        });
        let unit = self.inputs.units[index];
        if matches!(unit.role, Role::Enter { .. }) {
            self.shared.clear();
        }
        let raw = self.graphs[index].weights(
            unit.bound,
            self.inputs.checkpoint,
            &loaded,
            self.inputs.resident.as_ref(),
        );
        let raw = raw.map_err(|error| failed(&name, &error))?;
        let ready = Instant::now();
        let weights = sli_torch::prepare(&self.graphs[index].graph, raw, self.inputs.compute).map_err(exec_error)?;
        let converted = ready.elapsed().as_secs_f64();
        let mut staged = 0.0;
        let computing = Instant::now();
        let count = micros.len();
        for (done, micro) in micros.iter_mut().enumerate() {
            if self.inputs.cancel.load(Ordering::Relaxed) {
                return Err(RunError::cancelled());
            }
            staged += self.whole(index, &weights, micro, stages, context)?;
            staged += self.chunks(index, &weights, micro, stages, context)?;
            observer.event(&Event::Computed {
                unit: &name,
                done: done + 1,
                of: count,
            });
        }
        let times = &mut self.times[index];
        times.bytes += loaded.bytes();
        times.read_seconds += loaded.read_seconds();
        times.wait_seconds += waited;
        times.convert_seconds += converted;
        times.compute_seconds += computing.elapsed().as_secs_f64() - staged;
        times.stage_seconds += staged;
        // The arena goes back before the next unit is asked for: with one arena the reader waits for it.
        drop((weights, loaded));
        let seconds = start.elapsed().as_secs_f64();
        observer.event(&Event::UnitDone {
            unit: &name,
            index,
            of,
            seconds,
        });
        Ok(())
    }

    /// Everything of a unit that is made for a whole micro-batch. Returns the seconds that stages took.
    fn whole(
        &mut self,
        index: usize,
        weights: &sli_torch::Weights,
        micro: &mut Micro,
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<f64> {
        let demand = &self.inputs.demand.units[index];
        let results: Vec<&(String, Value)> = demand
            .results
            .iter()
            .filter(|result| !self.is_shared(&result.0))
            .collect();
        let points = demand.points.iter().map(|id| self.inputs.points.get(*id).value);
        let wanted: Vec<Value> = results.iter().map(|result| result.1).chain(points).collect();
        if wanted.is_empty() {
            return Ok(0.0);
        }
        let made = self.compute(index, weights, micro, &wanted, None)?;
        let (own, named) = made.split_at(results.len());
        let mut seconds = 0.0;
        for (id, value) in demand.points.iter().zip(named) {
            let pieces = pieces_of(self.inputs.points.get(*id).rows, micro);
            seconds += deliver(
                *id,
                self.inputs.points,
                value,
                micro.x.as_ref(),
                &pieces,
                stages,
                context,
            )?;
        }
        let own: Vec<(String, RtValue)> = results
            .iter()
            .map(|result| result.0.clone())
            .zip(own.iter().cloned())
            .collect();
        self.advance(index, micro, own)?;
        Ok(seconds)
    }

    /// The wide values of the head, a chunk of rows at a time. Returns the seconds that stages took.
    fn chunks(
        &self,
        index: usize,
        weights: &sli_torch::Weights,
        micro: &Micro,
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<f64> {
        let demand = &self.inputs.demand.units[index];
        let values = demand.chunked_values();
        if values.is_empty() {
            return Ok(0.0);
        }
        let field = self.field(index);
        let rows = micro.sets[field].len();
        let row_wise = sli_model::cost::is_row_wise(self.inputs.units[index].graph, values);
        let step = if row_wise {
            self.inputs.schedule.chunk as i64
        } else {
            rows
        };
        let mut seconds = 0.0;
        for start in (0..rows).step_by(step.max(1) as usize) {
            if self.inputs.cancel.load(Ordering::Relaxed) {
                return Err(RunError::cancelled());
            }
            let chunk = Chunk::new(start, step.min(rows - start)).map_err(|error| failed("head", &error))?;
            let made = self.compute(index, weights, micro, values, row_wise.then_some(&chunk))?;
            for (id, value) in demand.chunked.iter().zip(&made) {
                let pieces = chunk.pieces(&pieces_of(self.inputs.points.get(*id).rows, micro));
                seconds += deliver(*id, self.inputs.points, value, None, &pieces, stages, context)?;
            }
        }
        Ok(seconds)
    }

    fn compute(
        &self,
        index: usize,
        weights: &sli_torch::Weights,
        micro: &Micro,
        wanted: &[Value],
        chunk: Option<&Chunk>,
    ) -> Result<Vec<RtValue>> {
        let field = self.field(index);
        let inputs = |input: &GraphInput| {
            let value = micro.input(input, field, self.inputs.dataset, &self.shared)?;
            match chunk {
                Some(chunk) => chunk.cut(value).ok(),
                None => Some(value),
            }
        };
        let set = chunk.map_or_else(|| micro.sets[field].clone(), |chunk| chunk.set.clone());
        let batch = Batch {
            set,
            inputs: &inputs,
            compute: self.inputs.compute,
        };
        sli_torch::run(&self.graphs[index].graph, weights, &batch, wanted).map_err(exec_error)
    }

    /// Puts what a unit made where the next ones look for it.
    fn advance(&mut self, index: usize, micro: &mut Micro, results: Vec<(String, RtValue)>) -> Result<()> {
        let unit = self.inputs.units[index];
        let stack = self.inputs.plan.stacks[unit.role.stack(self.inputs.plan)].name.clone();
        if matches!(unit.role, Role::Enter { .. }) {
            micro.lets.clear();
            micro.carry.clear();
        }
        for (name, value) in results {
            if let Some(leaf) = name.strip_prefix("let.") {
                if self.is_constant(index, &name) {
                    self.shared.insert(leaf.to_owned(), value);
                } else {
                    micro.lets.insert(leaf.to_owned(), value);
                }
            } else if let Some(leaf) = name.strip_prefix("carry.") {
                micro.carry.insert(leaf.to_owned(), value);
            } else if name == "final" {
                micro.keep(&stack, StackValue::Final, &self.kept, &value);
            } else {
                let x = self.narrow(value)?;
                match unit.role {
                    Role::Enter { .. } => micro.keep(&stack, StackValue::Hidden(0), &self.kept, &x),
                    Role::Layer { layer, .. } => {
                        micro.keep(&stack, StackValue::Hidden(layer as u32 + 1), &self.kept, &x)
                    }
                    Role::Last { .. } | Role::Head => {}
                }
                let next_is_layer = self
                    .inputs
                    .units
                    .get(index + 1)
                    .is_some_and(|next| matches!(next.role, Role::Layer { .. }));
                let ends = is_last_layer(self.inputs.units, index)
                    || (matches!(unit.role, Role::Enter { .. }) && !next_is_layer);
                if ends {
                    micro.keep(&stack, StackValue::Out, &self.kept, &x);
                }
                micro.x = Some(x);
            }
        }
        Ok(())
    }

    /// The residual stream in the compute type: a value that met an f32 vector became f32.
    fn narrow(&self, value: RtValue) -> Result<RtValue> {
        match value {
            RtValue::Tensor { tensor, rows } if tensor.dtype().is_float() => {
                let tensor = tensor
                    .cast(self.inputs.compute)
                    .map_err(|error| failed("residual stream", &error))?;
                Ok(RtValue::Tensor { tensor, rows })
            }
            other => Ok(other),
        }
    }

    fn field(&self, index: usize) -> usize {
        self.inputs.fields[self.inputs.units[index].role.stack(self.inputs.plan)]
    }

    fn is_shared(&self, name: &str) -> bool {
        name.strip_prefix("let.")
            .is_some_and(|leaf| self.shared.contains_key(leaf))
    }

    /// Whether a `let` value is the same whatever the documents are.
    fn is_constant(&self, index: usize, name: &str) -> bool {
        let unit = self.inputs.units[index];
        let Some(value) = unit.graph.output(name) else {
            return false;
        };
        let fixed = match unit.value_type(value) {
            Some(ValueType::Tensor { dims, .. }) => dims.iter().all(|dim| matches!(dim, Dim::Size(_))),
            Some(ValueType::Bias { query, key, .. }) => query.is_none() && key.is_none(),
            Some(ValueType::Scalar) => true,
            None => false,
        };
        fixed && !unit.reads(&[value], |_| true)
    }
}

fn documents(batches: &[Range<usize>]) -> Range<usize> {
    let start = batches.first().map_or(0, |batch| batch.start);
    start..batches.last().map_or(start, |batch| batch.end)
}

fn failed(what: &str, error: &TensorError) -> RunError {
    RunError::run(Diagnostic::error(format!("`{what}`: {error}")))
}

/// An operation failed: says where it was written.
fn exec_error(error: ExecError) -> RunError {
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
