//! Mixtures of experts whose weights are read once it is known which experts are hit.
//!
//! A unit with such mixtures runs in parts, each for all micro-batches of a sweep: what leads to the choice of
//! experts, then one expert after the other on every token that chose it, then the rest. So an expert is read at
//! most once a sweep, only if it was hit, and at no time are all experts of a layer in memory.

use std::collections::BTreeSet;

use sli_checkpoint::{Checkpoint, DEFAULT_SLACK, LoadPlan, PlannedUnit, Span, TensorId};
use sli_model::bind::{BoundGraph, BoundParam, Index, Piece, Source};
use sli_model::{Experts, Graph, Op, ParamForm, Value};

use crate::units::Unit;

/// A gap is read along if it is smaller than this part of an expert.
const GAP: u64 = 64;

/// A mixture that is run for all micro-batches of a sweep at once.
#[derive(Clone, Debug)]
pub(crate) struct Mixture {
    /// Its node in the unit's graph.
    pub(crate) node: u32,
    /// Values that are made before it and needed by it or later.
    pub(crate) kept: Vec<Value>,
    /// Its experts.
    pub(crate) experts: Vec<Expert>,
    /// The experts as they lie in the files.
    order: Vec<usize>,
}

/// The weights of one expert.
#[derive(Clone, Debug)]
pub(crate) struct Expert {
    /// By parameter of the body; `None` where the checkpoint does not have it.
    pub(crate) params: Vec<Option<Source>>,
    spans: Vec<Span>,
    /// Bytes of its tensors.
    pub(crate) bytes: u64,
}

/// Experts that are read together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Which, in the order of the files.
    pub(crate) experts: Vec<usize>,
    /// Their reads.
    pub(crate) unit: PlannedUnit,
}

/// The mixtures that `wanted` needs, in the order they run; nothing if there is none, or if the experts of one
/// cannot be read apart.
pub(crate) fn mixtures(unit: &Unit<'_>, wanted: &[Value], checkpoint: &Checkpoint) -> Vec<Mixture> {
    let need = unit.graph.needed(wanted.iter().copied());
    let nodes: Vec<u32> = (0..unit.graph.nodes.len() as u32)
        .filter(|node| need[*node as usize] && matches!(unit.graph.nodes[*node as usize].op, Op::Experts(_)))
        .collect();
    let experts: Option<Vec<_>> = nodes.iter().map(|node| experts_of(unit, *node, checkpoint)).collect();
    let mut done = vec![false; need.len()];
    let mixture = |(node, experts): (&u32, Vec<Expert>)| {
        let inputs = unit.graph.nodes[*node as usize].inputs.iter().flatten().copied();
        let before = unit.graph.needed(inputs);
        done.iter_mut().zip(before).for_each(|(done, before)| *done |= before);
        let kept = kept(unit.graph, &need, &done, wanted);
        done[*node as usize] = true;
        let mut order: Vec<usize> = (0..experts.len()).collect();
        order.sort_by_key(|expert| experts[*expert].spans.first().copied());
        Mixture {
            node: *node,
            kept,
            experts,
            order,
        }
    };
    nodes.iter().zip(experts.unwrap_or_default()).map(mixture).collect()
}

/// Values of the nodes that are done which others read, or which are wanted; what is read or given is asked for anew.
fn kept(graph: &Graph, need: &[bool], done: &[bool], wanted: &[Value]) -> Vec<Value> {
    let later = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(index, _)| need[*index] && !done[*index]);
    let read = later.flat_map(|(_, node)| node.inputs.iter().flatten());
    let made = |value: &&Value| {
        let given = matches!(
            graph.nodes[value.node as usize].op,
            Op::Input(_) | Op::Param(_) | Op::Const(_)
        );
        done[value.node as usize] && !given
    };
    let all: BTreeSet<Value> = read.chain(wanted).filter(made).copied().collect();
    all.into_iter().collect()
}

/// The experts of a node, if each can be read without the others.
fn experts_of(unit: &Unit<'_>, node: u32, checkpoint: &Checkpoint) -> Option<Vec<Expert>> {
    let Op::Experts(op) = &unit.graph.nodes[node as usize].op else {
        return None;
    };
    let body = unit.bound.body(node).filter(|body| body.experts.is_empty())?;
    (0..op.count)
        .map(|expert| expert_of(op, body, expert, checkpoint))
        .collect()
}

