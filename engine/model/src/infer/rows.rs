//! Ops along the tokens of sequences: shifts, pooling, positions, blocks.

use super::site::Site;
use super::{Dim, Kind, SetId, Sets, ValueType};

/// `x [N, ..]` -> like x.
pub(super) fn same_rows(site: &Site<'_>) -> Result<ValueType, String> {
    site.rows(0, "x")?;
    let x = site.tensor(0, "x")?;
    Ok(x.with(x.dims.to_vec()))
}

/// `x [N, C]` -> like x, float.
pub(super) fn matrix(site: &Site<'_>) -> Result<ValueType, String> {
    site.rows(0, "x")?;
    let x = site.ranked(0, "x", 2, "[tokens, width]")?;
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x [N, ..]` -> `[S, ..]`.
pub(super) fn per_sequence(site: &Site<'_>, mean: bool) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.tensor(0, "x")?;
    let dims = [&[Dim::Seqs(set)], &x.dims[1..]].concat();
    Ok(ValueType::Tensor {
        dims,
        kind: if mean { Kind::Float } else { x.kind },
    })
}

/// `x [N, ..]` -> `[N]` int.
pub(super) fn positions(site: &Site<'_>) -> Result<ValueType, String> {
    site.rows(0, "x").map(|set| ValueType::int(vec![Dim::Rows(set)]))
}

/// `tokens [N]` -> `[N]` int.
pub(super) fn token_index(site: &Site<'_>) -> Result<ValueType, String> {
    let tokens = site.ranked(0, "tokens", 1, "[tokens]")?;
    if tokens.kind != Kind::Int {
        return Err(format!(
            "{} looks for a token id, but {} are floats",
            site.op(),
            site.named(0, "tokens")
        ));
    }
    positions(site)
}

/// `x [N, ..], index [N] int` -> `[S, ..]`.
pub(super) fn row_at(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    site.same_rows(1, "the index", set, sets)?;
    let index = site.ranked(1, "the index", 1, "[tokens]")?;
    if index.kind != Kind::Int {
        let shown = site.named(1, "the index");
        return Err(format!(
            "`row_at` expects whole numbers, as `last_index` gives, but {shown} is float"
        ));
    }
    per_sequence(site, false)
}

/// `t [S, ..], x [N, ..]` -> `[N, ..]`.
pub(super) fn spread(site: &Site<'_>) -> Result<ValueType, String> {
    let set = site.rows(1, "x")?;
    let t = site.tensor(0, "t")?;
    if t.dims.first() != Some(&Dim::Seqs(set)) {
        let shown = site.named(0, "t");
        return Err(format!(
            "`spread` expects one row per sequence of x, as `first_token` gives, but {shown} is {}",
            t.show()
        ));
    }
    Ok(t.with([&[Dim::Rows(set)], &t.dims[1..]].concat()))
}

/// `x [N, C]` -> `[N', C]` of a new token set.
pub(super) fn block_sums(site: &Site<'_>, n: u64, sets: &mut Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.tensor(0, "x")?;
    let dims = [
        &[Dim::Rows(derive(sets, set, &format!("block_sums(x, {n})"))?)],
        &x.dims[1..],
    ]
    .concat();
    Ok(x.with(dims))
}

/// The set that an op makes of another.
pub(super) fn derive(sets: &mut Sets, set: SetId, op: &str) -> Result<SetId, String> {
    sets.derive(set, op)
        .ok_or_else(|| format!("`{op}` makes one token set too many: a plan may have 65536"))
}
