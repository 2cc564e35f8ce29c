//! Heads, parts of the last dim, rows of a sequence.

use std::sync::Arc;

use sli_model::{Num, Op, Sizes, Value};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// [.., H*D] -> [.., H, D]. The product must be the last dim: here a config is checked against the weights. One of
    /// `H` and `D` may be null: what fits.
    "split_heads" 3..=3 [] "split_heads(x, H, D)" => split_heads;
    /// [.., H, D] -> [.., H*D].
    "merge_heads" 1..=1 [] "merge_heads(x)" => merge_heads;
    /// [N, H, D] -> [N, H*n, D]: each head n times in a row (`a a b b`). `attend` and `linear_scan` share key heads
    /// without it.
    /// * `tile` (false): all heads, n times (`a b a b`).
    "repeat_heads" 2..=2 ["tile"] "repeat_heads(x, n, {tile})" => repeat_heads;
    /// [.., H] -> [.., H, 1], to scale [.., H, D]. A list of plan numbers becomes a tensor [H, 1].
    "per_head" 1..=1 [] "per_head(x)" => per_head;
    /// [.., C] -> a list of tensors along the last dim: of these sizes, which must add up to C, or n equal parts. Take
    /// one by its index: `split(x, 2)[0]`. Heads that lie interleaved are split after `split_heads`.
    "split" 2..=2 [] "split(x, [c0, c1, …] or n)" => split;
    /// Elements a .. b-1 of the last dim. Negative numbers count from the end; null is open. Outside is an error.
    "slice" 3..=3 [] "slice(x, a, b)" => slice;
    /// Joined along the last dim. All have as many dims; other dims of size 1 are repeated.
    "concat" 1..=1 [] "concat([a, b, …])" => concat;
    /// The last two dims exchanged; rows of tokens stay first.
    "transpose" 1..=1 [] "transpose(x)" => transpose;
    /// [n] f32: 0 .. n-1. With it, tables that no file holds: `a = positions * pow(10000.0, range(h) * (-1.0 / h))`,
    /// `concat([sin(a), cos(a)])` are the sinusoids of arXiv 1706.03762.
    "range" 1..=1 [] "range(n)" => range;
    /// x [N, ..]: row t - n of the same sequence, zeros where there is none; n < 0 looks ahead. State of a step-by-step
    /// run: the last n rows.
    "shift" 1..=2 [] "shift(x, n = 1)" => shift;
    /// [N, ..] -> [S, ..]: the first row of each sequence (the class token). An empty sequence is an error.
    "first_token" 1..=1 [] "first_token(x)" => first_token;
    /// [N, ..] -> [S, ..]: the last row of each sequence. An empty sequence is an error.
    "last_token" 1..=1 [] "last_token(x)" => last_token;
    /// [N, ..] -> [S, ..]: the mean over the rows of each sequence, summed in f32.
    "mean_rows" 1..=1 [] "mean_rows(x)" => mean_rows;
    /// [N] integers: the index of each row in its sequence, of x's own token set. `positions` is the same for the
    /// stack's set.
    "row_positions" 1..=1 [] "row_positions(x)" => row_positions;
    /// tokens [N] -> [N]: the index in its sequence of the first token `id`, for every row of the sequence; the
    /// sequence's length if there is none. With `prefix` of `attend`, a prompt that ends at a known token sees itself
    /// both ways.
    "first_index" 2..=2 [] "first_index(tokens, id)" => first_index;
    /// tokens [N] -> [N]: the index in its sequence of the last token that is `id`, for every row of the sequence, 0 if
    /// there is none; with `not` (false) of the last token that is another one. `row_at(x, last_index(tokens, pad, {'not':
    /// true}))` is the row that classifiers on decoders read.
    "last_index" 2..=2 ["not"] "last_index(tokens, id, {not})" => last_index;
    /// x [N, ..], index [N] -> [S, ..]: of each sequence the row at the index (within the sequence) that `index` has in the
    /// sequence's first row, as `first_index` and `last_index` give it. An index beyond the sequence is an error.
    "row_at" 2..=2 [] "row_at(x, index)" => row_at;
    /// t [S, ..], x [N, ..] -> [N, ..]: row s of t for every row of sequence s of x: the way back from `first_token`,
    /// `mean_rows`, `row_at` to rows.
    "spread" 2..=2 [] "spread(t, x)" => spread;
    /// The block called `count` times, one call after the other, each taking what the one before gave; `{n}` in the
    /// module is from .. from + count - 1. `count` may be 0.
    /// * `block` (needed): its name.
    /// * `from` (0): the first number.
    "repeat" 3..=3 ["block", "from"] "repeat(x, 'module.{n}', count, {block, from = 0})" => repeat;
};

/// An op of one tensor without attributes.
fn plain(mut call: Call<'_, '_, '_>, op: Op) -> R<Val> {
    let x = call.tensor(0)?;
    Ok(call.push(op, vec![Some(x)]))
}

