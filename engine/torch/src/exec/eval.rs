//! One node: inputs in, results out. Which token set a result's rows belong to is decided here.

use super::{Args, Results, foreign, sequence};
use crate::attention::{self, Bias, Form, Heads};
use crate::error::{Result, fail};
use crate::kinds::{cast, float_kind, is_float};
use crate::ops::{heads, matrix, norm, pointwise, rotary, route, rows};
use crate::place;
use crate::{RowSet, RtValue, Tensor as Shared};
use sli_model::{Attend, BinaryOp, Op, Scalar};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// What operations need besides their inputs.
pub(super) struct Context<'a> {
    /// Of matrix products.
    pub(super) compute: Kind,
    /// The token set of the graph.
    pub(super) set: &'a Arc<RowSet>,
}

/// Computes a node that is neither an input, a parameter nor a mixture of experts.
pub(super) fn eval(op: &Op, args: &Args, context: &Context) -> Result<Results> {
    let compute = context.compute;
    let first = || args.tensor(0);
    let made = match op {
        Op::Const(scalar) => return Ok(vec![Some(RtValue::Scalar(*scalar))]),
        Op::Range(n) => return plain(Tensor::f_arange(*n as i64, (Kind::Float, context.set.device()))?),
        Op::Numbers(numbers) => {
            let numbers: Vec<f32> = numbers.iter().map(|n| n.0 as f32).collect();
            return plain(place::numbers(&numbers, context.set.device())?);
        }

        Op::Linear { transposed } => matrix::linear(
            &first()?,
            &args.tensor(1)?,
            args.optional(2)?.as_ref(),
            *transposed,
            compute,
        )?,
        Op::Embedding => matrix::embedding(&first()?, &args.tensor(1)?, compute)?,
        Op::MatMul => matrix::matmul(&first()?, &args.tensor(1)?, compute)?,

        Op::LayerNorm { eps, offset, groups } => {
            let (weight, bias) = (args.optional(1)?, args.optional(2)?);
            norm::layer_norm(&first()?, weight.as_ref(), bias.as_ref(), eps.0, offset.0, *groups)?
        }
        Op::RmsNorm { eps, offset, groups } => {
            norm::rms_norm(&first()?, args.optional(1)?.as_ref(), eps.0, offset.0, *groups)?
        }
        Op::L2Norm { eps } => norm::l2_norm(&first()?, eps.0)?,
        Op::Normalize { eps } => norm::normalize(&first()?, eps.0)?,

        Op::Unary(unary) => match args.value(0)? {
            RtValue::Scalar(x) => return Ok(vec![Some(RtValue::Scalar(pointwise::unary_number(*unary, *x)))]),
            _ => pointwise::unary(*unary, &first()?)?,
        },
        Op::Binary(binary) => return arithmetic(*binary, args),
        Op::Where => choose(args)?,
        Op::Activation(kind) => match args.spare(0)? {
            Some(x) => pointwise::activation_in_place(*kind, x)?,
            None => pointwise::activation(*kind, &first()?)?,
        },
        Op::Clamp { lo, hi } => pointwise::clamp(&first()?, *lo, *hi)?,
        Op::Softcap(c) => pointwise::softcap(&first()?, c.0)?,
        Op::Softmax => pointwise::softmax(&first()?)?,
        Op::Sum => pointwise::sum(&first()?)?,
        Op::Mean => pointwise::mean(&first()?)?,

        Op::SplitHeads { heads: count, dim } => heads::split_heads(&first()?, *count, *dim)?,
        Op::MergeHeads => heads::merge_heads(&first()?)?,
        Op::RepeatHeads { n, tile } => heads::repeat_heads(&first()?, *n, *tile)?,
        Op::PerHead => first()?.f_unsqueeze(-1)?,
        Op::Split(sizes) => {
            let parts = heads::split(&first()?, sizes)?;
            return Ok(parts
                .into_iter()
                .map(|part| Some(labelled(part, args.any_rows())))
                .collect());
        }
        Op::Slice { start, end } => heads::slice(&first()?, *start, *end)?,
        Op::Concat => heads::concat(&columns(args)?)?,
        Op::JoinRows => return plain(heads::join_rows(&args.tensors()?)?),
        Op::Transpose if args.tensor(0)?.dim() == 2 => return plain(heads::transpose(&first()?)?),
        Op::Transpose => heads::transpose(&first()?)?,

        Op::Shift(n) => rows::shift(&first()?, *n, args.set(0)?)?,
        Op::FirstToken => return plain(rows::end_token(&first()?, false, args.set(0)?)?),
        Op::LastToken => return plain(rows::end_token(&first()?, true, args.set(0)?)?),
        Op::MeanRows => return plain(rows::mean_rows(&first()?, args.set(0)?)?),
        Op::RowPositions => args.set(0)?.places()?.raw().shallow_clone(),
        Op::FirstIndex(id) => rows::first_index(&args.shared(0)?, *id, args.set(0)?)?,
        Op::LastIndex { id, not } => rows::last_index(&args.shared(0)?, *id, *not, args.set(0)?)?,
        Op::RowAt => return plain(rows::row_at(&first()?, &args.shared(1)?, args.set(0)?)?),
        Op::Spread => {
            let spread = rows::spread(&first()?, args.set(1)?)?;
            return Ok(vec![Some(labelled(spread, args.rows(1)))]);
        }
        Op::Distances => return plain(rows::distances(context.set)?),
        Op::BlockSums(n) => {
            let (sums, set) = rows::block_sums(&first()?, *n, args.set(0)?)?;
            return Ok(vec![Some(RtValue::packed(Shared::own(sums), &Arc::new(set)))]);
        }

        Op::Rotary(rope) => {
            let set = args.rows(0);
            let at = match (args.get(1), set) {
                (Some(_), _) => args.shared(1)?,
                (None, Some(set)) => set.positions().clone(),
                (None, None) => fail!("x has no token set that gives positions"),
            };
            rotary::rotary(&first()?, rope, &at, set.map(Arc::as_ref))?
        }
        Op::Attend(attend) => return self::attend(attend, args, compute),
        Op::JoinAttention => {
            let parts: Result<Vec<_>> = (0..args.len() / 2)
                .map(|p| Ok((args.tensor(2 * p)?, args.tensor(2 * p + 1)?)))
                .collect();
            attention::join(&parts?)?
        }

        Op::TopK(k) => return chosen(route::top_k(&first()?, *k)?, args),
        Op::SparseMixer { k, eps } => return chosen(route::sparse_mixer(&first()?, *k, eps.0)?, args),
        Op::Gather => {
            let gathered = route::gather(&first()?, &args.tensor(1)?)?;
            return Ok(vec![Some(labelled(gathered, args.rows(1)))]);
        }
        Op::GroupLimit { groups, keep, top } => route::group_limit(&first()?, *groups, *keep, *top)?,

        Op::Alibi { .. }
        | Op::RelativeBias { .. }
        | Op::RelativeScores(_)
        | Op::SegmentScores
        | Op::KeyBias
        | Op::TopKeys(_)
        | Op::PairBias(_)
        | Op::AddBias
        | Op::ByBlock(_) => return Ok(vec![Some(RtValue::Bias(Arc::new(bias(op, args, context)?)))]),

        Op::CausalConv1d
        | Op::SelectiveScan
        | Op::Recurrence
        | Op::LinearScan(_)
        | Op::LongConv
        | Op::ModalConv
        | Op::DynamicConv
        | Op::RowConv { .. }
        | Op::Fourier => return sequence::mix(op, args),

        Op::Foreign(call) => return foreign::foreign(call, args, compute, context.set.device()),

        Op::Input(_) | Op::Param(_) | Op::Experts(_) => fail!("this is no operation on tensors"),
    };
    Ok(vec![Some(labelled(made, args.any_rows()))])
}

