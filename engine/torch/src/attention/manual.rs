//! Attention with explicit scores, for what the fused kernel does not know (softcap).

use super::tiles::{Gathered, Tile};
use super::{Heads, Made};
use crate::error::Result;
use crate::kinds::cast;
use tch::{Kind, Tensor};

/// One tile of queries against the keys it may see, in f32; `mask` is `[1 or B, 1 or H, rows, keys]`,
/// the sum of bias and mask. A key that either of them hides (-inf) stays hidden under a softcap.
pub(super) fn tile(
    batch: &Gathered,
    tile: &Tile,
    mask: Option<&Tensor>,
    scale: f64,
    softcap: Option<f64>,
    heads: &Heads,
) -> Result<Made> {
    let (rows, keys) = (tile.q.end - tile.q.start, tile.k.end - tile.k.start);
    let kind = batch.q.kind();
    let wide = if kind == Kind::Double { kind } else { Kind::Float };
    let q = cast(&batch.q.f_narrow(1, tile.q.start, rows)?, wide)?;
    let k = cast(&batch.k.f_narrow(1, tile.k.start, keys)?, wide)?;
    let v = cast(&batch.v.f_narrow(1, tile.k.start, keys)?, wide)?;
    let ((b, _, h, d), (_, _, groups, f)) = (q.size4()?, v.size4()?);
    // queries that share a key head stand together: [B K, H/K rows, D]
    let each = h / groups;
    let q = q.f_unflatten(2, [groups, each])?.f_permute([0, 2, 3, 1, 4])?.f_reshape([b * groups, each * rows, d])?;
    let k = k.f_permute([0, 2, 3, 1])?.f_reshape([b * groups, d, keys])?;
    let v = v.f_permute([0, 2, 1, 3])?.f_reshape([b * groups, keys, f])?;
    let scores = q.f_bmm(&k)?.f_mul_scalar_(scale)?.f_reshape([b, h, rows, keys])?;
    let (weights, lse) = softmax(masked(scores, mask, softcap)?, heads.sinks.as_ref())?;
    let y = weights.f_reshape([b * groups, each * rows, keys])?.f_bmm(&v)?;
    let y = y.f_reshape([b, h, rows, f])?.f_transpose(1, 2)?;
    Ok(Made { y: cast(&y, kind)?, lse: lse.f_transpose(1, 2)? })
}

fn masked(mut scores: Tensor, mask: Option<&Tensor>, softcap: Option<f64>) -> Result<Tensor> {
    if let Some(mask) = mask {
        scores = scores.f_add_(mask)?;
    }
    let Some(c) = softcap else { return Ok(scores) };
    let hidden = match mask {
        Some(_) => Some(scores.f_eq(f64::NEG_INFINITY)?),
        None => None,
    };
    scores = scores.f_div_scalar_(c)?.f_tanh_()?.f_mul_scalar_(c)?;
    match hidden {
        Some(hidden) => Ok(scores.f_masked_fill_(&hidden, f64::NEG_INFINITY)?),
        None => Ok(scores),
    }
}

/// Weights of the keys and the log of the denominator `[B, H, rows]`; zeros and -inf without a key.
fn softmax(mut scores: Tensor, sinks: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let size = scores.size();
    if size[3] == 0 {
        let none = Tensor::f_full(&size[..3], f64::NEG_INFINITY, (Kind::Float, scores.device()))?;
        return Ok((scores, none));
    }
    let sinks = sinks.map(|s| s.f_reshape([1, -1, 1, 1])).transpose()?;
    let mut most = scores.f_amax(-1, true)?;
    if let Some(sinks) = &sinks {
        most = most.f_maximum(sinks)?;
    }
    let most = most.f_masked_fill(&most.f_isinf()?, 0.0)?;
    let weights = scores.f_sub_(&most)?.f_exp_()?;
    let mut total = weights.f_sum_dim_intlist(-1, true, None)?;
    if let Some(sinks) = &sinks {
        total = total.f_add(&sinks.f_sub(&most)?.f_exp_()?)?;
    }
    let lse = total.f_log()?.f_add(&most)?.f_squeeze_dim(-1)?;
    let safe = total.f_masked_fill(&total.f_eq(0.0)?, 1.0)?;
    Ok((weights.shallow_clone().f_div_(&safe)?, lse))
}
