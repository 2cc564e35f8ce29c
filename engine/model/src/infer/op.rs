//! The table of ops: which rule types which op.

use super::{
    Dim, Env, Outputs, ValueType, attention, experts, foreign, matrices, mixers, norms, pointwise, reshape, rows,
};
use super::{Fault, site::Site};
use crate::Op;

/// Types of the outputs of a node that is no input, parameter or `experts`.
pub(super) fn infer(site: &Site<'_>, op: &Op, env: &mut Env<'_>) -> Outputs {
    let sets = &mut *env.sets;
    let value = match op {
        Op::Input(_) | Op::Param(_) | Op::Experts(_) => return Err(Fault::Silent),
        Op::Const(_) => Ok(ValueType::Scalar),
        Op::Range(n) => Ok(ValueType::float(vec![Dim::Size(*n)])),
        Op::Numbers(numbers) => Ok(ValueType::float(vec![Dim::Size(numbers.len() as u64)])),

        Op::Linear { transposed } => matrices::linear(site, *transposed),
        Op::Embedding => matrices::embedding(site),
        Op::MatMul => matrices::matmul(site, sets),

        Op::LayerNorm { groups, .. } | Op::RmsNorm { groups, .. } => norms::norm(site, *groups, sets),
        Op::L2Norm { .. } | Op::Normalize { .. } | Op::Softmax => norms::over_last(site),
        Op::Sum | Op::Mean => norms::reduce(site, matches!(op, Op::Sum)),

        Op::Unary(unary) => pointwise::unary(site, *unary),
        Op::Activation(_) | Op::Softcap(_) => pointwise::float(site),
        Op::Clamp { .. } => pointwise::same(site),
        Op::Binary(binary) => pointwise::binary(site, *binary, sets),
        Op::Where => pointwise::choose(site, sets),

        Op::SplitHeads { heads, dim } => reshape::split_heads(site, *heads, *dim),
        Op::MergeHeads => reshape::merge_heads(site),
        Op::RepeatHeads { n, .. } => reshape::repeat_heads(site, *n),
        Op::PerHead => reshape::per_head(site),
        Op::Split(sizes) => return Ok(reshape::split(site, sizes)?),
        Op::Slice { start, end } => reshape::slice(site, *start, *end),
        Op::Concat => reshape::concat(site, sets),
        Op::JoinRows => return reshape::join_rows(site),
        Op::Transpose => reshape::transpose(site),

        Op::Shift(_) => rows::same_rows(site),
        Op::FirstToken | Op::LastToken | Op::MeanRows => rows::per_sequence(site, matches!(op, Op::MeanRows)),
        Op::RowPositions => rows::positions(site),
        Op::FirstIndex(_) | Op::LastIndex { .. } => rows::token_index(site),
        Op::RowAt => rows::row_at(site, sets),
        Op::Spread => rows::spread(site),
        Op::BlockSums(n) => rows::block_sums(site, *n, sets),

        Op::Rotary(rope) => attention::rotary(site, rope, sets),
        Op::Attend(options) => return Ok(attention::attend(site, options, sets)?),
        Op::Alibi { heads, .. } => Ok(ValueType::Bias {
            heads: Some(*heads),
            query: None,
            key: None,
        }),
        Op::RelativeBias { buckets, .. } => attention::relative_bias(site, *buckets),
        Op::RelativeScores(relative) => attention::relative_scores(site, relative),
        Op::SegmentScores => attention::segment_scores(site, sets),
        Op::KeyBias => attention::key_bias(site),
        Op::TopKeys(_) => attention::top_keys(site, sets),
        Op::PairBias(pair) => Ok(ValueType::Bias {
            heads: pair.heads,
            query: None,
            key: None,
        }),
        Op::AddBias => attention::add_bias(site, sets),
        Op::ByBlock(_) => attention::by_block(site),
        Op::Distances => Ok(ValueType::int(vec![Dim::Span(env.set)])),
        Op::JoinAttention => attention::join(site, sets),

        Op::TopK(k) | Op::SparseMixer { k, .. } => return Ok(experts::choice(site, *k)?),
        Op::Gather => experts::gather(site, sets),
        Op::GroupLimit { groups, keep, top } => experts::group_limit(site, *groups, *keep, *top),

        Op::CausalConv1d => mixers::causal_conv(site),
        Op::SelectiveScan => mixers::selective_scan(site, sets),
        Op::Recurrence => mixers::recurrence(site, sets),
        Op::LinearScan(_) => mixers::linear_scan(site, sets),
        Op::LongConv => mixers::long_conv(site),
        Op::ModalConv => mixers::modal_conv(site),
        Op::DynamicConv => mixers::dynamic_conv(site, sets),
        Op::RowConv {
            stride,
            padding,
            groups,
            dilation,
        } => {
            let shape = mixers::ConvShape {
                stride: *stride,
                padding: *padding,
                groups: *groups,
                dilation: *dilation,
            };
            mixers::row_conv(site, shape, sets)
        }
        Op::Fourier => rows::matrix(site),
        Op::Foreign(call) => return foreign::foreign(site, call),
    };
    Ok(vec![value?])
}
