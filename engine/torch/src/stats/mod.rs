//! Statistics of activations: moments per channel, cosines, counts.

mod moments;
#[cfg(test)]
mod tests;

pub use moments::Moments;

use crate::error::{Result, fail};
use crate::kinds::{cast, is_float};
use crate::{Tensor, place};
use tch::Kind;

/// Elements widened to f64 at a time.
const PIECE: i64 = 1 << 22;

/// Statistics of one point, fed batch by batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accumulator {
    channels: Vec<Moments>,
    /// Values that are NaN or infinite. They are in no moment.
    bad: u64,
}

impl Accumulator {
    /// Without any value yet.
    pub fn new() -> Accumulator {
        Accumulator::default()
    }

    /// Adds the rows of `x` `[N, ..]`; all dims but the first together are the channels.
    ///
    /// # Errors
    /// No float tensor, or another number of channels than before.
    pub fn update(&mut self, x: &Tensor) -> Result<()> {
        let raw = x.raw();
        if raw.dim() == 0 || !is_float(raw.kind()) {
            fail!("statistics of {x:?}, rows of floats are expected");
        }
        let rows = raw.size()[0];
        if rows == 0 {
            return Ok(());
        }
        let flat = raw.f_reshape([rows, -1])?;
        let width = flat.size()[1];
        if self.channels.is_empty() {
            self.channels = vec![Moments::default(); width as usize];
        }
        if self.channels.len() as i64 != width {
            fail!("{width} channels after {} before", self.channels.len());
        }
        let step = (PIECE / width.max(1)).max(1);
        for start in (0..rows).step_by(step as usize) {
            let piece = cast(&flat.f_narrow(0, start, step.min(rows - start))?, Kind::Double)?;
            self.add_piece(&piece)?;
        }
        Ok(())
    }

    fn add_piece(&mut self, x: &tch::Tensor) -> Result<()> {
        let good = x.f_isfinite()?;
        let counts = column(&good.f_sum_dim_intlist(0, false, Kind::Double)?)?;
        let all: f64 = x.numel() as f64;
        let bad = all - counts.iter().sum::<f64>();
        self.bad += bad as u64;
        let masked = |x: &tch::Tensor, with: f64| -> Result<tch::Tensor> {
            if bad == 0.0 {
                Ok(x.shallow_clone())
            } else {
                Ok(x.f_masked_fill(&good.f_logical_not()?, with)?)
            }
        };
        let count = place::numbers(&counts, x.device())?.f_clamp_min(1.0)?;
        let mean = masked(x, 0.0)?.f_sum_dim_intlist(0, false, None)?.f_div(&count)?;
        let d = masked(&x.f_sub(&mean)?, 0.0)?;
        let d2 = d.f_square()?;
        let sum = |t: &tch::Tensor| -> Result<Vec<f64>> { column(&t.f_sum_dim_intlist(0, false, None)?) };
        let (m2, m3, m4) = (sum(&d2)?, sum(&d2.f_mul(&d)?)?, sum(&d2.f_square()?)?);
        let mean = column(&mean)?;
        let min = column(&masked(x, f64::INFINITY)?.f_amin(0, false)?)?;
        let max = column(&masked(x, f64::NEG_INFINITY)?.f_amax(0, false)?)?;
        for (c, channel) in self.channels.iter_mut().enumerate() {
            let (count, mean) = (counts[c], mean[c]);
            let piece = Moments {
                count,
                mean,
                m2: m2[c],
                m3: m3[c],
                m4: m4[c],
                min: min[c],
                max: max[c],
            };
            *channel = channel.merge(&piece);
        }
        Ok(())
    }

    /// Adds what another accumulator of the same point has seen.
    ///
    /// # Errors
    /// Another number of channels.
    pub fn merge(&mut self, other: &Accumulator) -> Result<()> {
        if self.channels.is_empty() {
            self.channels.clone_from(&other.channels);
        } else if !other.channels.is_empty() {
            if self.channels.len() != other.channels.len() {
                fail!("{} channels and {}", self.channels.len(), other.channels.len());
            }
            for (own, more) in self.channels.iter_mut().zip(&other.channels) {
                *own = own.merge(more);
            }
        }
        self.bad += other.bad;
        Ok(())
    }

    /// What was seen.
    pub fn finish(&self) -> Summary {
        let total = self
            .channels
            .iter()
            .fold(Moments::default(), |all, channel| all.merge(channel));
        Summary {
            total,
            channels: self.channels.clone(),
            not_finite: self.bad,
        }
    }
}

/// Statistics of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Of all values.
    pub total: Moments,
    /// Of each channel.
    pub channels: Vec<Moments>,
    /// Values that were NaN or infinite; they are in no moment.
    pub not_finite: u64,
}

impl Summary {
    /// Root mean square of each channel.
    pub fn channel_rms(&self) -> Vec<f64> {
        self.channels.iter().map(Moments::rms).collect()
    }

    /// Channels whose rms is more than `factor` times the median channel's, in order.
    pub fn outlier_channels(&self, factor: f64) -> Vec<usize> {
        let rms = self.channel_rms();
        let mut sorted = rms.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        (0..rms.len()).filter(|c| rms[*c] > factor * median).collect()
    }
}

/// A f64 vector on the host.
fn column(x: &tch::Tensor) -> Result<Vec<f64>> {
    let flat = x.f_contiguous()?;
    let mut out = vec![0f64; flat.numel()];
    flat.f_copy_data(&mut out, flat.numel())?;
    Ok(out)
}

/// Cosines of the rows of two tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cosines {
    /// Number of rows.
    pub count: u64,
    /// Sum of the cosines; a row of zeros counts 0.
    pub sum: f64,
}

/// The cosines of the rows of `a` and `b` `[N, C]`, in f32, summed in f64.
///
/// # Errors
/// Shapes that differ.
pub fn cosine(a: &Tensor, b: &Tensor) -> Result<Cosines> {
    if a.shape() != b.shape() || a.shape().len() < 2 {
        fail!("cosines of the rows of {a:?} and {b:?}: two tensors of one shape [N, C] are expected");
    }
    let count = a.shape()[0];
    let flat = |t: &Tensor| -> Result<tch::Tensor> { Ok(cast(t.raw(), Kind::Float)?.f_flatten(1, -1)?) };
    if count == 0 {
        return Ok(Cosines::default());
    }
    let (a, b) = (flat(a)?, flat(b)?);
    let product = a.f_mul(&b)?.f_sum_dim_intlist(1, false, Kind::Double)?;
    let length = |t: &tch::Tensor| t.f_linalg_norm(2.0, 1, false, Kind::Double);
    let scale = length(&a)?.f_mul(&length(&b)?)?.f_clamp_min(f64::MIN_POSITIVE)?;
    let sum = product.f_div(&scale)?.f_sum(Kind::Double)?.f_double_value(&[])?;
    Ok(Cosines {
        count: count as u64,
        sum,
    })
}

/// How often each of `experts` experts stands in `index` `[N, k]`.
///
/// # Errors
/// An index beyond the experts.
pub fn counts(index: &Tensor, experts: usize) -> Result<Vec<u64>> {
    let mut found = vec![0u64; experts];
    for expert in index.to_i64_vec()? {
        match usize::try_from(expert).ok().and_then(|e| found.get_mut(e)) {
            Some(count) => *count += 1,
            None => fail!("expert {expert} of {experts}"),
        }
    }
    Ok(found)
}
