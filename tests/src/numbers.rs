//! What stages should find, computed here a second time and as plainly as it goes, in f64.

use crate::fixture::Array;

impl Array {
    /// Row `index`.
    pub fn row(&self, index: usize) -> &[f32] {
        let width = self.width();
        &self.values[index * width..(index + 1) * width]
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.width())
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// Natural logarithm of the probability that the softmax of `logits` gives to `target`.
pub fn log_probability(logits: &[f32], target: usize) -> f64 {
    let largest = logits
        .iter()
        .fold(f64::NEG_INFINITY, |most, value| most.max(f64::from(*value)));
    let sum: f64 = logits.iter().map(|value| (f64::from(*value) - largest).exp()).sum();
    f64::from(logits[target]) - largest - sum.ln()
}

/// Log-probability of every token but the first, by the logits of the row before it.
pub fn log_probabilities(logits: &Array, ids: &[u64]) -> Vec<f64> {
    assert_eq!(logits.shape[0], ids.len());
    (1..ids.len())
        .map(|at| log_probability(logits.row(at - 1), ids[at] as usize))
        .collect()
}

/// Statistics of all elements of some rows.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Root of the mean square.
    pub rms: f64,
    /// Standard deviation, of the population.
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Fourth central moment over the squared variance, minus 3.
    pub excess_kurtosis: f64,
}

/// The statistics of `values`, in two passes.
pub fn moments(values: &[f64]) -> Moments {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let central = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / count;
    let variance = central(2);
    Moments {
        mean,
        rms: (values.iter().map(|value| value * value).sum::<f64>() / count).sqrt(),
        std: variance.sqrt(),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        excess_kurtosis: central(4) / (variance * variance) - 3.0,
    }
}

/// Cosine of the angle between two vectors.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// `values` in f64.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Asserts that two numbers are the same up to `tolerance`, relative to the expected one (or to 1, if that is less).
#[track_caller]
pub fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1.0);
    assert!(
        error <= tolerance,
        "{what}: {found}, expected {expected} (off by {error:.1e})"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_die_has_the_known_moments() {
        let found = moments(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_close(found.mean, 3.5, 1e-15, "mean");
        assert_close(found.std, (35f64 / 12.0).sqrt(), 1e-15, "std");
        assert_close(found.excess_kurtosis, -222.0 / 175.0, 1e-12, "kurtosis");
        assert_eq!((found.min, found.max), (1.0, 6.0));
    }

    #[test]
    fn probabilities_add_up_to_one() {
        let logits = [1000.0, 999.0, -5.0];
        let sum: f64 = (0..3).map(|target| log_probability(&logits, target).exp()).sum();
        assert_close(sum, 1.0, 1e-12, "sum");
    }
}