/// A result without token set.
fn plain(tensor: Tensor) -> Result<Results> {
    Ok(vec![Some(RtValue::plain(Shared::own(tensor)))])
}

/// A result whose rows are those of the set, if it has as many.
pub(super) fn labelled(tensor: Tensor, rows: Option<&Arc<RowSet>>) -> RtValue {
    let fits = |rows: &&Arc<RowSet>| tensor.size().first() == Some(&rows.len());
    let rows = rows.filter(fits).cloned();
    RtValue::Tensor {
        tensor: Shared::own(tensor),
        rows,
    }
}

/// Index and value of a choice.
fn chosen((index, value): (Tensor, Tensor), args: &Args) -> Result<Results> {
    Ok(vec![
        Some(labelled(index, args.any_rows())),
        Some(labelled(value, args.any_rows())),
    ])
}

/// The inputs of `concat`; token columns `[N]` beside `[N, ..]` become `[N, 1, ..]`.
fn columns(args: &Args) -> Result<Vec<Tensor>> {
    let parts = args.tensors()?;
    let rank = parts.iter().map(Tensor::dim).max().unwrap_or(0);
    let parts = parts.into_iter().enumerate();
    parts
        .map(|(slot, part)| column(part, args.rows(slot).is_some(), rank))
        .collect()
}

