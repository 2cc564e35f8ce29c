//! Statistics of activations: moments per channel, cosines, counts.

use crate::error::{Result, fail};
use crate::kinds::{cast, is_float};
use crate::Tensor;
use tch::Kind;

/// Elements widened to f64 at a time.
const PIECE: i64 = 1 << 22;

/// Moments of one channel, or of all: mergeable in any order.
///
/// `m2`, `m3`, `m4` are sums of powers of the distance from the mean; pieces are joined by the formulas
/// of Pébay (Sandia report SAND2008-6212), which lose nothing when the mean is far from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Number of values.
    pub count: f64,
    /// Mean.
    pub mean: f64,
    /// Sum of (x - mean)².
    pub m2: f64,
    /// Sum of (x - mean)³.
    pub m3: f64,
    /// Sum of (x - mean)⁴.
    pub m4: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Default for Moments {
    fn default() -> Moments {
        Moments { count: 0.0, mean: 0.0, m2: 0.0, m3: 0.0, m4: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    /// The moments of both sets of values together.
    pub fn merge(&self, other: &Moments) -> Moments {
        let (a, b) = (self, other);
        if a.count == 0.0 || b.count == 0.0 {
            return if a.count == 0.0 { *b } else { *a };
        }
        let n = a.count + b.count;
        let d = b.mean - a.mean;
        let ab = a.count * b.count;
        Moments {
            count: n,
            mean: a.mean + d * b.count / n,
            m2: a.m2 + b.m2 + d * d * ab / n,
            m3: a.m3 + b.m3
                + d.powi(3) * ab * (a.count - b.count) / (n * n)
                + 3.0 * d * (a.count * b.m2 - b.count * a.m2) / n,
            m4: a.m4 + b.m4
                + d.powi(4) * ab * (a.count * a.count - ab + b.count * b.count) / n.powi(3)
                + 6.0 * d * d * (a.count * a.count * b.m2 + b.count * b.count * a.m2) / (n * n)
                + 4.0 * d * (a.count * b.m3 - b.count * a.m3) / n,
            min: a.min.min(b.min),
            max: a.max.max(b.max),
        }
    }

    /// Mean of (x - mean)².
    pub fn variance(&self) -> f64 {
        if self.count > 0.0 { self.m2 / self.count } else { 0.0 }
    }

    /// Square root of the variance.
    pub fn std(&self) -> f64 {
        self.variance().sqrt()
    }

    /// Mean of x².
    pub fn mean_square(&self) -> f64 {
        self.variance() + self.mean * self.mean
    }

    /// Square root of the mean square.
    pub fn rms(&self) -> f64 {
        self.mean_square().sqrt()
    }

    /// Third standardised moment, 0 for a constant.
    pub fn skewness(&self) -> f64 {
        if self.m2 > 0.0 { self.count.sqrt() * self.m3 / self.m2.powf(1.5) } else { 0.0 }
    }

    /// Fourth standardised moment less 3 (0 for a normal distribution), 0 for a constant.
    pub fn excess_kurtosis(&self) -> f64 {
        if self.m2 > 0.0 { self.count * self.m4 / (self.m2 * self.m2) - 3.0 } else { 0.0 }
    }
}

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
            if bad == 0.0 { Ok(x.shallow_clone()) } else { Ok(x.f_masked_fill(&good.f_logical_not()?, with)?) }
        };
        let count = tch::Tensor::f_from_slice(&counts)?.f_to_device(x.device())?.f_clamp_min(1.0)?;
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
            let piece = Moments { count, mean, m2: m2[c], m3: m3[c], m4: m4[c], min: min[c], max: max[c] };
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
        let total = self.channels.iter().fold(Moments::default(), |all, channel| all.merge(channel));
        Summary { total, channels: self.channels.clone(), not_finite: self.bad }
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
    Ok(Cosines { count: count as u64, sum })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{a} and {b}");
    }

    fn direct(values: &[f64]) -> Moments {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let power = |p| values.iter().map(|x| (x - mean).powi(p)).sum::<f64>();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Moments { count, mean, m2: power(2), m3: power(3), m4: power(4), min, max }
    }

    fn same(a: &Moments, b: &Moments) {
        for (x, y) in [(a.count, b.count), (a.mean, b.mean), (a.m2, b.m2), (a.m3, b.m3), (a.m4, b.m4)] {
            near(x, y);
        }
        assert_eq!((a.min, a.max), (b.min, b.max));
    }

    #[test]
    fn pieces_give_the_moments_of_the_whole() {
        let (rows, width) = (50, 3);
        // a mean far from 0 is where sums of powers would fail
        let data: Vec<f32> = noise(rows * width, 5).iter().map(|x| x * x * x + 100.0).collect();
        let x = Tensor::from_f32(&data, &[rows as i64, width as i64]).unwrap();
        let mut all = Accumulator::new();
        all.update(&x.rows(0, 20).unwrap()).unwrap();
        let mut rest = Accumulator::new();
        rest.update(&x.rows(20, 30).unwrap()).unwrap();
        all.merge(&rest).unwrap();
        let summary = all.finish();
        for c in 0..width {
            let values: Vec<f64> = (0..rows).map(|r| f64::from(data[r * width + c])).collect();
            same(&summary.channels[c], &direct(&values));
        }
        let everything: Vec<f64> = data.iter().map(|x| f64::from(*x)).collect();
        same(&summary.total, &direct(&everything));
        near(summary.total.mean_square(), everything.iter().map(|x| x * x).sum::<f64>() / 150.0);
    }

    #[test]
    fn values_that_are_not_finite_are_counted_apart() {
        let x = Tensor::from_f32(&[1.0, f32::NAN, 3.0, 4.0, f32::INFINITY, 6.0], &[3, 2]).unwrap();
        let mut all = Accumulator::new();
        all.update(&x).unwrap();
        let summary = all.finish();
        assert_eq!(summary.not_finite, 2);
        same(&summary.channels[0], &direct(&[1.0, 3.0]));
        same(&summary.channels[1], &direct(&[4.0, 6.0]));
    }

    #[test]
    fn a_loud_channel_is_an_outlier() {
        let x = Tensor::from_f32(&[1.0, -1.0, 50.0, 1.0, 1.0, -60.0], &[2, 3]).unwrap();
        let mut all = Accumulator::new();
        all.update(&x).unwrap();
        assert_eq!(all.finish().outlier_channels(6.0), [2]);
        assert!(all.update(&Tensor::from_f32(&[1.0], &[1, 1]).unwrap()).is_err());
    }

    #[test]
    fn cosines_of_equal_opposite_and_zero_rows() {
        let a = Tensor::from_f32(&[1.0, 2.0, 1.0, 0.0, 0.0, 0.0], &[3, 2]).unwrap();
        let b = Tensor::from_f32(&[2.0, 4.0, -3.0, 0.0, 1.0, 0.0], &[3, 2]).unwrap();
        let cosines = cosine(&a, &b).unwrap();
        assert_eq!(cosines.count, 3);
        assert!(cosines.sum.abs() < 1e-6, "1 - 1 + 0");
        assert!((cosine(&a, &a).unwrap().sum - 2.0).abs() < 1e-6);
    }

    #[test]
    fn experts_are_counted() {
        let index = Tensor::from_i64(&[0, 2, 2, 1], &[2, 2]).unwrap();
        assert_eq!(counts(&index, 4).unwrap(), [1, 1, 2, 0]);
        assert!(counts(&index, 2).is_err());
    }
}
