//! Keys and values as the product wants them: panels of 16 columns, two bf16 of the summed dim side by side.

use half::bf16;
use std::ops::Range;

/// Columns of a panel: the 32-bit lanes of a register.
pub(super) const PANEL: usize = 16;
/// Keys are packed in multiples of this, with zeros at the end.
pub(super) const STEP: usize = 2 * PANEL;

/// Two bf16, the first in the lower half.
#[inline(always)]
pub(super) fn pair(first: bf16, second: bf16) -> u32 {
    u32::from(first.to_bits()) | u32::from(second.to_bits()) << 16
}

/// Keys: the columns are keys, features are summed over.
#[derive(Default)]
pub(super) struct Keys {
    panels: Vec<[u32; PANEL]>,
    /// Pairs of features.
    pairs: usize,
}

impl Keys {
    pub(super) fn fill<'a>(&mut self, keys: Range<usize>, dim: usize, row: impl Fn(usize) -> &'a [bf16]) {
        self.pairs = dim / 2;
        self.panels.clear();
        self.panels
            .resize(keys.len().next_multiple_of(STEP) / PANEL * self.pairs, [0; PANEL]);
        for (at, key) in keys.enumerate() {
            let panel = &mut self.panels[at / PANEL * self.pairs..][..self.pairs];
            for (features, place) in row(key).chunks_exact(2).zip(panel) {
                place[at % PANEL] = pair(features[0], features[1]);
            }
        }
    }

    /// The panel of the keys from `first`, a multiple of [`PANEL`], by pair of features.
    #[inline(always)]
    pub(super) fn panel(&self, first: usize) -> &[[u32; PANEL]] {
        &self.panels[first / PANEL * self.pairs..][..self.pairs]
    }
}

/// Values: the columns are features, keys are summed over.
#[derive(Default)]
pub(super) struct Values {
    panels: Vec<[u32; PANEL]>,
    /// Pairs of keys.
    pairs: usize,
    /// Features.
    pub(super) width: usize,
}

impl Values {
    pub(super) fn fill<'a>(&mut self, keys: Range<usize>, width: usize, row: impl Fn(usize) -> &'a [bf16]) {
        self.pairs = keys.len().next_multiple_of(STEP) / 2;
        self.width = width;
        self.panels.clear();
        self.panels.resize(width / PANEL * self.pairs, [0; PANEL]);
        let (start, end) = (keys.start, keys.end);
        for at in 0..keys.len().div_ceil(2) {
            let first = row(start + 2 * at);
            let second = (start + 2 * at + 1 < end).then(|| row(start + 2 * at + 1));
            for panel in 0..width / PANEL {
                let columns = panel * PANEL..(panel + 1) * PANEL;
                let place = &mut self.panels[panel * self.pairs + at];
                match second {
                    Some(second) => {
                        let both = first[columns.clone()].iter().zip(&second[columns]);
                        both.zip(place).for_each(|((a, b), place)| *place = pair(*a, *b));
                    }
                    None => {
                        let one = first[columns].iter();
                        one.zip(place).for_each(|(a, place)| *place = pair(*a, bf16::ZERO));
                    }
                }
            }
        }
    }

    /// Panel `index` of features, by pair of keys; `keys` are even.
    #[inline(always)]
    pub(super) fn panel(&self, index: usize, keys: &Range<usize>) -> &[[u32; PANEL]] {
        &self.panels[index * self.pairs..][keys.start / 2..keys.end / 2]
    }
}
