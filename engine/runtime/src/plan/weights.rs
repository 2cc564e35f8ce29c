//! Bytes of weights that are converted or stacked once they are read, as `sli_torch::prepare` does it.

use sli_model::bind::{BoundGraph, BoundParam, Source};
use sli_model::{DType, Graph, Op, Param, ParamForm};

/// A matrix whose copy would be larger is converted in pieces.
const WHOLE: u64 = 32 << 20;
/// The pieces of such a matrix, and their results, at most.
const PIECE: u64 = 16 << 20;

/// Bytes that exist beside the arena while the nodes marked in `need` are computed. `stored` gives element
/// type and number of elements of a tensor.
pub(super) fn converted(
    graph: &Graph,
    bound: &BoundGraph,
    need: &[bool],
    stored: &dyn Fn(u32) -> (DType, u64),
    compute: DType,
) -> u64 {
    let mut bytes = 0;
    for id in graph.params_of(need) {
        let index = id.0 as usize;
        bytes += param(
            graph,
            index,
            &graph.params[index],
            &bound.params[index],
            stored,
            compute,
        );
    }
    for (_, body) in bound.experts.iter().filter(|(node, _)| need[*node as usize]) {
        body.each_source(&mut |source| bytes += copied(source, stored));
    }
    // Experts are converted one at a time; what is joined is joined for all of them.
    let bodies = bound
        .experts
        .iter()
        .filter(|(node, _)| need[*node as usize])
        .map(|(node, body)| {
            let Op::Experts(experts) = &graph.nodes[*node as usize].op else {
                return 0;
            };
            let expert = |index: usize, param: &Param| match (&body.params[index], param.form) {
                (BoundParam::Absent, _) => 0,
                (BoundParam::Many(many), _) => many
                    .iter()
                    .map(|source| one(source.elements(stored), compute))
                    .max()
                    .unwrap_or(0),
                (BoundParam::One(source), ParamForm::Slice) => {
                    one(source.elements(stored), compute) / experts.count.max(1)
                }
                (BoundParam::One(source), _) => one(source.elements(stored), compute),
            };
            experts
                .body
                .params
                .iter()
                .enumerate()
                .map(|(index, param)| expert(index, param))
                .sum()
        });
    bytes + bodies.max().unwrap_or(0)
}

fn param(
    graph: &Graph,
    index: usize,
    param: &Param,
    bound: &BoundParam,
    stored: &dyn Fn(u32) -> (DType, u64),
    compute: DType,
) -> u64 {
    match bound {
        BoundParam::Absent => 0,
        BoundParam::One(source) if param.form == ParamForm::One && only_table(graph, index) => copied(source, stored),
        BoundParam::One(source) => {
            let copy = copied(source, stored);
            match one(source.elements(stored), compute) {
                bytes if bytes > WHOLE => copy + PIECE,
                bytes => copy + bytes,
            }
        }
        // Stacked: always a copy, and then perhaps another of the compute type.
        BoundParam::Many(many) => {
            let copy = |source: &Source| {
                let (dtype, count) = source.elements(stored);
                dtype.size() as u64 * count + one((dtype, count), compute) + copied(source, stored)
            };
            many.iter().map(copy).sum()
        }
    }
}

/// Bytes of the copy that joins tensors.
fn copied(source: &Source, stored: &dyn Fn(u32) -> (DType, u64)) -> u64 {
    match source {
        Source::Joined(_) => {
            let (dtype, count) = source.elements(stored);
            dtype.size() as u64 * count
        }
        _ => 0,
    }
}

/// Bytes of the converted copy of a tensor; 0 if it needs none.
pub(super) fn one((dtype, count): (DType, u64), compute: DType) -> u64 {
    match dtype {
        dtype if dtype == compute || dtype == DType::I64 => 0,
        dtype if dtype.is_float() => count * compute.size().max(4.min(dtype.size())) as u64,
        _ => count * DType::I64.size() as u64,
    }
}

/// Whether a parameter is read as the table of `embedding` only: then it is not converted.
fn only_table(graph: &Graph, param: usize) -> bool {
    let is_param = |node: u32| matches!(graph.nodes[node as usize].op, Op::Param(id) if id.0 as usize == param);
    let mut uses = graph.nodes.iter().flat_map(|node| {
        let inputs = node.inputs.iter().enumerate();
        inputs
            .filter(|(_, input)| input.is_some_and(|value| is_param(value.node)))
            .map(move |(slot, _)| (&node.op, slot))
    });
    uses.all(|(op, slot)| matches!(op, Op::Embedding) && slot == 1)
}
