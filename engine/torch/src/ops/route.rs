//! Routing of a mixture of experts: choices by score.

use crate::error::{Result, fail};
use crate::kinds::{cast, upcast};
use tch::{Kind, Tensor};

/// The k largest of the last dim, largest first, equal ones by lower index (`Op::TopK`).
pub(crate) fn top_k(x: &Tensor, k: u64) -> Result<(Tensor, Tensor)> {
    let k = k as i64;
    match x.size().last() {
        Some(width) if k <= *width => {}
        _ => fail!("the {k} largest of {:?}", x.size()),
    }
    // libtorch's topk gives no order among equals
    let (value, index) = x.f_sort_stable(true, -1, true)?;
    let (value, index) = (value.f_narrow(-1, 0, k)?, index.f_narrow(-1, 0, k)?);
    Ok((index.f_contiguous()?, value.f_contiguous()?))
}

/// `x [N, E] or [E], index [N, k]` -> `[N, k]` (`Op::Gather`).
pub(crate) fn gather(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    if index.dim() != 2 {
        fail!("an index of shape {:?}, [N, k] is expected", index.size());
    }
    let index = cast(index, Kind::Int64)?;
    match x.dim() {
        1 => Ok(x.f_index_select(0, &index.f_reshape([-1])?)?.f_reshape(index.size())?),
        2 => Ok(x.f_gather(-1, &index, false)?),
        _ => fail!("a tensor of shape {:?}, [N, E] or [E] is expected", x.size()),
    }
}

/// All but the best `keep` groups become -inf (`Op::GroupLimit`).
pub(crate) fn group_limit(x: &Tensor, groups: u64, keep: u64, top: u64) -> Result<Tensor> {
    let size = x.size();
    let Some(experts) = size.last().copied() else {
        fail!("router scores of shape {size:?}, [N, E] is expected")
    };
    let groups = groups as i64;
    if groups == 0 || experts % groups != 0 || keep as i64 > groups {
        fail!("{experts} experts in {groups} equal groups of which {keep} stay");
    }
    let grouped = x.f_unflatten(-1, [groups, experts / groups])?;
    let (_, best) = top_k(&grouped, top)?;
    let score = best.f_sum_dim_intlist(-1, false, Kind::Float)?;
    let (kept, _) = top_k(&score, keep)?;
    let dropped = Tensor::f_ones(score.size(), (Kind::Bool, x.device()))?.f_scatter_value(-1, &kept, 0)?;
    Ok(grouped
        .f_masked_fill(&dropped.f_unsqueeze(-1)?, f64::NEG_INFINITY)?
        .f_reshape(size)?)
}

/// k rounds of Phi-3.5-MoE's router (`Op::SparseMixer`): arXiv 2409.12136, section 3.
pub(crate) fn sparse_mixer(x: &Tensor, k: u64, eps: f64) -> Result<(Tensor, Tensor)> {
    let logits = upcast(x)?;
    let mut left = logits.shallow_clone();
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for _ in 0..k {
        let (index, best) = top_k(&left, 1)?;
        let factor = logits.f_abs()?.f_maximum(&best)?;
        let far = best.f_sub(&logits)?.f_div(&factor)?.f_gt(2.0 * eps)?;
        let near = left.f_masked_fill(&far, f64::NEG_INFINITY)?.f_softmax(-1, None)?;
        values.push(near.f_gather(-1, &index, false)?);
        left = left.f_scatter_value(-1, &index, f64::NEG_INFINITY)?;
        indices.push(index);
    }
    if indices.is_empty() {
        fail!("`sparse_mixer` of no rounds");
    }
    Ok((
        Tensor::f_cat(&indices, -1)?,
        cast(&Tensor::f_cat(&values, -1)?, x.kind())?,
    ))
}

#[cfg(test)]
mod tests;
