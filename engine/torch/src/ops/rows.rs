//! Operations along the rows of sequences: shifts, first and last tokens, block sums.

use crate::error::{Result, fail};
use crate::kinds::{cast, upcast};
use crate::place;
use crate::{RowSet, Tensor as Shared};
use tch::{Kind, Tensor};

/// Row t - n of the same sequence, zeros where there is none (`Op::Shift`).
pub(crate) fn shift(x: &Tensor, n: i64, set: &RowSet) -> Result<Tensor> {
    let rows = check(x, set)?;
    let out = Tensor::f_zeros(x.size(), (x.kind(), x.device()))?;
    let step = n.abs();
    if step >= rows {
        return Ok(out);
    }
    // the whole batch at once, then zeros where a row came from another sequence
    let (from, to) = if n >= 0 { (0, step) } else { (step, 0) };
    out.f_narrow(0, to, rows - step)?
        .f_copy_(&x.f_narrow(0, from, rows - step)?)?;
    if n != 0 {
        let foreign: Vec<i64> = (0..set.sequences()).flat_map(|s| edge(set.range(s), n)).collect();
        let _ = out
            .shallow_clone()
            .f_index_fill_(0, &place::numbers(&foreign, x.device())?, 0)?;
    }
    Ok(out)
}

/// The first (n > 0) or last (n < 0) abs n rows of a sequence.
fn edge(range: std::ops::Range<i64>, n: i64) -> std::ops::Range<i64> {
    let width = n.abs().min(range.end - range.start);
    if n > 0 {
        range.start..range.start + width
    } else {
        range.end - width..range.end
    }
}

/// `[N, C]` -> `[S, C]`: the first or the last row of every sequence.
pub(crate) fn end_token(x: &Tensor, last: bool, set: &RowSet) -> Result<Tensor> {
    check(x, set)?;
    if let Some(s) = set.lengths().position(|length| length == 0) {
        fail!(
            "sequence {s} of the batch is empty: it has no {} token",
            if last { "last" } else { "first" }
        );
    }
    let ranges = (0..set.sequences()).map(|s| set.range(s));
    let rows: Vec<i64> = ranges.map(|r| if last { r.end - 1 } else { r.start }).collect();
    Ok(x.f_index_select(0, &place::numbers(&rows, x.device())?)?)
}

/// `[N, C]` -> `[S, C]`: the mean over each sequence, summed in f32 (`Op::MeanRows`); 0 for an empty one.
pub(crate) fn mean_rows(x: &Tensor, set: &RowSet) -> Result<Tensor> {
    check(x, set)?;
    let mut size = x.size();
    size[0] = set.sequences() as i64;
    let out = Tensor::f_zeros(size, (Kind::Float, x.device()))?;
    for s in 0..set.sequences() {
        let range = set.range(s);
        if !range.is_empty() {
            let rows = x.f_narrow(0, range.start, range.end - range.start)?;
            out.f_select(0, s as i64)?
                .f_copy_(&rows.f_mean_dim(0, false, Kind::Float)?)?;
        }
    }
    cast(&out, x.kind())
}

/// `tokens [N]` -> `[N]`: index in its sequence of the first token `id`, its length if none.
pub(crate) fn first_index(tokens: &Shared, id: i64, set: &RowSet) -> Result<Tensor> {
    token_index(tokens, set, |row| {
        row.iter().position(|t| *t == id).unwrap_or(row.len())
    })
}

/// `tokens [N]` -> `[N]`: index in its sequence of the last token that is `id` (`not`: that is another), 0 if none.
pub(crate) fn last_index(tokens: &Shared, id: i64, not: bool, set: &RowSet) -> Result<Tensor> {
    token_index(tokens, set, |row| {
        row.iter().rposition(|t| (*t == id) != not).unwrap_or(0)
    })
}

