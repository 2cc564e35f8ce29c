//! Operations that move elements within a row: heads, splits, slices, joins.

use crate::error::{Result, fail};
use sli_model::Sizes;
use tch::Tensor;

/// `[.., H*D]` -> `[.., H, D]` (`Op::SplitHeads`).
pub(crate) fn split_heads(x: &Tensor, heads: Option<u64>, dim: Option<u64>) -> Result<Tensor> {
    let size = x.size();
    let Some(width) = size.last().copied() else {
        fail!("a single number has no heads")
    };
    let (heads, dim) = (heads.map(|h| h as i64), dim.map(|d| d as i64));
    let other = |known: i64| if known > 0 { width / known } else { 0 };
    let (heads, dim) = match (heads, dim) {
        (Some(heads), Some(dim)) => (heads, dim),
        (Some(heads), None) => (heads, other(heads)),
        (None, Some(dim)) => (other(dim), dim),
        (None, None) => fail!("`split_heads` needs the number of heads or their width"),
    };
    if heads * dim != width {
        fail!("{width} features are not {heads} heads of {dim}");
    }
    let mut out = size;
    out.pop();
    out.extend([heads, dim]);
    Ok(x.f_reshape(out)?)
}

/// `[.., H, D]` -> `[.., H*D]` (`Op::MergeHeads`).
pub(crate) fn merge_heads(x: &Tensor) -> Result<Tensor> {
    let mut size = x.size();
    let (Some(dim), Some(heads)) = (size.pop(), size.pop()) else {
        fail!("shape {:?} has no heads", x.size())
    };
    size.push(heads * dim);
    Ok(x.f_reshape(size)?)
}

/// `[N, H, D]` -> `[N, H*n, D]` (`Op::RepeatHeads`).
pub(crate) fn repeat_heads(x: &Tensor, n: u64, tile: bool) -> Result<Tensor> {
    let size = x.size();
    let [rows, heads, dim] = size[..] else {
        fail!("`repeat_heads` wants [N, H, D], this is {size:?}")
    };
    let n = n as i64;
    let spread = if tile {
        x.f_unsqueeze(1)?.f_expand([rows, n, heads, dim], false)?
    } else {
        x.f_unsqueeze(2)?.f_expand([rows, heads, n, dim], false)?
    };
    Ok(spread.f_reshape([rows, heads * n, dim])?)
}

/// Parts along the last dim (`Op::Split`), sharing the data.
pub(crate) fn split(x: &Tensor, sizes: &Sizes) -> Result<Vec<Tensor>> {
    let Some(width) = x.size().last().copied() else {
        fail!("a single number cannot be split")
    };
    let sizes: Vec<i64> = match sizes {
        Sizes::Each(sizes) => sizes.iter().map(|s| *s as i64).collect(),
        Sizes::Equal(n) => vec![width / (*n).max(1) as i64; *n as usize],
    };
    if sizes.iter().sum::<i64>() != width {
        fail!(
            "the parts {sizes:?} do not add up to the {width} features of {:?}",
            x.size()
        );
    }
    let mut at = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        parts.push(x.f_narrow(-1, at, size)?);
        at += size;
    }
    Ok(parts)
}

/// Elements start .. end of the last dim (`Op::Slice`); negative counts from the end.
pub(crate) fn slice(x: &Tensor, start: Option<i64>, end: Option<i64>) -> Result<Tensor> {
    let Some(width) = x.size().last().copied() else {
        fail!("a single number cannot be sliced")
    };
    let place = |at: i64| if at < 0 { at + width } else { at };
    let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(width)));
    if start < 0 || end > width || start > end {
        fail!("elements {start} .. {end} of a last dim of {width}");
    }
    Ok(x.f_narrow(-1, start, end - start)?)
}

/// Along the last dim (`Op::Concat`); other dims of size 1 are repeated.
pub(crate) fn concat(parts: &[Tensor]) -> Result<Tensor> {
    let rank = parts.iter().map(Tensor::dim).max().unwrap_or(0);
    if rank == 0 || parts.iter().any(|p| p.dim() != rank) {
        let sizes: Vec<_> = parts.iter().map(Tensor::size).collect();
        fail!("parts of shapes {sizes:?} cannot be joined along the last dim");
    }
    let mut common = vec![1; rank];
    for part in parts {
        for (dim, size) in part.size().into_iter().enumerate() {
            if size != 1 {
                common[dim] = size;
            }
        }
    }
    let spread = parts.iter().map(|part| {
        common[rank - 1] = part.size()[rank - 1];
        if part.size() == common {
            Ok(part.shallow_clone())
        } else {
            part.f_expand(&common[..], false)
        }
    });
    let spread = spread.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Tensor::f_cat(&spread, -1)?)
}

/// Along dim 0 (`Op::JoinRows`).
pub(crate) fn join_rows(parts: &[Tensor]) -> Result<Tensor> {
    Ok(Tensor::f_cat(parts, 0)?)
}

/// The last two dims exchanged (`Op::Transpose`).
pub(crate) fn transpose(x: &Tensor) -> Result<Tensor> {
    if x.dim() < 2 {
        fail!("shape {:?} has no two dims to exchange", x.size());
    }
    Ok(x.f_transpose(-2, -1)?)
}

#[cfg(test)]
mod tests;
