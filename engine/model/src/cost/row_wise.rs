//! Which graphs compute every row by itself.

use crate::{Graph, Op, Value};

/// True if `wanted` can be computed for any part of the tokens on its own, with the same result: every
/// node it needs works on each row by itself, and the rows are those of the graph's inputs.
///
/// Positions, token ids and other inputs with one row per token count as such; so does `rotary` by
/// frequencies that do not depend on the length of a sequence.
pub fn is_row_wise(graph: &Graph, wanted: &[Value]) -> bool {
    let need = graph.needed(wanted.iter().copied());
    graph
        .nodes
        .iter()
        .zip(need)
        .all(|(node, needed)| !needed || op_is_row_wise(&node.op))
}

fn op_is_row_wise(op: &Op) -> bool {
    match op {
        Op::Input(_)
        | Op::Param(_)
        | Op::Const(_)
        | Op::Range(_)
        | Op::Numbers(_)
        | Op::Linear { .. }
        | Op::Embedding
        | Op::MatMul
        | Op::LayerNorm { .. }
        | Op::RmsNorm { .. }
        | Op::L2Norm { .. }
        | Op::Normalize { .. }
        | Op::Unary(_)
        | Op::Activation(_)
        | Op::Binary(_)
        | Op::Where
        | Op::Clamp { .. }
        | Op::Softcap(_)
        | Op::Softmax
        | Op::Sum
        | Op::Mean
        | Op::SplitHeads { .. }
        | Op::MergeHeads
        | Op::RepeatHeads { .. }
        | Op::PerHead
        | Op::Split(_)
        | Op::Slice { .. }
        | Op::Concat
        | Op::JoinRows
        | Op::Transpose
        | Op::JoinAttention
        | Op::TopK(_)
        | Op::Gather
        | Op::GroupLimit { .. }
        | Op::SparseMixer { .. } => true,
        Op::Rotary(rope) => !rope.depends_on_length(),
        Op::Experts(options) => options.capacity.is_none(),
        Op::Foreign(_)
        | Op::Shift(_)
        | Op::FirstToken
        | Op::LastToken
        | Op::MeanRows
        | Op::RowPositions
        | Op::FirstIndex(_)
        | Op::LastIndex { .. }
        | Op::RowAt
        | Op::Spread
        | Op::Attend(_)
        | Op::Alibi { .. }
        | Op::RelativeBias { .. }
        | Op::RelativeScores(_)
        | Op::SegmentScores
        | Op::KeyBias
        | Op::TopKeys(_)
        | Op::PairBias(_)
        | Op::AddBias
        | Op::ByBlock(_)
        | Op::Distances
        | Op::BlockSums(_)
        | Op::CausalConv1d
        | Op::SelectiveScan
        | Op::Recurrence
        | Op::LinearScan(_)
        | Op::LongConv
        | Op::ModalConv
        | Op::DynamicConv
        | Op::RowConv { .. }
        | Op::Fourier => false,
    }
}
