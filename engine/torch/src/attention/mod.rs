//! Attention over packed sequences, and the score biases it takes.

mod bias;
mod distance;
mod fused;
mod manual;
mod pair;
mod tiles;
mod top_keys;

pub use bias::Bias;
pub(crate) use bias::Form;

use crate::RowSet;
use crate::error::{Result, fail};
use crate::host;
use crate::kinds::cast;
use sli_model::Attend;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};
use tiles::Visible;

/// The inputs of `Op::Attend`.
pub(crate) struct Heads<'a> {
    /// `[N, H, D]`.
    pub(crate) q: Tensor,
    /// `[M, K, D]`.
    pub(crate) k: Tensor,
    /// `[M, K, F]`.
    pub(crate) v: Tensor,
    /// Sequences of the queries.
    pub(crate) q_set: &'a Arc<RowSet>,
    /// Sequences of the keys.
    pub(crate) k_set: &'a Arc<RowSet>,
    /// Added to the scores.
    pub(crate) bias: Option<Arc<Bias>>,
    /// Keys before this index are visible to a causal query, one number per query.
    pub(crate) prefix: Option<Vec<i64>>,
    /// `[H]`: logits that take probability and give nothing.
    pub(crate) sinks: Option<Tensor>,
}

/// What a kernel makes of one tile, batch first: y `[B, rows, H, F]`, lse `[B, rows, H]` f32.
struct Made {
    y: Tensor,
    lse: Tensor,
}

/// `Op::Attend`: y `[N, H, F]` in `compute`, lse `[N, H]` f32 if asked for.
///
/// Sequences are worked on one by one, short ones of equal length together. Where libtorch's fused
/// kernel computes the options exactly it does; a softcap goes through explicit scores. Neither ever
/// holds more than a tile of scores.
pub(crate) fn attend(op: &Attend, heads: &Heads, compute: Kind) -> Result<(Tensor, Option<Tensor>)> {
    let shape = Shape::new(heads)?;
    let heads = &Heads {
        q: cast(&heads.q, compute)?,
        k: cast(&heads.k, compute)?,
        v: cast(&heads.v, compute)?,
        bias: heads.bias.clone(),
        prefix: heads.prefix.clone(),
        sinks: heads.sinks.as_ref().map(|s| cast(s, Kind::Float)).transpose()?,
        ..*heads
    };
    let device = heads.q.device();
    let scale = op.scale.map_or(1.0 / (shape.dim as f64).sqrt(), |s| s.0);
    let plain = op.softcap.is_none() && !op.lse && heads.bias.is_none() && heads.sinks.is_none();
    if plain && let Some(y) = on_host(op, heads, scale)? {
        return Ok((y, None));
    }
    let mut y = Tensor::f_zeros([shape.rows, shape.heads, shape.out], (compute, device))?;
    let mut lse = if op.lse { Some(shape.without_keys(heads)?) } else { None };
    let explicit = op.softcap.is_some() || device != Device::Cpu && (op.lse || heads.sinks.is_some());
    for group in tiles::groups(heads) {
        if group.keys == 0 {
            continue; // zeros, see `Shape::without_keys`
        }
        let batch = group.gather(heads)?;
        let visible = Visible::new(op, heads, &group);
        let mut masks = tiles::Masks::default();
        for tile in visible.tiles(explicit, shape.heads) {
            let mask = masks.of(&visible, heads, &group, &tile)?;
            let made = match explicit {
                true => manual::tile(&batch, &tile, mask.as_ref(), scale, op.softcap.map(|c| c.0), heads)?,
                false => fused::tile(&batch, &tile, mask.as_ref(), scale, heads, op.lse)?,
            };
            group.put(&mut y, &tile, &made.y)?;
            if let Some(lse) = &mut lse {
                group.put(lse, &tile, &made.lse)?;
            }
        }
    }
    Ok((y, lse))
}

