//! Linear attention with an exponential gain and a normaliser: mLSTM (xLSTM, arXiv 2405.04517).
//!
//! lw_ij = R_i - G_j + gain_j with R = G and j <= i, or with a bonus R = G - g and j < i, beside
//! lw_ii = gain_i times the bonus. m_i = max(R_i + m0, max_j lw_ij);
//! [num | den] = (Q K' * e^(lw - m)) [V | 1] + e^(R_i + m0 - m_i) Q S0; S and den are kept divided by
//! e^m, m1 = max(G_L + m0, max_j (G_L - G_j + gain_j)). All exponents that meet exp are <= 0.
//! y = num / den, num / max(abs den, e^-m), or num e^m if nothing is normalised.
//!
//! The products inside a chunk are taken relative to their own maximum ("level") and brought to m
//! once m0 is known. With c_j = gain_j - G_j the level is a running maximum of c.

use super::Carried;
use super::chunks::Chunks;
use super::decay::{Reach, above_diagonal, exp32};
use super::operands::Operands;
use super::plain::Shared;
use super::state::{Step, pass};
use sli_model::ScanNormalize;
use tch::{Kind, TchError, Tensor};

/// Stands for a maximum over nothing: finite, so that no difference of infinities arises.
const LOWEST: f64 = -1e300;

/// Runs a block.
pub(super) fn run(
    rows: &Operands,
    chunks: &Chunks,
    start: Option<Carried>,
) -> Result<(Tensor, Option<Carried>), TchError> {
    let shared = Shared::new(rows, chunks)?;
    let levels = Levels::new(rows, chunks)?;
    let v = with_ones(rows, chunks)?;
    let scores = shared.weighed(&levels.table()?)?;
    if let Some(u) = &rows.bonus {
        let own = shared
            .own(u)?
            .f_mul_(&exp32(&levels.own_exponent()?)?.f_squeeze_dim(3)?)?;
        scores.f_diagonal(0, 2, 3)?.f_copy_(&own)?;
    }
    let local = scores.f_matmul(&v.f_transpose(1, 2)?)?.f_transpose(1, 2)?;
    let (y, m, last) = if start.is_none() && chunks.alone() {
        (local, levels.level.f_transpose(1, 2)?, None)
    } else {
        let (state, m) = match start {
            Some(Carried::Scaled(state, m)) => (Some(state), Some(m)),
            _ => (None, None),
        };
        let passed = levels.pass(chunks, m.as_ref())?;
        let width = v.size()[3];
        let factor = |x: &Tensor| shared.state_factor(&exp32(x)?, width);
        let mut added = shared.write(&v.f_mul(&exp32(&levels.to_end()?)?.f_transpose(1, 2)?)?)?;
        added = added.f_mul_(&factor(&levels.end_level()?.f_sub(&passed.after)?)?)?;
        let step = Step::Scale(factor(&levels.end()?.f_add(&passed.before)?.f_sub_(&passed.after)?)?);
        let (before, last) = pass(chunks, &step, &added, state.as_ref())?;
        let lead = levels.lead.f_add(&levels.level)?.f_add_(&passed.before)?;
        let m = lead.f_maximum(&levels.level)?;
        let local = local.f_mul(&exp32(&levels.level.f_sub(&m)?)?.f_transpose(1, 2)?)?;
        let reach = exp32(&lead.f_sub(&m)?)?.f_transpose(1, 2)?;
        let y = local.f_addcmul(&shared.read(&before)?, &reach)?;
        (y, m.f_transpose(1, 2)?, Some(Carried::Scaled(last, passed.last)))
    };
    let y = normalized(rows, &y, &m)?;
    Ok((chunks.unpack(&y)?, last))
}

/// y from [num | den], both `[M, L, H, ..]`, and m `[M, L, H, 1]`.
fn normalized(rows: &Operands, y: &Tensor, m: &Tensor) -> Result<Tensor, TchError> {
    let width = rows.values();
    let num = y.f_narrow(3, 0, width)?;
    match rows.normalize {
        None => num.f_mul(&exp32(m)?),
        Some(ScanNormalize::Sum) => num.f_div(&y.f_narrow(3, width, 1)?),
        Some(ScanNormalize::Max1) => {
            let den = y.f_narrow(3, width, 1)?.f_abs()?;
            num.f_div(&den.f_maximum(&exp32(&m.f_neg()?)?)?)
        }
    }
}

/// v as f32 `[M, L, H, V]`, with a column of ones for the normaliser if there is one.
fn with_ones(rows: &Operands, chunks: &Chunks) -> Result<Tensor, TchError> {
    let v = rows.v.f_to_kind(Kind::Float)?;
    match rows.normalize {
        None => chunks.pack(&v, 0.0),
        Some(_) => chunks.pack(&v.f_pad([0, 1], "constant", 1.0)?, 0.0),
    }
}

