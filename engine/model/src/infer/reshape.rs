//! Ops that cut, join and regroup features.

use super::site::{Site, Tensor};
use super::types::rows_of;
use super::{Dim, Fault, Kind, Outputs, Sets, ValueType};
use crate::Sizes;

/// `x [.., H*D]` -> `[.., H, D]`: this is where a config is checked against the weights.
pub(super) fn split_heads(site: &Site<'_>, heads: Option<u64>, dim: Option<u64>) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let width = site.last(x, "x")?;
    let fits = |n: u64| n > 0 && width % n == 0;
    let (heads, dim) = match (heads, dim) {
        (Some(h), Some(d)) if h.checked_mul(d) == Some(width) => (h, d),
        (Some(h), None) if fits(h) => (h, width / h),
        (None, Some(d)) if fits(d) => (width / d, d),
        (Some(h), Some(d)) => {
            return Err(format!(
                "`split_heads` expects the last dim {} = {h} heads x {d}, but x is {}; config and weights disagree",
                h.saturating_mul(d),
                x.show()
            ));
        }
        (Some(n), None) | (None, Some(n)) => {
            return Err(format!(
                "`split_heads` cannot cut the last dim of x {} by {n}; config and weights disagree",
                x.show()
            ));
        }
        (None, None) => {
            return Err("`split_heads` needs the number of heads or their width".to_string());
        }
    };
    Ok(x.with([&x.dims[..x.rank() - 1], &[Dim::Size(heads), Dim::Size(dim)]].concat()))
}

/// `x [.., H, D]` -> `[.., H*D]`.
pub(super) fn merge_heads(site: &Site<'_>) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let rank = x.rank();
    match (
        rank.checked_sub(2).and_then(|at| x.size(at)),
        rank.checked_sub(1).and_then(|at| x.size(at)),
    ) {
        (Some(h), Some(d)) => Ok(x.with([&x.dims[..rank - 2], &[Dim::Size(h.saturating_mul(d))]].concat())),
        _ => Err(format!("`merge_heads` needs [.., heads, width], but x is {}", x.show())),
    }
}

/// `x [N, H, D]` -> `[N, H*n, D]`.
pub(super) fn repeat_heads(site: &Site<'_>, n: u64) -> Result<ValueType, String> {
    let x = site.ranked(0, "x", 3, "[tokens, heads, width]")?;
    let heads = x
        .size(1)
        .ok_or_else(|| format!("`repeat_heads` needs a number of heads, but x is {}", x.show()))?;
    Ok(x.with(vec![x.dims[0], Dim::Size(heads.saturating_mul(n)), x.dims[2]]))
}

/// `x [.., H]` -> `[.., H, 1]`.
pub(super) fn per_head(site: &Site<'_>) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    Ok(x.with([x.dims, &[Dim::Size(1)]].concat()))
}

/// `x [.., C]` -> one tensor per part.
pub(super) fn split(site: &Site<'_>, sizes: &Sizes) -> Result<Vec<ValueType>, String> {
    let x = site.tensor(0, "x")?;
    let width = site.last(x, "x")?;
    let parts = match sizes {
        Sizes::Each(sizes) if total(sizes) == width => sizes.clone(),
        Sizes::Equal(n) if width % n == 0 && *n <= width => vec![width / n; *n as usize],
        Sizes::Each(sizes) => {
            return Err(format!(
                "`split` wants {sizes:?}, together {}, but the last dim of x {} is {width}; config and weights disagree",
                total(sizes),
                x.show()
            ));
        }
        Sizes::Equal(n) => {
            return Err(format!(
                "`split` cannot cut the last dim of x {} in {n} equal parts",
                x.show()
            ));
        }
    };
    let lead = &x.dims[..x.rank() - 1];
    Ok(parts
        .into_iter()
        .map(|part| x.with([lead, &[Dim::Size(part)]].concat()))
        .collect())
}

fn total(sizes: &[u64]) -> u64 {
    sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
}

