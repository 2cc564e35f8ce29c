//! What is made of the numbers of several rounds.

/// The middle of `values` and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    /// The median.
    pub(super) median: f64,
    /// The least value.
    pub(super) least: f64,
    /// The greatest value.
    pub(super) most: f64,
}

/// Median and range; `None` without values.
pub(super) fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    Some(Summary {
        median: (low + high) / 2.0,
        least,
        most,
    })
}

/// The median; `NaN` without values.
pub(super) fn median(values: &[f64]) -> f64 {
    summary(values).map_or(f64::NAN, |summary| summary.median)
}

/// A straight line `t = a + b·n` through points `(n, t)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// `t` at `n = 0`.
    pub(super) a: f64,
    /// Growth of `t` for each 1 of `n`.
    pub(super) b: f64,
}

/// The line with the least sum of squared *relative* deviations, that is least squares with weights `1/t²`: a deviation
/// of one per cent counts the same at a short and at a long time. Needs two different `n`; times are above 0.
pub(super) fn fit(points: &[(f64, f64)]) -> Line {
    let sum = |of: fn(f64, f64) -> f64| points.iter().map(|&(n, t)| of(n, t) / (t * t)).sum::<f64>();
    let (w, wn, wt) = (sum(|_, _| 1.0), sum(|n, _| n), sum(|_, t| t));
    let (wnn, wnt) = (sum(|n, _| n * n), sum(|n, t| n * t));
    let b = (w * wnt - wn * wt) / (w * wnn - wn * wn);
    Line {
        a: (wt - b * wn) / w,
        b,
    }
}

/// The largest relative deviation of `points` from the line through them: `|t − (a + b·n)| / t`.
pub(super) fn deviation(points: &[(f64, f64)]) -> f64 {
    let line = fit(points);
    let off = |&(n, t): &(f64, f64)| (t - line.a - line.b * n).abs() / t;
    points.iter().map(off).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let spread = summary(&[3.0, 1.0]).unwrap();
        assert_eq!((spread.least, spread.most), (1.0, 3.0));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn a_straight_line_is_found_whatever_its_start() {
        let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 16.0].iter().map(|n| (*n, 0.5 + 0.25 * n)).collect();
        let line = fit(&points);
        assert!((line.a - 0.5).abs() < 1e-9 && (line.b - 0.25).abs() < 1e-9, "{line:?}");
        assert!(deviation(&points) < 1e-9);
    }

    #[test]
    fn a_bend_shows_as_a_deviation() {
        let square: Vec<(f64, f64)> = [1.0, 2.0, 4.0].iter().map(|n| (*n, n * n)).collect();
        assert!(deviation(&square) > 0.1, "{}", deviation(&square));
    }
}