/// The exponents of the chunks, f64.
struct Levels {
    /// c = gain - G, `[M, H, L, 1]`, -inf where there is no token.
    c: Tensor,
    /// gain, `[M, H, L, 1]`.
    gain: Tensor,
    /// G, `[M, H, L, 1]`.
    sum: Tensor,
    /// Running maximum of c.
    peak: Tensor,
    /// Largest exponent of each row, `[M, H, L, 1]`.
    level: Tensor,
    /// R minus the level.
    lead: Tensor,
    /// What a row sees of its chunk.
    reach: Reach,
}

/// m around the chunks, `[M, H, 1, 1]`.
struct Maxima {
    before: Tensor,
    after: Tensor,
    /// The one after the last chunk, `[1, H, 1, 1]`.
    last: Tensor,
}

impl Levels {
    fn new(rows: &Operands, chunks: &Chunks) -> Result<Levels, TchError> {
        let decay = rows.packed_decay(chunks)?;
        let sum = decay.sum(Reach::After).shallow_clone();
        let gain = match &rows.gain {
            Some(gain) => chunks.per_head(gain, Kind::Double, f64::NEG_INFINITY)?,
            None => {
                let zeros = Tensor::f_zeros([1], (Kind::Double, rows.v.device()))?;
                let zeros = zeros.f_expand([rows.v.size()[0], rows.heads(), 1], false)?;
                chunks.per_head(&zeros, Kind::Double, f64::NEG_INFINITY)?
            }
        };
        let c = gain.f_sub(&sum)?;
        let peak = c.f_cummax(2)?.0.f_clamp_min_(LOWEST)?;
        let (reach, level) = match rows.bonus {
            None => (Reach::After, sum.f_add(&peak)?),
            Some(_) => {
                let len = chunks.len();
                let earlier = peak.f_narrow(2, 0, len - 1)?;
                let earlier = earlier.f_pad([0, 0, 1, 0], "constant", LOWEST)?;
                (
                    Reach::Before,
                    decay.sum(Reach::Before).f_add(&earlier)?.f_maximum(&gain)?,
                )
            }
        };
        let lead = decay.sum(reach).f_sub(&level)?;
        Ok(Levels {
            c,
            gain,
            sum,
            peak,
            level,
            lead,
            reach,
        })
    }

    /// e^(lw - level), `[M, H, L, L]`, without the diagonal if there is a bonus.
    fn table(&self) -> Result<Tensor, TchError> {
        let exponent = self.lead.f_add(&self.c.f_transpose(2, 3)?)?;
        let above = above_diagonal(&exponent, self.reach)?;
        exponent
            .f_to_kind(Kind::Float)?
            .f_masked_fill_(&above, f64::NEG_INFINITY)?
            .f_exp_()
    }

    /// Exponent of the diagonal under a bonus.
    fn own_exponent(&self) -> Result<Tensor, TchError> {
        self.gain.f_sub(&self.level)
    }

    fn at_end(x: &Tensor) -> Result<Tensor, TchError> {
        x.f_narrow(2, x.size()[2] - 1, 1)
    }

    /// G_L, `[M, H, 1, 1]`.
    fn end(&self) -> Result<Tensor, TchError> {
        Self::at_end(&self.sum)
    }

    /// max_j (G_L - G_j + gain_j), `[M, H, 1, 1]`.
    fn end_level(&self) -> Result<Tensor, TchError> {
        self.end()?.f_add(&Self::at_end(&self.peak)?)
    }

    /// Exponents of the tokens at the end of the chunk, relative to `end_level`, `[M, H, L, 1]`.
    fn to_end(&self) -> Result<Tensor, TchError> {
        self.c.f_sub(&Self::at_end(&self.peak)?)
    }

    /// m before and after each chunk: m1 = max(G_L + m0, end_level).
    fn pass(&self, chunks: &Chunks, start: Option<&Tensor>) -> Result<Maxima, TchError> {
        let (end, level) = (self.end()?, self.end_level()?);
        let first = chunks.numbers().next().map_or(0, |n| n.1);
        let mut m = match start {
            Some(start) => start.shallow_clone(),
            None => level.f_narrow(0, 0, first)?.f_full_like(f64::NEG_INFINITY)?,
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (first, count) in chunks.numbers() {
            let m0 = m.f_narrow(0, 0, count)?;
            m = end.f_narrow(0, first, count)?.f_add(&m0)?;
            m = m.f_maximum(&level.f_narrow(0, first, count)?)?;
            before.push(m0);
            after.push(m.shallow_clone());
        }
        Ok(Maxima {
            before: Tensor::f_cat(&before, 0)?,
            after: Tensor::f_cat(&after, 0)?,
            last: m.f_narrow(0, 0, 1)?,
        })
    }
}
