//! Live bytes per token, by liveness in node order.

use super::row_elements;
use crate::bind::BoundGraph;
use crate::infer::{Kind, ValueType};
use crate::{Experts, Graph, Op, Value};

/// Bytes of an integer element.
const INT: u64 = 8;
/// Bytes of an f32, in which norms and scans compute.
const F32: u64 = 4;
/// Bytes of an f64, in which scans sum log decays.
const F64: u64 = 8;

/// Bytes per token that are live at the worst moment while `wanted` is computed in node order and every
/// value is freed after its last use. `elem_size` is the size of the compute dtype.
///
/// Views cost nothing but keep what they look at alive. The buffers that an op needs while it runs are
/// counted. Values from outside the graph are not: they belong to the caller. Neither is what does not
/// grow with the number of tokens: parameters, tables and tiles of attention scores.
pub fn peak_row_bytes(graph: &Graph, bound: &BoundGraph, wanted: &[Value], elem_size: u64) -> u64 {
    let need = graph.needed(wanted.iter().copied());
    let owners = owners(graph);
    let last_use = last_uses(graph, &need, &owners, wanted);
    let mut dying: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    let mut live = 0u64;
    let mut peak = 0u64;
    let sizes: Vec<u64> = (0..graph.nodes.len())
        .map(|index| own_bytes(graph, bound, index, elem_size))
        .collect();
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| need[*index]) {
        live += sizes[index];
        let scratch = scratch(&node.op, graph, bound, index, elem_size);
        peak = peak.max(live.saturating_add(scratch));
        if owners[index] == index {
            dying[last_use[index].unwrap_or(index)].push(index);
        }
        // A value that ends here may have been made here: then nothing ever reads it.
        for dead in std::mem::take(&mut dying[index]) {
            live -= sizes[dead];
        }
    }
    peak
}

/// The node whose memory a node's outputs live in: itself, or for a view that of its first input.
fn owners(graph: &Graph) -> Vec<usize> {
    let mut owners: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let base = node.inputs.first().copied().flatten().filter(|_| is_view(&node.op));
        owners.push(base.map_or(index, |value| owners[value.node as usize]));
    }
    owners
}

fn is_view(op: &Op) -> bool {
    matches!(
        op,
        Op::SplitHeads { .. } | Op::MergeHeads | Op::PerHead | Op::Split(_) | Op::Slice { .. } | Op::Transpose
    )
}

/// The last node that reads the memory of a node; `usize` beyond the graph if it is wanted.
fn last_uses(graph: &Graph, need: &[bool], owners: &[usize], wanted: &[Value]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| need[*index]) {
        // A view made is a use: what it looks at lives at least that long.
        last[owners[index]] = Some(index);
        for input in node.inputs.iter().flatten() {
            last[owners[input.node as usize]] = Some(index);
        }
    }
    for value in wanted {
        last[owners[value.node as usize]] = Some(graph.nodes.len() - 1);
    }
    last
}

/// Bytes per token that a node allocates for its outputs.
fn own_bytes(graph: &Graph, bound: &BoundGraph, index: usize, elem_size: u64) -> u64 {
    let op = &graph.nodes[index].op;
    if is_view(op) || matches!(op, Op::Input(_) | Op::Param(_)) {
        return 0;
    }
    bound
        .types
        .get(index)
        .map_or(0, |types| types.iter().map(|t| bytes(t, elem_size)).sum())
}

fn bytes(value: &ValueType, elem_size: u64) -> u64 {
    let size = match value {
        ValueType::Tensor { kind: Kind::Int, .. } => INT,
        _ => elem_size,
    };
    row_elements(value).saturating_mul(size)
}

/// Bytes per token that an op needs beside its inputs and outputs while it runs.
fn scratch(op: &Op, graph: &Graph, bound: &BoundGraph, index: usize, elem_size: u64) -> u64 {
    let input = |i: usize| {
        graph.nodes[index]
            .inputs
            .get(i)
            .copied()
            .flatten()
            .and_then(|v| bound.value_type(v))
    };
    let elements = |i: usize| input(i).map_or(0, row_elements);
    match op {
        // x and its normed form in f32.
        Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::L2Norm { .. } | Op::Normalize { .. } | Op::Softmax => {
            2 * F32 * elements(0)
        }
        // The turned features in f32 and their partner.
        Op::Rotary(_) => 2 * F32 * elements(0),
        // q, k, v by head, and y in f32.
        Op::Attend(_) => (0..3).map(elements).sum::<u64>() * elem_size + F32 * elements(0).max(elements(2)),
        Op::JoinAttention => 2 * F32 * elements(0),
        Op::CausalConv1d | Op::RowConv { .. } | Op::DynamicConv | Op::ModalConv => 2 * F32 * elements(0),
        // FFT of length 2n, complex.
        Op::LongConv | Op::Fourier => 4 * F32 * elements(0),
        Op::SelectiveScan => {
            let states = input(2).and_then(|a| a.dims()?.last()?.size()).unwrap_or(1);
            2 * F32 * elements(0).saturating_mul(states)
        }
        Op::Recurrence => 4 * F32 * elements(0),
        Op::LinearScan(_) => linear_scan(graph, bound, index),
        Op::Experts(options) => experts(options, bound, index, elements(0), elem_size),
        _ => 0,
    }
}

/// q, k, v in f32 for every head, their products with decays, and the sums of log decays in f64.
fn linear_scan(graph: &Graph, bound: &BoundGraph, index: usize) -> u64 {
    let input = |i: usize| {
        graph.nodes[index]
            .inputs
            .get(i)
            .copied()
            .flatten()
            .and_then(|v| bound.value_type(v))
    };
    let size = |i: usize, dim: usize| input(i).and_then(|t| t.dims()?.get(dim)?.size()).unwrap_or(1);
    let (heads, value) = (size(2, 1), size(2, 2));
    let key = size(0, 2).max(size(1, 2));
    heads.saturating_mul(4 * F32 * key + F64 * key + 3 * F32 * value)
}

/// One expert at a time: at worst every token goes to it. Its rows, what its body needs, and the sum in f32.
fn experts(options: &Experts, bound: &BoundGraph, index: usize, x: u64, elem_size: u64) -> u64 {
    let Some(out) = options.body.output("out") else {
        return 0;
    };
    let body = bound
        .body(index as u32)
        .map_or(0, |body| peak_row_bytes(&options.body, body, &[out], elem_size));
    let sum = bound
        .types
        .get(index)
        .and_then(|types| types.first())
        .map_or(0, row_elements);
    x.saturating_mul(elem_size)
        .saturating_add(body)
        .saturating_add(F32 * sum)
}
