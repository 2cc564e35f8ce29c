//! Moments of a set of numbers that can be joined with those of another.

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
        Moments {
            count: 0.0,
            mean: 0.0,
            m2: 0.0,
            m3: 0.0,
            m4: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
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
            m3: a.m3
                + b.m3
                + d.powi(3) * ab * (a.count - b.count) / (n * n)
                + 3.0 * d * (a.count * b.m2 - b.count * a.m2) / n,
            m4: a.m4
                + b.m4
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
        if self.m2 > 0.0 {
            self.count.sqrt() * self.m3 / self.m2.powf(1.5)
        } else {
            0.0
        }
    }

    /// Fourth standardised moment less 3 (0 for a normal distribution), 0 for a constant.
    pub fn excess_kurtosis(&self) -> f64 {
        if self.m2 > 0.0 {
            self.count * self.m4 / (self.m2 * self.m2) - 3.0
        } else {
            0.0
        }
    }
}
