//! libtorch's fused attention kernel: scores never leave the cache.

use super::tiles::{Gathered, Tile};
use super::{Heads, Made};
use crate::error::{Result, TensorError};
use crate::kinds::cast;
use tch::{Device, Kind, Tensor};

/// One tile of queries against the keys it may see; `mask` is `[1 or B, 1 or H, rows, keys]` f32.
pub(super) fn tile(
    batch: &Gathered,
    tile: &Tile,
    mask: Option<&Tensor>,
    scale: f64,
    heads: &Heads,
    lse: bool,
) -> Result<Made> {
    let (rows, keys) = (tile.q.end - tile.q.start, tile.k.end - tile.k.start);
    let q = batch.q.f_narrow(1, tile.q.start, rows)?;
    let k = batch.k.f_narrow(1, tile.k.start, keys)?;
    let v = batch.v.f_narrow(1, tile.k.start, keys)?;
    let out = v.size()[3];
    if keys == 0 {
        return nothing(&q, out);
    }
    let (q, k, v) = same_width(q, k, v)?;
    let grouping = Grouping::new(&q, &k);
    let (q, k, v) = (grouping.queries(&q)?, grouping.keys(&k)?, grouping.keys(&v)?);
    let laid = mask.map(|m| grouping.mask(m, q.kind())).transpose()?;
    if q.device() != Device::Cpu {
        // its kernels want masks of q's kind, laid out in full
        let laid = laid.map(|m| cast(&m, q.kind())?.f_contiguous().map_err(TensorError::from));
        let y =
            Tensor::f_scaled_dot_product_attention(&q, &k, &v, laid.transpose()?, 0.0, tile.triangle, scale, false)?;
        let y = grouping.back(&y)?.f_narrow(-1, 0, out)?;
        // some of them make NaN of a row whose keys are all hidden
        let y = match mask {
            Some(mask) => y.f_masked_fill(&blind(mask)?.f_unsqueeze(-1)?, 0.0)?,
            None => y,
        };
        let lse = y.f_select(-1, 0)?; // not asked for, see `attend`
        return Ok(Made { y, lse });
    }
    let (y, sums) =
        Tensor::f_internal_scaled_dot_product_flash_attention_for_cpu(&q, &k, &v, 0.0, tile.triangle, laid, scale)?;
    let y = grouping.back(&y)?.f_narrow(-1, 0, out)?;
    let sums = match lse || heads.sinks.is_some() {
        true => without_keys(grouping.back(&sums.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)?, mask)?,
        false => return Ok(Made { y, lse: sums }),
    };
    match &heads.sinks {
        Some(sinks) => with_sinks(&y, &sums, sinks),
        None => Ok(Made { y, lse: sums }),
    }
}

/// Queries that see no key.
fn nothing(q: &Tensor, out: i64) -> Result<Made> {
    let [batch, rows, heads, _] = q.size()[..] else {
        crate::error::fail!("q of shape {:?}", q.size())
    };
    let y = Tensor::f_zeros([batch, rows, heads, out], (q.kind(), q.device()))?;
    let lse = Tensor::f_full([batch, rows, heads], f64::NEG_INFINITY, (Kind::Float, q.device()))?;
    Ok(Made { y, lse })
}

/// The kernel gives 0 for the values and also for the sum of a row whose keys are all hidden.
fn without_keys(sums: Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let Some(mask) = mask else { return Ok(sums) };
    Ok(sums.f_masked_fill(&blind(mask)?, f64::NEG_INFINITY)?)
}

/// `[1 or B, rows, 1 or H]`: true where a mask hides every key.
fn blind(mask: &Tensor) -> Result<Tensor> {
    Ok(mask.f_amax(-1, false)?.f_eq(f64::NEG_INFINITY)?.f_transpose(1, 2)?)
}

/// A sink adds exp(sink) to the denominator.
fn with_sinks(y: &Tensor, lse: &Tensor, sinks: &Tensor) -> Result<Made> {
    let joined = lse.f_logaddexp(sinks)?;
    let share = lse.f_sub(&joined)?.f_exp_()?;
    Ok(Made {
        y: y.f_mul(&share.f_unsqueeze(-1)?)?.f_to_kind(y.kind())?,
        lse: joined,
    })
}

/// The kernel wants heads of one width: zeros change neither scores nor values.
fn same_width(q: Tensor, k: Tensor, v: Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    let (dim, out) = (q.size()[3], v.size()[3]);
    let wider = |t: &Tensor, by: i64| t.f_constant_pad_nd([0, by]);
    Ok(match out.cmp(&dim) {
        std::cmp::Ordering::Less => (q, k, wider(&v, dim - out)?),
        std::cmp::Ordering::Equal => (q, k, v),
        std::cmp::Ordering::Greater => (wider(&q, out - dim)?, wider(&k, out - dim)?, v),
    })
}

/// How heads that share keys are laid out for a kernel that knows only equal numbers of heads.
struct Grouping {
    batch: i64,
    key_heads: i64,
    /// Queries per key head.
    each: i64,
}

impl Grouping {
    fn new(q: &Tensor, k: &Tensor) -> Grouping {
        let (q, k) = (q.size(), k.size());
        Grouping {
            batch: q[0],
            key_heads: k[2],
            each: q[2] / k[2].max(1),
        }
    }

    /// One sequence: the queries of a key head become the batch, and the keys are repeated along it
    /// without a copy.
    fn along_batch(&self) -> bool {
        self.batch == 1 && self.each > 1
    }

    fn queries(&self, q: &Tensor) -> Result<Tensor> {
        if self.along_batch() {
            let parted = q.f_squeeze_dim(0)?.f_unflatten(1, [self.key_heads, self.each])?;
            return Ok(parted.f_permute([2, 1, 0, 3])?);
        }
        Ok(q.f_transpose(1, 2)?)
    }

    fn keys(&self, k: &Tensor) -> Result<Tensor> {
        let k = k.f_transpose(1, 2)?;
        if self.along_batch() {
            return Ok(k.f_expand([self.each, -1, -1, -1], false)?);
        }
        if self.each > 1 {
            Ok(k.f_repeat_interleave_self_int(self.each, 1, None)?)
        } else {
            Ok(k)
        }
    }

    /// `[1 or B, 1 or H, rows, keys]` as the kernel's heads lie. It takes masks of f32 or of q's kind.
    fn mask(&self, mask: &Tensor, kind: Kind) -> Result<Tensor> {
        let mask = if kind == Kind::Double {
            mask.f_to_kind(kind)?
        } else {
            mask.shallow_clone()
        };
        if self.along_batch() && mask.size()[1] > 1 {
            let parted = mask.f_squeeze_dim(0)?.f_unflatten(0, [self.key_heads, self.each])?;
            return Ok(parted.f_transpose(0, 1)?);
        }
        Ok(mask)
    }

    /// `[B, H, rows, F]` of the kernel -> `[B, rows, H, F]`.
    fn back(&self, y: &Tensor) -> Result<Tensor> {
        if self.along_batch() {
            let rows = y.f_permute([2, 1, 0, 3])?;
            return Ok(rows.f_flatten(1, 2)?.f_unsqueeze(0)?);
        }
        Ok(y.f_transpose(1, 2)?)
    }
}
