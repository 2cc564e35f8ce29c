//! What each unit of a sweep costs, in bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use sli_checkpoint::{ArenaPool, Checkpoint, DEFAULT_SLACK, LoadPlan, PlannedUnit, Span, TensorId};
use sli_model::cost::{flops_per_pair, flops_per_row, peak_row_bytes};
use sli_model::infer::{Dim, Kind, ValueType};
use sli_model::{DType, GraphInput, ModelPlan, Op, Value};
use sli_torch::EXPERT_ROWS;

use super::UnitPlan;
use super::weights::{converted, one};
use crate::data::{Dataset, Field};
use crate::demand::Demand;
use crate::lookups::{Lookup, lookups, spans};
use crate::mixtures::{Mixture, mixtures};
use crate::points::Points;
use crate::units::{Role, Unit};

/// Scores of a tile of queries, and what attention needs beside them, whatever the number of tokens.
const ATTENTION_TILE: u64 = 24 << 20;

/// Bytes of a token's position, kept in memory for every token of a sweep.
pub(super) const INDEX: u64 = 8;

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
    /// Mixtures whose experts are read apart.
    pub(crate) apart: Option<Apart>,
}

/// Cost of mixtures whose experts are read apart from their unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Apart {
    /// Bytes of arena of the largest group of experts.
    pub(crate) group: u64,
    /// Bytes while an expert runs: its converted weights, its rows.
    pub(crate) working: u64,
    /// By mixture: number of experts, how many a token chooses, bytes of all.
    pub(crate) mixtures: Vec<(u64, u64, u64)>,
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
    /// Bytes per token that mixtures read apart keep for a whole sweep, by field.
    pub(crate) apart_per_token: Vec<u64>,
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
    /// The documents.
    pub(crate) dataset: &'a Dataset,
    /// Whether tables may be read row by row.
    pub(crate) row_by_row: bool,
}

impl<'a> Work<'a> {
    /// The documents' field of a stack.
    fn field(&self, stack: usize) -> &'a Field {
        &self.dataset.fields[self.fields[stack]]
    }

    /// Floating point operations per token of all units.
    pub(crate) fn flops_per_token(&self) -> u64 {
        let pairs = self.units.iter().zip(&self.demand.units).take(self.demand.count);
        pairs
            .map(|(unit, demand)| flops_per_row(unit.graph, unit.bound, &demand.all()))
            .sum()
    }
}

/// How the units are read, and what that costs. `planned[k]` belongs to `costs.units[k]` and to `mixtures[k]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The units in order.
    pub(crate) planned: Vec<Arc<PlannedUnit>>,
    /// Weights that stay.
    pub(crate) resident: Option<PlannedUnit>,
    /// Mixtures whose experts are read apart.
    pub(crate) mixtures: Vec<Vec<Mixture>>,
    /// Look-ups in tables that are read row by row.
    pub(crate) lookups: Vec<Vec<Lookup>>,
    /// What it costs.
    pub(crate) costs: Costs,
}