/// A token column `[N]` as `[N, 1, ..]` of `rank` dims.
fn column(x: Tensor, is_rows: bool, rank: usize) -> Result<Tensor> {
    if !is_rows || x.dim() != 1 || rank < 2 {
        return Ok(x);
    }
    let mut size = vec![1; rank];
    size[0] = x.size()[0];
    Ok(x.f_reshape(size)?)
}

/// `Op::Binary`.
fn arithmetic(op: BinaryOp, args: &Args) -> Result<Results> {
    let (a, b) = match (args.value(0)?, args.value(1)?) {
        (RtValue::Scalar(a), RtValue::Scalar(b)) => {
            return Ok(vec![Some(RtValue::Scalar(pointwise::binary_numbers(op, *a, *b)))]);
        }
        (RtValue::Scalar(a), _) => {
            let b = args.tensor(1)?;
            (pointwise::number_for(op, *a, &b)?, b)
        }
        (_, RtValue::Scalar(b)) => {
            let a = args.tensor(0)?;
            let b = pointwise::number_for(op, *b, &a)?;
            (a, b)
        }
        _ => beside(args)?,
    };
    let spare = [args.spare(0)?.is_some(), args.spare(1)?.is_some()];
    Ok(vec![Some(labelled(
        pointwise::binary_in_place(op, a, b, spare)?,
        args.any_rows(),
    ))])
}

/// Two tensors that meet in arithmetic: a token column stands before the other's dims, unless the other
/// is a column of the same set.
fn beside(args: &Args) -> Result<(Tensor, Tensor)> {
    let (a, b) = (args.tensor(0)?, args.tensor(1)?);
    let (rows_a, rows_b) = (args.rows(0).is_some(), args.rows(1).is_some());
    let (rank_a, rank_b) = (rank_beside(&b, rows_b), rank_beside(&a, rows_a));
    Ok((column(a, rows_a, rank_a)?, column(b, rows_b, rank_b)?))
}

/// The rank of a token column beside a tensor: rows of the same set stand in the same dim; any other
/// tensor comes after it.
fn rank_beside(other: &Tensor, other_rows: bool) -> usize {
    match other.dim() {
        0 => 1,
        dims if other_rows => dims,
        dims => dims + 1,
    }
}

/// `Op::Where`. Numbers take the type of what they meet.
fn choose(args: &Args) -> Result<Tensor> {
    let numbers = [0, 1, 2].map(|slot| matches!(args.get(slot), Some(RtValue::Scalar(_))));
    let Some(first) = numbers.iter().position(|number| !number) else {
        fail!("numbers only: a tensor is expected among them");
    };
    let whole = |slot| matches!(args.get(slot), Some(RtValue::Scalar(Scalar::Int(_))));
    let like = match (numbers[1], numbers[2]) {
        (false, _) => args.tensor(1)?,
        (_, false) => args.tensor(2)?,
        // two numbers: whole if both are, else of the mark's type
        _ if whole(1) && whole(2) => args.tensor(0)?.f_to_kind(Kind::Int64)?,
        _ => cast(&args.tensor(0)?, float_kind(&args.tensor(0)?))?,
    };
    let mut parts = Vec::with_capacity(3);
    for slot in 0..3 {
        let part = match args.value(slot)? {
            RtValue::Scalar(number) if slot == 0 => pointwise::number_on(*number, &args.tensor(first)?)?,
            RtValue::Scalar(number) if numbers[1] && numbers[2] => {
                cast(&pointwise::number_on(*number, &like)?, like.kind())?
            }
            RtValue::Scalar(number) => pointwise::number_on(*number, &like)?,
            _ => {
                let others = (0..3).filter(|other| *other != slot && !numbers[*other]);
                let ranks = others.map(|other| Ok(rank_beside(&args.tensor(other)?, args.rows(other).is_some())));
                let rank = ranks.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(1);
                column(args.tensor(slot)?, args.rows(slot).is_some(), rank)?
            }
        };
        parts.push(part);
    }
    pointwise::choose(&parts[0], &parts[1], &parts[2])
}