fn expert_of(op: &Experts, body: &BoundGraph, expert: u64, checkpoint: &Checkpoint) -> Option<Expert> {
    let params = op.body.params.iter().zip(&body.params);
    let params: Option<Vec<Option<Source>>> = params
        .map(|(param, bound)| match (bound, param.form) {
            (BoundParam::Absent, _) => Some(None),
            (BoundParam::Many(sources), _) => sources.get(expert as usize).cloned().map(Some),
            (BoundParam::One(source), ParamForm::Slice) => slice(source, expert, op.count, checkpoint).map(Some),
            (BoundParam::One(_), _) => None,
        })
        .collect();
    let params = params?;
    let spans: BTreeSet<Span> = params
        .iter()
        .flatten()
        .flat_map(|source| spans(source, checkpoint))
        .collect();
    Some(Expert {
        params,
        bytes: spans.iter().map(|span| span.len).sum(),
        spans: spans.into_iter().collect(),
    })
}

/// Part `at` of `of` of a parameter that holds all experts.
fn slice(source: &Source, at: u64, of: u64, checkpoint: &Checkpoint) -> Option<Source> {
    let index = Some(Index { at, of });
    let cut = |shape: &[u64]| match shape {
        [first, rest @ ..] if *first == of && !rest.is_empty() => Some(rest.to_vec()),
        [first, rest @ ..] if first.is_multiple_of(of) => {
            Some(std::iter::once(first / of).chain(rest.iter().copied()).collect())
        }
        _ => None,
    };
    let piece = match source {
        Source::Whole(tensor) => Piece {
            tensor: *tensor,
            index,
            transposed: false,
            rows: None,
            shape: cut(&checkpoint.tensor(TensorId(*tensor)).shape)?,
        },
        // Exchanging the last dims leaves the first one alone only where there are three.
        Source::Piece(piece) if piece.index.is_none() && piece.rows.is_none() && piece.shape.len() > 2 => Piece {
            index,
            shape: cut(&piece.shape)?,
            ..(**piece).clone()
        },
        _ => return None,
    };
    Some(Source::Piece(Box::new(piece)))
}

/// The bytes of a source.
fn spans(source: &Source, checkpoint: &Checkpoint) -> Vec<Span> {
    let index = match source {
        Source::Piece(piece) => piece.index,
        _ => None,
    };
    let span = |tensor: &u32| {
        let tensor = TensorId(*tensor);
        let (start, end) = part(checkpoint.tensor(tensor).len, index);
        Span {
            tensor,
            start,
            len: end - start,
        }
    };
    source.tensors().iter().map(span).collect()
}

/// The bytes of a part of `len` bytes.
pub(crate) fn part(len: u64, index: Option<Index>) -> (u64, u64) {
    match index {
        Some(Index { at, of }) if of > 0 => (len / of * at, len / of * (at + 1)),
        _ => (0, len),
    }
}

impl Mixture {
    /// The experts of `hit`, in the order of the files, in groups whose arenas hold `limit` bytes, or one expert.
    pub(crate) fn groups(&self, name: &str, hit: &[bool], limit: u64, checkpoint: &Checkpoint) -> Vec<Group> {
        let mut groups: Vec<(Vec<usize>, u64)> = Vec::new();
        for expert in self.order.iter().copied().filter(|expert| hit[*expert]) {
            let bytes = self.experts[expert].bytes;
            match groups.last_mut() {
                Some((experts, size)) if *size + bytes <= limit => {
                    experts.push(expert);
                    *size += bytes;
                }
                _ => groups.push((vec![expert], bytes)),
            }
        }
        let group = |(experts, _): (Vec<usize>, u64)| Group {
            unit: self.planned(name, &experts, checkpoint),
            experts,
        };
        groups.into_iter().map(group).collect()
    }

    fn planned(&self, name: &str, experts: &[usize], checkpoint: &Checkpoint) -> PlannedUnit {
        let spans: Vec<Span> = experts
            .iter()
            .flat_map(|expert| self.experts[*expert].spans.iter().copied())
            .collect();
        // Gaps between experts are experts that were not hit: small ones are not read along with small neighbours.
        let bytes: u64 = experts.iter().map(|expert| self.experts[*expert].bytes).sum();
        let slack = DEFAULT_SLACK.min(bytes / experts.len().max(1) as u64 / GAP);
        PlannedUnit {
            name: format!("{name}, experts"),
            plan: LoadPlan::of_spans(checkpoint, &spans, slack),
        }
    }

    /// Bytes of all experts.
    pub(crate) fn bytes(&self) -> u64 {
        self.experts.iter().map(|expert| expert.bytes).sum()
    }
}