/// The layout in which experts are read with their layer, or, with `apart`, on their own in groups of that many bytes.
pub(crate) fn layout(work: &Work<'_>, stages: StageCost, apart: Option<u64>) -> Layout {
    let resident = resident(work);
    let pairs = || work.units.iter().zip(&work.demand.units).take(work.demand.count);
    let mixtures: Vec<Vec<Mixture>> = pairs()
        .map(|(unit, demand)| match apart {
            Some(_) => mixtures(unit, &demand.whole(), work.checkpoint),
            None => Vec::new(),
        })
        .collect();
    let lookups: Vec<Vec<Lookup>> = pairs()
        .map(|(unit, demand)| match unit.role {
            Role::Enter { stack } if work.row_by_row => {
                lookups(unit, &demand.whole(), work.field(stack), &resident, work.checkpoint)
            }
            _ => Vec::new(),
        })
        .collect();
    let planned: Vec<Arc<PlannedUnit>> = pairs()
        .zip(mixtures.iter().zip(&lookups))
        .map(|((unit, demand), (mixtures, lookups))| {
            let apart = |node: u32| {
                let mut nodes = lookups.iter().map(|lookup| lookup.value.node);
                mixtures.iter().any(|mixture| mixture.node == node) || nodes.any(|other| other == node)
            };
            let tensors = unit.tensors(&demand.all(), &apart).into_iter();
            let tensors = tensors.filter(|tensor| resident.binary_search(tensor).is_err());
            let rows = lookups
                .iter()
                .flat_map(|lookup| spans(lookup, work.field(unit.role.stack(work.plan))));
            Arc::new(load(unit.role.name(work.plan), tensors, rows, work.checkpoint))
        })
        .collect();
    let whole = resident.iter().copied();
    let stays = (!resident.is_empty()).then(|| load("resident".into(), whole, std::iter::empty(), work.checkpoint));
    let units = (planned.iter().zip(&mixtures).enumerate())
        .map(|(index, (planned, mixtures))| unit_cost(work, index, planned, mixtures, apart.unwrap_or(0)))
        .collect();
    let (state_per_token, state_per_document) = state(work);
    let bytes = stays.as_ref().map_or(0, |unit| unit.plan.arena_len as u64);
    let costs = Costs {
        units,
        resident: bytes,
        apart_per_token: apart_state(work, &mixtures, state_per_token.len()),
        state_per_token,
        state_per_document,
        stages,
    };
    Layout {
        planned,
        resident: stays,
        mixtures,
        lookups,
        costs,
    }
}

/// Bytes per token that stay while the experts of a unit run: values made before, and sums in f32.
fn apart_state(work: &Work<'_>, mixtures: &[Vec<Mixture>], count: usize) -> Vec<u64> {
    let mut worst = vec![0; count];
    for (unit, mixtures) in work.units.iter().zip(mixtures) {
        for mixture in mixtures {
            let mut here = vec![0; count];
            let result = Value {
                node: mixture.node,
                out: 0,
            };
            for value in mixture.kept.iter().chain([&result]) {
                let (per_token, _) = row_bytes(unit.value_type(*value), F32, work.fields, count);
                add(&mut here, &per_token);
            }
            worst
                .iter_mut()
                .zip(&here)
                .for_each(|(worst, here)| *worst = (*worst).max(*here));
        }
    }
    worst
}

/// A unit of whole tensors and of rows of others.
fn load(
    name: String,
    tensors: impl Iterator<Item = u32>,
    rows: impl Iterator<Item = Span>,
    checkpoint: &Checkpoint,
) -> PlannedUnit {
    let whole = |tensor: u32| Span {
        tensor: TensorId(tensor),
        start: 0,
        len: checkpoint.tensor(TensorId(tensor)).len,
    };
    let spans: Vec<Span> = tensors.map(whole).chain(rows).collect();
    let plan = LoadPlan::of_spans(checkpoint, &spans, DEFAULT_SLACK);
    PlannedUnit { name, plan }
}

/// Tensors that stay in memory: read by several layers, or looked into by values that outlive their unit.
fn resident(work: &Work<'_>) -> Vec<u32> {
    let lasting = work.units.iter().flat_map(Unit::lasting_tensors);
    let mut tensors: Vec<u32> = work.demand.shared.iter().copied().chain(lasting).collect();
    tensors.sort_unstable();
    tensors.dedup();
    tensors
}

