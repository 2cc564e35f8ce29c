//! Rotary position embeddings as data (section 10 of the language).

use crate::Num;
use serde::{Deserialize, Serialize};

/// A rotary embedding: which features turn, how fast, and by which position.
///
/// RoFormer (arXiv 2104.09864), section 3.2; scalings as in the language, section 10.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rope {
    /// Number of features of a head that turn (the first ones), even.
    pub width: u64,
    /// Pairs (2j, 2j+1) instead of (j, j + width/2).
    pub interleaved: bool,
    /// Angle per position of each pair.
    pub frequencies: Frequencies,
    /// How positions with several axes are used.
    pub axes: Axes,
}

/// Frequencies of the width/2 pairs, perhaps by the length of the sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Frequencies {
    /// The same for every sequence; cos and sin are multiplied by `scale`.
    Fixed {
        /// Radians per position, one per pair.
        inv_freq: Vec<Num>,
        /// Factor on cos and sin.
        scale: Num,
    },
    /// NTK by length: theta' = theta (factor L' / M - (factor - 1))^(w / (w - 2)), L' = max(L, M).
    Dynamic {
        /// Base.
        theta: Num,
        /// Scaling factor.
        factor: Num,
        /// M, the longest length of training.
        max_position: Num,
    },
    /// Two sets: `long` if the sequence is longer than `original`.
    ByLength {
        /// Frequencies up to `original`.
        short: Vec<Num>,
        /// Frequencies beyond.
        long: Vec<Num>,
        /// Length of training.
        original: Num,
        /// Factor on cos and sin for short sequences.
        short_scale: Num,
        /// Factor on cos and sin for long ones.
        long_scale: Num,
    },
    /// theta' = theta a^(w / (w - 2)), a = max(2^ceil(log2(L / original) + 1) - 1, 1).
    Doubling {
        /// Base.
        theta: Num,
        /// Length of training.
        original: Num,
    },
}

/// How positions with several axes turn the features.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Axes {
    /// Positions `[N]`.
    One,
    /// Axis a turns its own width / A features with theta^(-2jA / width).
    Split {
        /// Base.
        theta: Num,
    },
    /// Axis a takes the frequencies a, a + A, ….
    Alternate,
    /// The axis of each pair.
    Sections(Vec<u32>),
}

impl Rope {
    /// Radians per position of each pair, and the factor on cos and sin, for a sequence of `len` tokens.
    pub fn at_length(&self, len: u64) -> (Vec<f64>, f64) {
        let len = len as f64;
        let w = self.width as f64;
        match &self.frequencies {
            Frequencies::Fixed { inv_freq, scale } => (plain(inv_freq), scale.0),
            Frequencies::Dynamic {
                theta,
                factor,
                max_position,
            } => {
                let longest = len.max(max_position.0);
                let growth = factor.0 * longest / max_position.0 - (factor.0 - 1.0);
                (base_frequencies(theta.0 * growth.powf(w / (w - 2.0)), self.width), 1.0)
            }
            Frequencies::ByLength {
                short,
                long,
                original,
                short_scale,
                long_scale,
            } => {
                if len > original.0 {
                    (plain(long), long_scale.0)
                } else {
                    (plain(short), short_scale.0)
                }
            }
            Frequencies::Doubling { theta, original } => {
                let a = ((len / original.0).log2() + 1.0).ceil().exp2() - 1.0;
                (
                    base_frequencies(theta.0 * a.max(1.0).powf(w / (w - 2.0)), self.width),
                    1.0,
                )
            }
        }
    }

    /// True if the angles of a token depend on the length of its sequence.
    pub fn depends_on_length(&self) -> bool {
        !matches!(self.frequencies, Frequencies::Fixed { .. })
    }
}

fn plain(numbers: &[Num]) -> Vec<f64> {
    numbers.iter().map(|n| n.0).collect()
}

/// theta^(-2j / width) for j = 0 .. width/2 - 1. By a power function of our own, not the system's, so that a config gives
/// the same plan everywhere: on another machine, and in a plugin's sandbox.
pub(crate) fn base_frequencies(theta: f64, width: u64) -> Vec<f64> {
    (0..width / 2)
        .map(|j| libm::pow(theta, -2.0 * j as f64 / width as f64))
        .collect()
}

impl Rope {
    /// theta^(-2j / width) for j = 0 .. width/2 - 1, the unscaled frequencies.
    pub fn base(theta: f64, width: u64) -> Vec<f64> {
        base_frequencies(theta, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_frequencies_change_only_beyond_the_trained_length() {
        let frequencies = Frequencies::Dynamic {
            theta: Num(1e4),
            factor: Num(2.0),
            max_position: Num(16.0),
        };
        let rope = Rope {
            width: 8,
            interleaved: false,
            frequencies,
            axes: Axes::One,
        };
        assert_eq!(rope.at_length(4).0, Rope::base(1e4, 8));
        assert_eq!(rope.at_length(16).0, Rope::base(1e4, 8));
        assert!(rope.at_length(32).0[3] < Rope::base(1e4, 8)[3]);
    }
}