/// y of attention without bias, softcap and sinks by the crate's own kernel, where that fits.
fn on_host(op: &Attend, heads: &Heads, scale: f64) -> Result<Option<Tensor>> {
    if heads.q.kind() != Kind::BFloat16 || heads.q.device() != Device::Cpu {
        return Ok(None);
    }
    let (mut sequences, mut seen) = (Vec::new(), vec![0..0; heads.q_set.len() as usize]);
    for group in tiles::groups(heads) {
        let visible = Visible::new(op, heads, &group);
        for (queries, keys) in group.spans() {
            for (query, seen) in seen[queries.clone()].iter_mut().enumerate() {
                let of = visible.of(query as i64);
                *seen = keys.start + of.start as usize..keys.start + of.end as usize;
            }
            sequences.push(queries);
        }
    }
    host::attention(&host::Attention {
        q: &heads.q,
        k: &heads.k,
        v: &heads.v,
        sequences: &sequences,
        seen: &seen,
        scale,
    })
}

/// The sizes of an attention, checked.
struct Shape {
    rows: i64,
    heads: i64,
    dim: i64,
    out: i64,
}

impl Shape {
    fn new(heads: &Heads) -> Result<Shape> {
        let (q, k, v) = (heads.q.size(), heads.k.size(), heads.v.size());
        let ([n, h, d], [m, kh, kd], [vm, vh, f]) = (&q[..], &k[..], &v[..]) else {
            fail!("q {q:?}, k {k:?}, v {v:?}: each must be [rows, heads, width]");
        };
        if (m, kh, d) != (vm, vh, kd) || *kh == 0 || h % kh != 0 {
            fail!("q {q:?}, k {k:?}, v {v:?} do not fit: the heads of k and v must divide those of q");
        }
        if *n != heads.q_set.len() || *m != heads.k_set.len() {
            fail!(
                "{n} queries and {m} keys, their token sets have {} and {}",
                heads.q_set.len(),
                heads.k_set.len()
            );
        }
        if heads.q_set.sequences() != heads.k_set.sequences() {
            let (q, k) = (heads.q_set.sequences(), heads.k_set.sequences());
            fail!("queries of {q} sequences and keys of {k}");
        }
        if heads.prefix.as_ref().is_some_and(|p| p.len() as i64 != *n) {
            fail!("`prefix` must have one number per query");
        }
        if heads.sinks.as_ref().is_some_and(|s| s.size() != [*h]) {
            fail!("`sinks` must have one number for each of the {h} heads");
        }
        Ok(Shape {
            rows: *n,
            heads: *h,
            dim: *d,
            out: *f,
        })
    }
}

impl Shape {
    /// The lse `[N, H]` of queries that see no key: -inf, or what the sinks give.
    fn without_keys(&self, heads: &Heads) -> Result<Tensor> {
        let options = (Kind::Float, heads.q.device());
        let lse = Tensor::f_full([self.rows, self.heads], f64::NEG_INFINITY, options)?;
        match &heads.sinks {
            Some(sinks) => Ok(lse.f_maximum(sinks)?),
            None => Ok(lse),
        }
    }
}

/// One softmax over the keys of several attentions (`Op::JoinAttention`): y_p `[N, H, F]`, lse_p `[N, H]`.
pub(crate) fn join(parts: &[(Tensor, Tensor)]) -> Result<Tensor> {
    let Some((first, _)) = parts.first() else {
        fail!("nothing to join")
    };
    let kind = first.kind();
    let lse: Vec<Tensor> = parts.iter().map(|p| cast(&p.1, Kind::Float)).collect::<Result<_>>()?;
    let mut most = lse[0].shallow_clone();
    for other in &lse[1..] {
        most = most.f_maximum(other)?;
    }
    // a row without any key has most = -inf: its weights are 0, and so is the result
    let most = most.f_masked_fill(&most.f_isinf()?, 0.0)?;
    let (mut sum, mut total): (Option<Tensor>, Option<Tensor>) = (None, None);
    for ((y, _), lse) in parts.iter().zip(&lse) {
        let weight = lse.f_sub(&most)?.f_exp_()?.f_unsqueeze(-1)?;
        let part = cast(y, Kind::Float)?.f_mul(&weight)?;
        sum = Some(match sum {
            Some(mut sum) => sum.f_add_(&part)?,
            None => part,
        });
        total = Some(match total {
            Some(total) => total.f_add(&weight)?,
            None => weight,
        });
    }
    let (Some(sum), Some(total)) = (sum, total) else {
        fail!("nothing to join")
    };
    let safe = total.f_masked_fill(&total.f_eq(0.0)?, 1.0)?;
    cast(&sum.f_div(&safe)?, kind)
}

#[cfg(test)]
mod tests;
