//! Arithmetic per token.

use super::row_elements;
use crate::bind::BoundGraph;
use crate::{Graph, Op, Value};

/// Floating point operations per token of the nodes that `wanted` needs, without what attention does
/// per pair of tokens ([`flops_per_pair`]). A multiplication with an addition counts 2; elementwise ops
/// count 1 per element of their result; of experts the k chosen ones count.
pub fn flops_per_row(graph: &Graph, bound: &BoundGraph, wanted: &[Value]) -> u64 {
    sum(graph, bound, wanted, node_flops)
}

/// Floating point operations per pair of a query and a key that it sees: 2 heads (width of k + width of v).
pub fn flops_per_pair(graph: &Graph, bound: &BoundGraph, wanted: &[Value]) -> u64 {
    sum(graph, bound, wanted, |graph, bound, index| {
        match graph.nodes[index].op {
            Op::Attend(_) => 2 * (elements(graph, bound, index, 0) + out_elements(bound, index)),
            _ => 0,
        }
    })
}

fn sum(graph: &Graph, bound: &BoundGraph, wanted: &[Value], flops: impl Fn(&Graph, &BoundGraph, usize) -> u64) -> u64 {
    let need = graph.needed(wanted.iter().copied());
    let of_needed = (0..graph.nodes.len())
        .filter(|index| need[*index])
        .map(|index| flops(graph, bound, index));
    of_needed.fold(0, u64::saturating_add)
}

/// Elements per token of an input.
fn elements(graph: &Graph, bound: &BoundGraph, index: usize, input: usize) -> u64 {
    let value = graph.nodes[index].inputs.get(input).copied().flatten();
    value.and_then(|value| bound.value_type(value)).map_or(0, row_elements)
}

/// Elements per token of the first output.
fn out_elements(bound: &BoundGraph, index: usize) -> u64 {
    bound
        .types
        .get(index)
        .and_then(|types| types.first())
        .map_or(0, row_elements)
}

/// The size of a dim of an input, counted from its end.
fn from_end(graph: &Graph, bound: &BoundGraph, index: usize, input: usize, back: usize) -> u64 {
    let value = graph.nodes[index].inputs.get(input).copied().flatten();
    let dims = value.and_then(|value| bound.value_type(value)?.dims());
    dims.and_then(|dims| dims.len().checked_sub(back).and_then(|at| dims[at].size()))
        .unwrap_or(1)
}

fn node_flops(graph: &Graph, bound: &BoundGraph, index: usize) -> u64 {
    let out = out_elements(bound, index);
    let size = |input, back| from_end(graph, bound, index, input, back);
    match &graph.nodes[index].op {
        Op::Linear { .. } | Op::MatMul => out.saturating_mul(2 * size(0, 1)),
        Op::CausalConv1d | Op::DynamicConv => out.saturating_mul(2 * size(1, 1)),
        Op::RowConv { .. } => out.saturating_mul(2 * size(1, 1) * size(1, 2)),
        // The state of every head: decayed, updated, read.
        Op::LinearScan(_) => out.saturating_mul(6 * size(0, 1).max(size(1, 1))),
        Op::SelectiveScan => out.saturating_mul(6 * size(2, 1)),
        Op::ModalConv => out.saturating_mul(8 * size(1, 2)),
        Op::Experts(options) => {
            let Some((body, result)) = bound.body(index as u32).zip(options.body.output("out")) else {
                return 0;
            };
            flops_per_row(&options.body, body, &[result]).saturating_mul(size(1, 1))
        }
        Op::Input(_) | Op::Param(_) | Op::Const(_) | Op::Embedding | Op::Attend(_) => 0,
        Op::SplitHeads { .. } | Op::MergeHeads | Op::PerHead | Op::Split(_) | Op::Slice { .. } | Op::Transpose => 0,
        _ => out,
    }
}