fn unit_cost(work: &Work<'_>, index: usize, planned: &PlannedUnit, mixtures: &[Mixture], limit: u64) -> UnitCost {
    let (unit, demand) = (&work.units[index], &work.demand.units[index]);
    let stored = |tensor: u32| {
        let entry = work.checkpoint.tensor(TensorId(tensor));
        (entry.dtype, entry.shape.iter().product())
    };
    let need = unit.graph.needed(demand.all());
    let is_apart = |node: u32| mixtures.iter().any(|mixture| mixture.node == node);
    let with_unit: Vec<bool> = (0..).zip(&need).map(|(node, need)| *need && !is_apart(node)).collect();
    let converted = converted(unit.graph, unit.bound, &with_unit, &stored, work.compute);
    // Values that meet f32 vectors become f32, so f32 is what is counted.
    let rows = |wanted: &[Value]| peak_row_bytes(unit.graph, unit.bound, wanted, F32);
    let whole = demand.whole();
    let plan = UnitPlan {
        name: planned.name.clone(),
        tensors: tensors(planned),
        bytes: planned.plan.bytes(),
        converted,
        row_bytes: if whole.is_empty() { 0 } else { rows(&whole) },
        flops_per_token: flops_per_row(unit.graph, unit.bound, &demand.all()),
        flops_per_pair: flops_per_pair(unit.graph, unit.bound, &demand.all()),
        expert_bytes: mixtures.iter().map(Mixture::bytes).sum(),
        has_experts: unit.graph.nodes.iter().any(|node| matches!(node.op, Op::Experts(_))),
    };
    let apart = (!mixtures.is_empty()).then(|| Apart {
        group: mixtures
            .iter()
            .flat_map(|mixture| mixture.groups("", &vec![true; mixture.experts.len()], limit, work.checkpoint))
            .map(|group| ArenaPool::window(&[group.unit.plan.arena_len], 1) as u64)
            .max()
            .unwrap_or(0),
        working: mixtures
            .iter()
            .map(|mixture| expert_working(unit, mixture, &stored, work.compute))
            .max()
            .unwrap_or(0),
        mixtures: mixtures.iter().map(|mixture| chosen(unit, mixture)).collect(),
    });
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
        apart,
    }
}

/// Tensors that a unit reads, or reads of.
fn tensors(planned: &PlannedUnit) -> u64 {
    let ids: BTreeSet<TensorId> = planned.plan.slices.iter().map(|slice| slice.tensor).collect();
    ids.len() as u64
}

/// Bytes while one expert runs on [`EXPERT_ROWS`] tokens.
fn expert_working(unit: &Unit<'_>, mixture: &Mixture, stored: &dyn Fn(u32) -> (DType, u64), compute: DType) -> u64 {
    let Op::Experts(op) = &unit.graph.nodes[mixture.node as usize].op else {
        return 0;
    };
    let Some((body, out)) = unit.bound.body(mixture.node).zip(op.body.output("out")) else {
        return 0;
    };
    let weights = mixture.experts.iter().map(|expert| {
        let sources = expert.params.iter().flatten();
        sources.map(|source| one(source.elements(stored), compute)).sum::<u64>()
    });
    let input = op
        .body
        .nodes
        .iter()
        .position(|node| matches!(node.op, Op::Input(GraphInput::X)));
    let elements = |kind: Option<&ValueType>| -> u64 {
        let dims = kind.and_then(ValueType::dims).unwrap_or_default();
        F32 * dims.iter().skip(1).map(|dim| dim.size().unwrap_or(1)).product::<u64>()
    };
    let x = input.and_then(|node| body.types.get(node)?.first());
    let rows = peak_row_bytes(&op.body, body, &[out], F32) + 2 * elements(x) + 2 * elements(body.value_type(out));
    weights.max().unwrap_or(0) + EXPERT_ROWS * rows
}

/// Number of experts, how many a token chooses, bytes of all.
fn chosen(unit: &Unit<'_>, mixture: &Mixture) -> (u64, u64, u64) {
    let index = unit.graph.nodes[mixture.node as usize].inputs.get(1).copied().flatten();
    let dims = index.and_then(|index| unit.value_type(index)?.dims());
    let k = dims.and_then(|dims| dims.get(1)?.size()).unwrap_or(1);
    (mixture.experts.len() as u64, k, mixture.bytes())
}

impl Apart {
    /// Bytes of experts that `tokens` tokens are expected to hit, if they choose evenly.
    pub(crate) fn expected(&self, tokens: u64) -> u64 {
        let bytes = |(count, k, bytes): &(u64, u64, u64)| {
            let miss = 1.0 - (*k as f64 / (*count).max(1) as f64).min(1.0);
            *bytes as f64 * (1.0 - miss.powf(tokens as f64))
        };
        self.mixtures.iter().map(bytes).sum::<f64>() as u64
    }

    /// Bytes of all experts.
    pub(crate) fn bytes(&self) -> u64 {
        self.mixtures.iter().map(|mixture| mixture.2).sum()
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
        let expert = self.apart.as_ref().map_or(0, |apart| apart.working);
        self.plan.converted + whole.max(chunked).max(expert)
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
    worst.iter_mut().for_each(|bytes| *bytes += INDEX);
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
