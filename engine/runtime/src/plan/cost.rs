//! What each unit of a sweep costs, in bytes.

use sli_checkpoint::{Checkpoint, DEFAULT_SLACK, LoadUnit, PlannedUnit, TensorId};
use sli_model::cost::{flops_per_row, peak_row_bytes};
use sli_model::infer::{Dim, Kind, ValueType};
use sli_model::{DType, GraphInput, ModelPlan, Value};

use super::UnitPlan;
use super::weights::converted;
use crate::demand::Demand;
use crate::points::Points;
use crate::units::{Role, Unit};

/// Scores of a tile of queries, and what attention needs beside them, whatever the number of tokens.
const ATTENTION_TILE: u64 = 24 << 20;

/// Bytes of an f32, in which logits are scored.
const F32: u64 = 4;

/// What one unit costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UnitCost {
    /// What is known of it.
    pub(crate) plan: UnitPlan,
    /// Bytes of arena.
    pub(crate) arena: u64,
    /// Head values that are computed a chunk of tokens at a time.
    pub(crate) chunk: Option<Chunk>,
}

/// Cost of the head values that are computed in chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Bytes per token.
    pub(crate) row_bytes: u64,
    /// Whether tokens may be cut anywhere; else a chunk is a whole micro-batch.
    pub(crate) row_wise: bool,
}

/// What a stage holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StageCost {
    /// Bytes, whatever the number of tokens.
    pub(crate) fixed: u64,
    /// Bytes per token of a micro-batch.
    pub(crate) per_row: u64,
    /// Bytes per token of a chunk.
    pub(crate) per_chunk_row: u64,
}

/// What a run costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Costs {
    /// The units that are needed, in order.
    pub(crate) units: Vec<UnitCost>,
    /// Bytes of weights that stay.
    pub(crate) resident: u64,
    /// Bytes of hidden state per token, by field of the dataset.
    pub(crate) state_per_token: Vec<u64>,
    /// Bytes of hidden state per document.
    pub(crate) state_per_document: u64,
    /// All stages together.
    pub(crate) stages: StageCost,
}

/// What `costs` looks at.
pub(crate) struct Work<'a> {
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
    /// The type that matrices are multiplied in.
    pub(crate) compute: DType,
    /// The dataset's field of each token set.
    pub(crate) fields: &'a [usize],
}

/// The units that are read, planned, and their costs. `planned[k]` belongs to `costs.units[k]`.
pub(crate) fn costs(work: &Work<'_>, stages: StageCost) -> (Vec<PlannedUnit>, Option<PlannedUnit>, Costs) {
    let resident = resident(work);
    let planned: Vec<PlannedUnit> = (work.units.iter().zip(&work.demand.units).take(work.demand.count))
        .map(|(unit, demand)| {
            let tensors = unit
                .tensors(&demand.all())
                .into_iter()
                .filter(|tensor| resident.binary_search(tensor).is_err());
            load(unit.role.name(work.plan), tensors, work.checkpoint)
        })
        .collect();
    let stays = (!resident.is_empty()).then(|| load("resident".into(), resident.iter().copied(), work.checkpoint));
    let units = planned
        .iter()
        .enumerate()
        .map(|(index, planned)| unit_cost(work, index, planned))
        .collect();
    let (state_per_token, state_per_document) = state(work);
    let bytes = stays.as_ref().map_or(0, |unit| unit.plan.arena_len as u64);
    (
        planned,
        stays,
        Costs {
            units,
            resident: bytes,
            state_per_token,
            state_per_document,
            stages,
        },
    )
}

fn load(name: String, tensors: impl Iterator<Item = u32>, checkpoint: &Checkpoint) -> PlannedUnit {
    LoadUnit {
        name,
        tensors: tensors.map(TensorId).collect(),
    }
    .plan(checkpoint, DEFAULT_SLACK)
}

/// Tensors that stay in memory: read by several layers, or looked into by values that outlive their unit.
fn resident(work: &Work<'_>) -> Vec<u32> {
    let lasting = work.units.iter().flat_map(Unit::lasting_tensors);
    let mut tensors: Vec<u32> = work.demand.shared.iter().copied().chain(lasting).collect();
    tensors.sort_unstable();
    tensors.dedup();
    tensors
}