/// A size, or `None` for null: what fits.
fn fitting(call: &mut Call<'_, '_, '_>, k: usize) -> R<Option<u64>> {
    match call.val(k)? {
        Val::Null => Ok(None),
        _ => call.size(k).map(Some),
    }
}

fn split_heads(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (heads, dim) = (fitting(&mut call, 1)?, fitting(&mut call, 2)?);
    if heads.is_none() && dim.is_none() {
        return Err(call.fail("at least one of the number and the width of heads must be known"));
    }
    Ok(call.push(Op::SplitHeads { heads, dim }, vec![Some(x)]))
}

fn merge_heads(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::MergeHeads)
}

fn repeat_heads(mut call: Call<'_, '_, '_>) -> R<Val> {
    let n = call.size(1)?;
    let tile = call.flag("tile")?;
    plain(call, Op::RepeatHeads { n, tile })
}

fn per_head(mut call: Call<'_, '_, '_>) -> R<Val> {
    if let Val::List(list) = call.val(0)? {
        let numbers: Option<Vec<Num>> = list.iter().map(|v| v.number().map(Num)).collect();
        let Some(numbers) = numbers else {
            return Err(call.fail("a list of numbers is expected"));
        };
        let Val::Tensor(_, x) = call.push(Op::Numbers(numbers), Vec::new()) else {
            return Ok(Val::Null);
        };
        return Ok(call.push(Op::PerHead, vec![Some(x)]));
    }
    plain(call, Op::PerHead)
}

fn split(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let sizes = match call.val(1)? {
        Val::List(_) => Sizes::Each(call.sizes(1)?),
        _ => Sizes::Equal(call.size(1)?),
    };
    let parts = sizes.parts();
    let Val::Tensor(serial, first) = call.push(Op::Split(sizes), vec![Some(x)]) else {
        return Ok(Val::Null);
    };
    let list = (0..parts).map(|out| {
        Val::Tensor(
            serial,
            Value {
                node: first.node,
                out: out as u16,
            },
        )
    });
    Ok(Val::List(Arc::new(list.collect())))
}

fn slice(mut call: Call<'_, '_, '_>) -> R<Val> {
    let end = |call: &mut Call<'_, '_, '_>, k| match call.val(k)? {
        Val::Null => Ok(None),
        _ => call.int(k).map(Some),
    };
    let (start, end) = (end(&mut call, 1)?, end(&mut call, 2)?);
    plain(call, Op::Slice { start, end })
}

fn concat(mut call: Call<'_, '_, '_>) -> R<Val> {
    let list = call.list(0)?;
    if list.is_empty() {
        return Err(call.fail("an empty list has nothing to join"));
    }
    let inputs: R<Vec<_>> = list.iter().map(|v| call.as_tensor(v, call.args[0]).map(Some)).collect();
    Ok(call.push(Op::Concat, inputs?))
}

fn transpose(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::Transpose)
}

fn range(mut call: Call<'_, '_, '_>) -> R<Val> {
    let n = call.size(0)?;
    Ok(call.push(Op::Range(n), Vec::new()))
}

fn shift(mut call: Call<'_, '_, '_>) -> R<Val> {
    let n = if call.count() == 2 { call.int(1)? } else { 1 };
    plain(call, Op::Shift(n))
}

fn first_token(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::FirstToken)
}

fn last_token(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::LastToken)
}

fn mean_rows(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::MeanRows)
}

fn row_positions(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::RowPositions)
}

fn last_index(mut call: Call<'_, '_, '_>) -> R<Val> {
    let tokens = call.tensor(0)?;
    let op = Op::LastIndex {
        id: call.int(1)?,
        not: call.flag("not")?,
    };
    Ok(call.push(op, vec![Some(tokens)]))
}

fn row_at(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
    Ok(call.push(Op::RowAt, inputs))
}

fn spread(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
    Ok(call.push(Op::Spread, inputs))
}

fn first_index(mut call: Call<'_, '_, '_>) -> R<Val> {
    let id = call.int(1)?;
    plain(call, Op::FirstIndex(id))
}

/// The block called `count` times one after the other.
fn repeat(mut call: Call<'_, '_, '_>) -> R<Val> {
    let template = call.string(1)?;
    let count = match call.val(2)?.integer() {
        Some(n) if n >= 0 => n,
        _ => return Err(call.fail("the count is a whole number")),
    };
    let Some(block) = call.string_option("block")? else {
        return Err(call.fail("the option `block` names the block to repeat"));
    };
    if !call.compiler.family.blocks.contains_key(&*block) {
        return Err(call.fail(format!("there is no block `{block}`")));
    }
    let from = call.int_option("from")?.unwrap_or(0);
    let at = (call.frame, call.parsed, call.expr);
    let mut x = call.val(0)?;
    for n in from..from + count {
        let module = call.compiler.fill(&template.replace("{n}", &n.to_string()), at)?;
        x = call.compiler.run_block(&block, x, &module, Default::default(), at)?;
    }
    Ok(x)
}
