//! RWKV-4 (arXiv 2305.13048): `linear_scan` with heads of one number, no q and k, a gain and a
//! normaliser.
//!
//! Nothing is a matrix product here. m_t = max(decay_t + m_(t-1), gain_t) is a first order scan over
//! (max, +) in f64; with it (num, den) is one with factors e^(decay_t + m_(t-1) - m_t) <= 1 and
//! entries e^(gain_t - m_t) (v_t, 1), both divided by e^(m_t). With a bonus u the output looks at the
//! state before its token, at m' = max(m_(t-1), gain_t):
//! e^(m_(t-1) - m') (num, den)_(t-1) + u e^(gain_t - m') (v_t, 1).

use super::Carried;
use super::chunks::Block;
use super::decay::exp32;
use super::first_order::{Ring, scan, starts};
use super::operands::Operands;
use crate::place;
use sli_model::ScanNormalize;
use tch::{Kind, TchError, Tensor};

/// Runs a block, rows `[n, H, 1]`.
pub(super) fn run(
    rows: &Operands,
    block: &Block,
    start: Option<Carried>,
) -> Result<(Tensor, Option<Carried>), TchError> {
    let count = block.rows();
    let begins = match block.continues {
        true => Vec::new(),
        false => starts(&block.offsets, 0, count),
    };
    let (state, m0) = match start {
        Some(Carried::Scaled(state, m)) => (Some(state), Some(m)),
        _ => (None, None),
    };
    let decay = rows.decay.f_to_kind(Kind::Double)?.f_contiguous()?;
    let gain = match &rows.gain {
        Some(gain) => gain.f_to_kind(Kind::Double)?.f_contiguous()?,
        None => decay.f_zeros_like()?,
    };
    let own = |x: &Tensor| x.f_to_dtype(Kind::Double, false, true);
    let m = scan(Ring::Tropical, own(&decay)?, own(&gain)?, &begins, m0.as_ref())?;
    let before = earlier(&m, &begins, m0.as_ref(), f64::NEG_INFINITY)?;

    let v = rows.v.f_to_kind(Kind::Float)?.f_pad([0, 1], "constant", 1.0)?;
    let factor = exp32(&decay.f_add(&before)?.f_sub_(&m)?)?;
    let enter = v.f_mul(&exp32(&gain.f_sub(&m)?)?)?;
    let h = scan(Ring::Linear, factor, enter, &begins, state.as_ref())?;
    let (y, level) = match &rows.bonus {
        None => (h.shallow_clone(), m.shallow_clone()),
        Some(u) => {
            let level = before.f_maximum(&gain)?;
            let old = earlier(&h, &begins, state.as_ref(), 0.0)?;
            let own = exp32(&gain.f_sub(&level)?)?.f_mul_(u)?;
            let y = old.f_mul(&exp32(&before.f_sub(&level)?)?)?.f_addcmul_(&v, &own)?;
            (y, level)
        }
    };
    let (num, den) = (y.f_narrow(2, 0, 1)?, y.f_narrow(2, 1, 1)?);
    let y = match rows.normalize {
        None => num.f_mul(&exp32(&level)?)?,
        Some(ScanNormalize::Sum) => num.f_div(&den)?,
        Some(ScanNormalize::Max1) => num.f_div(&den.f_abs()?.f_maximum(&exp32(&level.f_neg()?)?)?)?,
    };
    let last = match block.open {
        false => None,
        true => {
            let end = |x: &Tensor| x.f_narrow(0, count - 1, 1);
            Some(Carried::Scaled(end(&h)?, end(&m)?))
        }
    };
    Ok((y, last))
}

/// Row t - 1 of each row's sequence; `none` before its first one, `carried` before the block.
fn earlier(x: &Tensor, begins: &[i64], carried: Option<&Tensor>, none: f64) -> Result<Tensor, TchError> {
    let first = match carried {
        Some(row) => row.shallow_clone(),
        None => x.f_narrow(0, 0, 1)?.f_full_like(none)?,
    };
    let mut shifted = Tensor::f_cat(&[first, x.f_narrow(0, 0, x.size()[0] - 1)?], 0)?;
    let index = place::numbers(begins, x.device())?;
    shifted.f_index_fill_(0, &index, none)
}
