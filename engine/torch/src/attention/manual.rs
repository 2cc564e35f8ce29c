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
    let q = q
        .f_unflatten(2, [groups, each])?
        .f_permute([0, 2, 3, 1, 4])?
        .f_reshape([b * groups, each * rows, d])?;
    let k = k.f_permute([0, 2, 3, 1])?.f_reshape([b * groups, d, keys])?;
    let v = v.f_permute([0, 2, 1, 3])?.f_reshape([b * groups, keys, f])?;
    let scores = q.f_mul_scalar(scale)?.f_bmm(&k)?.f_reshape([b, h, rows, keys])?;
    let scores = masked(scores, mask, softcap, heads.bias.is_some())?;
    let (weights, total, lse) = softmax(scores, heads.sinks.as_ref())?;
    let y = weights.f_reshape([b * groups, each * rows, keys])?.f_bmm(&v)?;
    let y = y.f_reshape([b, h, rows, f])?.f_div_(&total)?.f_transpose(1, 2)?;
    Ok(Made {
        y: cast(&y, kind)?,
        lse: lse.f_transpose(1, 2)?,
    })
}

/// Scores with bias, softcap and mask; `biased`: the mask also holds a bias, which the softcap limits.
fn masked(mut scores: Tensor, mask: Option<&Tensor>, softcap: Option<f64>, biased: bool) -> Result<Tensor> {
    let Some(c) = softcap else {
        return match mask {
            Some(mask) => Ok(scores.f_add_(mask)?),
            None => Ok(scores),
        };
    };
    let capped = |mut scores: Tensor| scores.f_div_scalar_(c)?.f_tanh_()?.f_mul_scalar_(c);
    match mask {
        None => Ok(capped(scores)?),
        Some(mask) if !biased => Ok(capped(scores)?.f_add_(mask)?),
        Some(mask) => {
            scores = scores.f_add_(mask)?;
            let hidden = scores.f_eq(f64::NEG_INFINITY)?;
            Ok(capped(scores)?.f_masked_fill_(&hidden, f64::NEG_INFINITY)?)
        }
    }
}

/// Weights of the keys before division, what to divide by `[B, H, rows, 1]`, and the log of the
/// denominator `[B, H, rows]`; zeros, 1 and -inf without a key.
fn softmax(mut scores: Tensor, sinks: Option<&Tensor>) -> Result<(Tensor, Tensor, Tensor)> {
    let sinks = sinks.map(|s| s.f_reshape([1, -1, 1, 1])).transpose()?;
    let mut size = scores.size();
    let mut most = if size[3] == 0 {
        size[3] = 1;
        Tensor::f_full(size, f64::NEG_INFINITY, (Kind::Float, scores.device()))?
    } else {
        scores.f_amax(-1, true)?
    };
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
    let total = total.f_masked_fill(&total.f_eq(0.0)?, 1.0)?;
    Ok((weights, total, lse))
}