/// `x [N, ..]` -> `[S, ..]`: of each sequence the row at the index that its first row names (`Op::RowAt`).
pub(crate) fn row_at(x: &Tensor, index: &Shared, set: &RowSet) -> Result<Tensor> {
    check(x, set)?;
    let index = index.to_i64_vec()?;
    let mut rows = Vec::with_capacity(set.sequences());
    for s in 0..set.sequences() {
        let range = set.range(s);
        match index
            .get(range.start as usize)
            .filter(|at| !range.is_empty() && (0..set.length(s)).contains(*at))
        {
            Some(at) => rows.push(range.start + at),
            None => fail!(
                "sequence {s} of the batch has {} rows, none of the index that was asked for",
                set.length(s)
            ),
        }
    }
    Ok(x.f_index_select(0, &place::numbers(&rows, x.device())?)?)
}

/// `t [S, ..]` -> `[N, ..]`: row s for every row of sequence s (`Op::Spread`).
pub(crate) fn spread(t: &Tensor, set: &RowSet) -> Result<Tensor> {
    let rows: Vec<i64> = (set.lengths().enumerate())
        .flat_map(|(s, n)| std::iter::repeat_n(s as i64, n as usize))
        .collect();
    Ok(t.f_index_select(0, &place::numbers(&rows, t.device())?)?)
}

fn token_index(tokens: &Shared, set: &RowSet, find: impl Fn(&[i64]) -> usize) -> Result<Tensor> {
    check(tokens.raw(), set)?;
    let tokens_vec = tokens.to_i64_vec()?;
    let mut out = Vec::with_capacity(tokens_vec.len());
    for s in 0..set.sequences() {
        let range = set.range(s);
        let row = &tokens_vec[range.start as usize..range.end as usize];
        out.resize(out.len() + row.len(), find(row) as i64);
    }
    Ok(place::numbers(&out, tokens.raw().device())?)
}

/// `[2L + 1]`: -L .. L, L the longest sequence.
pub(crate) fn distances(set: &RowSet) -> Result<Tensor> {
    let longest = set.longest();
    Ok(Tensor::f_arange_start(
        -longest,
        longest + 1,
        (Kind::Int64, set.device()),
    )?)
}

/// Sums of n tokens each per sequence and the set of the sums (`Op::BlockSums`).
pub(crate) fn block_sums(x: &Tensor, n: u64, set: &RowSet) -> Result<(Tensor, RowSet)> {
    check(x, set)?;
    let n = n.max(1) as i64;
    let lengths: Vec<i64> = set.lengths().map(|length| length / n).collect();
    let blocks = RowSet::beside(&lengths, x.device())?;
    let mut size = x.size();
    size[0] = blocks.len();
    let out = Tensor::f_zeros(size, (Kind::Float, x.device()))?;
    for s in 0..set.sequences() {
        let (from, to, count) = (set.range(s).start, blocks.range(s).start, blocks.length(s));
        if count == 0 {
            continue;
        }
        let whole = upcast(&x.f_narrow(0, from, count * n)?)?.f_unflatten(0, [count, n])?;
        out.f_narrow(0, to, count)?
            .f_copy_(&whole.f_sum_dim_intlist(1, false, None)?)?;
        let rest = set.length(s) - count * n;
        if rest > 0 {
            let tail = x
                .f_narrow(0, from + count * n, rest)?
                .f_sum_dim_intlist(0, false, Kind::Float)?;
            let _ = out.f_select(0, to + count - 1)?.f_add_(&tail)?;
        }
    }
    Ok((cast(&out, x.kind())?, blocks))
}

/// The number of rows, which x and its set must agree on.
fn check(x: &Tensor, set: &RowSet) -> Result<i64> {
    match x.size().first() {
        Some(rows) if *rows == set.len() => Ok(*rows),
        _ => fail!(
            "a tensor of shape {:?} cannot be the {} rows of its token set",
            x.size(),
            set.len()
        ),
    }
}

#[cfg(test)]
mod tests;