fn unit_cost(work: &Work<'_>, index: usize, planned: &PlannedUnit) -> UnitCost {
    let (unit, demand) = (&work.units[index], &work.demand.units[index]);
    let stored = |tensor: u32| {
        let entry = work.checkpoint.tensor(TensorId(tensor));
        (entry.dtype, entry.shape.iter().product())
    };
    let need = unit.graph.needed(demand.all());
    let converted = converted(unit.graph, unit.bound, &need, &stored, work.compute);
    // Values that meet f32 vectors become f32, so f32 is what is counted.
    let rows = |wanted: &[Value]| peak_row_bytes(unit.graph, unit.bound, wanted, F32);
    let whole = demand.whole();
    let plan = UnitPlan {
        name: planned.name.clone(),
        tensors: planned.plan.slices.len() as u64,
        bytes: planned.plan.bytes(),
        converted,
        row_bytes: if whole.is_empty() { 0 } else { rows(&whole) },
        flops_per_token: flops_per_row(unit.graph, unit.bound, &demand.all()),
    };
    let chunk = (!demand.chunked.is_empty()).then(|| {
        let values: Vec<Value> = demand.chunked.iter().map(|id| work.points.get(*id).value).collect();
        let width: u64 = demand.chunked.iter().map(|id| work.points.get(*id).width).sum();
        // The values themselves, and their log-softmax with its temporary.
        let row_bytes = rows(&values) + 3 * F32 * width;
        Chunk {
            row_bytes,
            row_wise: sli_model::cost::is_row_wise(unit.graph, &values),
        }
    });
    UnitCost {
        plan,
        arena: planned.plan.arena_len as u64,
        chunk,
    }
}

impl UnitCost {
    /// Bytes beside arena and state while it runs on `tokens` tokens, `chunk` at a time in the head.
    pub(crate) fn working(&self, tokens: u64, chunk: u64, stages: &StageCost) -> u64 {
        let whole = tokens * (self.plan.row_bytes + stages.per_row) + ATTENTION_TILE;
        let chunked = self.chunk.map_or(0, |cost| {
            let rows = if cost.row_wise { chunk.min(tokens) } else { tokens };
            rows * (cost.row_bytes + stages.per_chunk_row)
        });
        self.plan.converted + whole.max(chunked)
    }
}

/// Bytes of hidden state per token of each field, and per document: the residual stream of a stack with its
/// `let` and `carry` values, and what later stacks keep of earlier ones. The worst stack counts.
fn state(work: &Work<'_>) -> (Vec<u64>, u64) {
    let count = work.fields.iter().max().map_or(0, |most| most + 1);
    let (mut worst, mut worst_document) = (vec![0; count], 0);
    let (mut kept, mut kept_document) = (vec![0; count], 0);
    let size = work.compute.size() as u64;
    for stack in 0..work.plan.stacks.len() {
        let (mut here, mut here_document) = (kept.clone(), kept_document);
        let enter = work.units.iter().find(|unit| unit.role == Role::Enter { stack });
        for (name, value) in enter
            .into_iter()
            .flat_map(|unit| unit.results().into_iter().map(move |r| (r.0, unit.value_type(r.1))))
        {
            // Only the residual stream is converted to the compute type for sure.
            let element = if name == "x" { size } else { F32 };
            let (per_token, per_document) = row_bytes(value, element, work.fields, count);
            add(&mut here, &per_token);
            here_document += per_document;
            if name == "x" {
                let times = work
                    .units
                    .iter()
                    .flat_map(|unit| kept_values(unit, &work.plan.stacks[stack].name))
                    .count();
                per_token
                    .iter()
                    .zip(&mut kept)
                    .for_each(|(bytes, kept)| *kept += bytes * times.min(64) as u64);
                kept_document += per_document * times as u64;
            }
        }
        worst
            .iter_mut()
            .zip(&here)
            .for_each(|(worst, here)| *worst = (*worst).max(*here));
        worst_document = worst_document.max(here_document);
    }
    // Positions of every token are kept too.
    worst.iter_mut().for_each(|bytes| *bytes += 8);
    (worst, worst_document + 256)
}

/// Values of the stack `name` that a unit of another stack reads.
fn kept_values<'a>(unit: &Unit<'a>, name: &'a str) -> impl Iterator<Item = &'a GraphInput> {
    let nodes = unit.graph.nodes.iter();
    nodes.filter_map(move |node| match &node.op {
        sli_model::Op::Input(input @ GraphInput::Stack { stack, .. }) if stack == name => Some(input),
        _ => None,
    })
}

fn add(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// Bytes of a value per token of each field, and per document.
fn row_bytes(value: Option<&ValueType>, element: u64, fields: &[usize], count: usize) -> (Vec<u64>, u64) {
    let mut per_token = vec![0; count];
    let Some(ValueType::Tensor { dims, kind }) = value else {
        // A bias may hold a vector per token; its width is unknown, and no text family keeps one.
        return (per_token, 0);
    };
    let element = if *kind == Kind::Int { 8 } else { element };
    let rest: u64 = dims.iter().skip(1).map(|dim| dim.size().unwrap_or(1)).product();
    match dims.first() {
        Some(Dim::Rows(set)) => {
            // Rows that an op made of a set are at most as many as those of the set, which is a field's.
            let field = fields.get(set.0 as usize).copied().unwrap_or(0);
            per_token[field] += rest * element;
            (per_token, 0)
        }
        Some(Dim::Seqs(_)) => (per_token, rest * element),
        _ => (per_token, 0),
    }
}
