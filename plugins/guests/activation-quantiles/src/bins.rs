//! Counts of floats in bins of their own bits.

use std::collections::BTreeMap;

/// Bytes before the bins in a state: number of nan, smallest, largest.
const HEAD: usize = 16;
/// Bytes of a bin: its key, its count.
const BIN: usize = 12;

/// Counted values. Nan is counted apart; infinities have bins.
pub(crate) struct Bins {
    /// Bits of the 23 of the fraction that a key leaves out.
    dropped: u32,
    pub(crate) nan: u64,
    smallest: f32,
    largest: f32,
    /// Keys in the order of the values they stand for.
    counts: BTreeMap<i32, u64>,
}

fn bytes<const N: usize>(state: &[u8], at: usize) -> [u8; N] {
    state[at..at + N].try_into().expect("N bytes")
}

impl Bins {
    /// Reads a state; an empty one has counted nothing.
    pub(crate) fn read(state: &[u8], bits: u32) -> Result<Bins, String> {
        let mut bins = Bins {
            dropped: 23 - bits,
            nan: 0,
            smallest: f32::INFINITY,
            largest: f32::NEG_INFINITY,
            counts: BTreeMap::new(),
        };
        if state.is_empty() {
            return Ok(bins);
        }
        if state.len() < HEAD || !(state.len() - HEAD).is_multiple_of(BIN) {
            return Err(format!("a state of {} bytes is not one of this plugin", state.len()));
        }
        bins.nan = u64::from_le_bytes(bytes(state, 0));
        bins.smallest = f32::from_le_bytes(bytes(state, 8));
        bins.largest = f32::from_le_bytes(bytes(state, 12));
        for bin in state[HEAD..].chunks_exact(BIN) {
            let key = i32::from_le_bytes(bytes(bin, 0));
            bins.counts.insert(key, u64::from_le_bytes(bytes(bin, 4)));
        }
        Ok(bins)
    }

    /// The state as bytes.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut state = Vec::with_capacity(HEAD + BIN * self.counts.len());
        state.extend(self.nan.to_le_bytes());
        state.extend(self.smallest.to_le_bytes());
        state.extend(self.largest.to_le_bytes());
        for (key, count) in &self.counts {
            state.extend(key.to_le_bytes());
            state.extend(count.to_le_bytes());
        }
        state
    }

    /// Counts one value.
    pub(crate) fn count(&mut self, value: f32) {
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        let value = value + 0.0; // -0 is 0: which of the two came first must not show
        self.smallest = self.smallest.min(value);
        self.largest = self.largest.max(value);
        *self.counts.entry(self.key(value)).or_default() += 1;
    }

    /// Exponent and the first bits of the fraction as a number; negative values count backwards from -1.
    fn key(&self, value: f32) -> i32 {
        let magnitude = (value.abs().to_bits() >> self.dropped) as i32;
        if value < 0.0 { -1 - magnitude } else { magnitude }
    }

    /// The middle of a bin.
    fn middle(&self, key: i32) -> f32 {
        let magnitude = if key < 0 { -1 - key } else { key } as u32;
        let low = magnitude << self.dropped;
        let middle = match f32::from_bits(low) {
            // the bin of 0 holds what is nearest to it
            0.0 => 0.0,
            _ => f32::from_bits(low | 1 << (self.dropped - 1)),
        };
        if key < 0 { -middle } else { middle }
    }

    /// How many values were counted, nan left out.
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The value that the share q of all lies at or below; `None` without values. 0 and 1 are exact.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.total();
        let rank = (q * total.checked_sub(1)? as f64).floor() as u64;
        let mut before = 0;
        let (key, _) = self.counts.iter().find(|(_, count)| {
            before += **count;
            before > rank
        })?;
        // The middle of an outer bin may lie beyond the values in it; that of infinity is nan.
        let middle = self.middle(*key);
        let value = match rank {
            0 => self.smallest,
            rank if rank == total - 1 => self.largest,
            _ if middle.is_nan() => f32::INFINITY.copysign(middle),
            _ => middle.clamp(self.smallest, self.largest),
        };
        Some(f64::from(value))
    }
}