/// Elements `start .. end` of the last dim; negative numbers count from the end.
pub(super) fn slice(site: &Site<'_>, start: Option<i64>, end: Option<i64>) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let width = site.last(x, "x")?;
    let place = |bound: i64| {
        if bound < 0 {
            bound.saturating_add(width as i64)
        } else {
            bound
        }
    };
    let (a, b) = (place(start.unwrap_or(0)), place(end.unwrap_or(width as i64)));
    if a < 0 || a > b || b > width as i64 {
        return Err(format!(
            "`slice` wants elements {a} .. {b} of the last dim of x {}",
            x.show()
        ));
    }
    Ok(x.with([&x.dims[..x.rank() - 1], &[Dim::Size((b - a) as u64)]].concat()))
}

fn all<'a>(site: &Site<'a>) -> Result<Vec<Tensor<'a>>, String> {
    (0..site.node.inputs.len())
        .map(|i| site.tensor(i, &format!("part {i}")))
        .collect()
}

fn common_kind(parts: &[Tensor<'_>]) -> Kind {
    if parts.iter().all(|part| part.kind == Kind::Int) {
        Kind::Int
    } else {
        Kind::Float
    }
}

fn shapes(parts: &[Tensor<'_>]) -> String {
    parts.iter().map(Tensor::show).collect::<Vec<_>>().join(", ")
}

/// Joined along the last dim; other dims of size 1 are repeated.
pub(super) fn concat(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let parts = all(site)?;
    let Some(first) = parts.first() else {
        return Err("`concat` needs at least one tensor".to_string());
    };
    let mut dims = first.dims.to_vec();
    let mut width = 0;
    for part in &parts {
        if let (Some(a), Some(b)) = (rows_of(&dims), rows_of(part.dims))
            && a != b
        {
            return Err(site.mixed(a, b, sets));
        }
        if part.rank() != dims.len() {
            return Err(format!(
                "`concat` needs tensors with as many dims, but they are {}",
                shapes(&parts)
            ));
        }
        width = site.last(*part, "a part")?.saturating_add(width);
        for at in 0..dims.len() - 1 {
            dims[at] = match (dims[at], part.dims[at]) {
                (a, b) if a == b => a,
                (Dim::Size(1), b) => b,
                (a, Dim::Size(1)) => a,
                (a, b) => {
                    return Err(format!("`concat` cannot join {}: {a} meets {b}", shapes(&parts)));
                }
            };
        }
    }
    *dims.last_mut().expect("`last` above refuses tensors without dims") = Dim::Size(width);
    Ok(ValueType::Tensor {
        dims,
        kind: common_kind(&parts),
    })
}

/// Joined along dim 0. Of optional parameters either all are there or none, then the result is absent.
pub(super) fn join_rows(site: &Site<'_>) -> Outputs {
    if (0..site.node.inputs.len()).all(|i| site.value(i).is_none()) {
        return Err(Fault::Absent);
    }
    let parts = all(site)?;
    let first = parts[0];
    let mut total = 0;
    for part in &parts {
        let rest = |tensor: &Tensor<'_>| tensor.dims.get(1..).map(<[Dim]>::to_vec);
        match part.size(0) {
            Some(size) if rest(part) == rest(&first) => total = size.saturating_add(total),
            _ => {
                return Err(format!("`join_rows` cannot join {} along the first dim", shapes(&parts)).into());
            }
        }
    }
    let dims = [&[Dim::Size(total)], &first.dims[1..]].concat();
    Ok(vec![ValueType::Tensor {
        dims,
        kind: common_kind(&parts),
    }])
}

/// The last two dims exchanged; rows stay first.
pub(super) fn transpose(site: &Site<'_>) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let rank = x.rank();
    if rank < 2 || (rank == 2 && matches!(x.dims[0], Dim::Rows(_) | Dim::Seqs(_))) {
        return Err(format!(
            "`transpose` exchanges the last two dims beside the rows, but x is {}",
            x.show()
        ));
    }
    let mut dims = x.dims.to_vec();
    dims.swap(rank - 2, rank - 1);
    Ok(x.with(dims))
}