/// `Op::Attend`.
fn attend(op: &Attend, args: &Args, compute: Kind) -> Result<Results> {
    let prefix = match args.get(4) {
        Some(_) if is_float(args.tensor(4)?.kind()) => fail!("`prefix` is not made of whole numbers"),
        Some(_) => Some(args.shared(4)?.to_i64_vec()?),
        None => None,
    };
    let q_set = args.set(0)?;
    let heads = Heads {
        q: args.tensor(0)?,
        k: args.tensor(1)?,
        v: args.tensor(2)?,
        q_set,
        k_set: args.set(1)?,
        bias: args.get(3).map(|_| args.bias(3)).transpose()?,
        prefix,
        sinks: args.optional(5)?,
    };
    let (y, lse) = attention::attend(op, &heads, compute)?;
    let mut results = vec![Some(labelled(y, Some(q_set)))];
    if let Some(lse) = lse {
        results.push(Some(labelled(lse, Some(q_set))));
    }
    Ok(results)
}

/// The operations that make score biases.
fn bias(op: &Op, args: &Args, context: &Context) -> Result<Bias> {
    let set = |slot| args.set(slot).cloned();
    Ok(Bias::new(match op {
        Op::Alibi {
            heads,
            scale,
            max,
            symmetric,
        } => Form::alibi(*heads, *scale, *max, *symmetric, context.set.device())?,
        Op::RelativeBias {
            buckets,
            max_distance,
            bidirectional,
            ahead,
        } => {
            let table = args.shared(0)?;
            let shape = table.shape();
            let rows = if shape.len() == 3 { Some(set(0)?) } else { None };
            if shape.len() < 2 || shape[shape.len() - 2] < *buckets as i64 {
                fail!("a table of shape {shape:?} does not hold {buckets} buckets");
            }
            let (buckets, max_distance) = (*buckets as i64, *max_distance as i64);
            Form::Relative {
                table,
                rows,
                buckets,
                max_distance,
                bidirectional: *bidirectional,
                ahead: *ahead,
            }
        }
        Op::RelativeScores(relative) => {
            let (x, table) = (args.shared(0)?, args.shared(1)?);
            if table.shape().len() != 3 {
                fail!("a table of shape {:?}, [B, H or 1, D] is expected", table.shape());
            }
            let buckets = relative.buckets.map(|(n, max)| (n as i64, max as i64));
            Form::Scores {
                x,
                rows: set(0)?,
                table,
                of_key: relative.of_key,
                buckets,
            }
        }
        Op::SegmentScores => {
            return Bias::segments(&args.tensor(0)?, &args.tensor(1)?, args.shared(2)?, set(0)?);
        }
        Op::KeyBias => Form::Keys {
            t: args.shared(0)?,
            rows: set(0)?,
        },
        Op::TopKeys(n) => Form::TopKeys {
            q: args.shared(0)?,
            k: args.shared(1)?,
            weight: args.shared(2)?,
            n: *n as i64,
            q_rows: set(0)?,
            k_rows: set(1)?,
        },
        Op::PairBias(pair) => Form::Pair(Arc::new((**pair).clone())),
        Op::AddBias => Form::Sum(args.bias(0)?, args.bias(1)?),
        Op::ByBlock(n) => Form::ByBlock(args.bias(0)?, (*n as i64).max(1)),
        _ => fail!("this makes no score bias"),
    }))
}
