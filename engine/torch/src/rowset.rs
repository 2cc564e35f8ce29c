//! Token sets at run time: where each sequence of a packed batch begins and ends.

use crate::error::{Result, fail};
use crate::{Device, Tensor, place};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The sequences of a packed batch, back to back, and the position of every token.
#[derive(Debug)]
pub struct RowSet {
    offsets: Vec<i64>,
    positions: Tensor,
    places: OnceLock<Tensor>,
}

impl RowSet {
    /// Sequence s holds the rows `offsets[s] .. offsets[s + 1]`; `positions` is `[N]` i64, or `[N, A]`
    /// where positions have axes.
    ///
    /// # Errors
    /// Offsets that do not begin at 0 or go down; positions for another number of rows.
    pub fn new(offsets: Vec<i64>, positions: Tensor) -> Result<RowSet> {
        if offsets.first() != Some(&0) || offsets.windows(2).any(|w| w[0] > w[1]) {
            fail!("the offsets of a token set begin at 0 and never go down, these do not: {offsets:?}");
        }
        let rows = offsets.last().copied().unwrap_or(0);
        if positions.shape().first() != Some(&rows) {
            fail!(
                "a token set of {rows} rows got positions of shape {:?}",
                positions.shape()
            );
        }
        Ok(RowSet {
            offsets,
            positions,
            places: OnceLock::new(),
        })
    }

    /// A set of sequences of these lengths whose positions count from 0 in each.
    ///
    /// # Errors
    /// A negative length.
    pub fn from_lengths(lengths: &[i64]) -> Result<RowSet> {
        RowSet::beside(lengths, tch::Device::Cpu)
    }

    /// The same with its positions on `device`, which is where a graph with this set runs.
    ///
    /// # Errors
    /// A negative length, or no memory on the device.
    pub fn from_lengths_on(lengths: &[i64], device: Device) -> Result<RowSet> {
        RowSet::beside(lengths, device.raw())
    }

    pub(crate) fn beside(lengths: &[i64], device: tch::Device) -> Result<RowSet> {
        let mut offsets = vec![0];
        let mut places = Vec::new();
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
            places.extend(0..*length);
        }
        let places = Tensor::own(place::numbers(&places, device)?);
        RowSet::new(offsets, places)
    }

    /// Where each sequence begins; S + 1 numbers.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// Positions of the tokens, `[N]` or `[N, A]` i64.
    pub fn positions(&self) -> &Tensor {
        &self.positions
    }

    /// Where the positions are, and so every tensor of a graph that is run with this set.
    pub(crate) fn device(&self) -> tch::Device {
        self.positions.raw().device()
    }

    /// Number of rows N.
    pub fn len(&self) -> i64 {
        self.offsets[self.offsets.len() - 1]
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of sequences S.
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Rows of sequence `s`.
    pub fn range(&self, s: usize) -> Range<i64> {
        self.offsets[s]..self.offsets[s + 1]
    }

    /// Length of sequence `s`.
    pub fn length(&self, s: usize) -> i64 {
        self.offsets[s + 1] - self.offsets[s]
    }

    /// Lengths of all sequences.
    pub fn lengths(&self) -> impl Iterator<Item = i64> + '_ {
        self.offsets.windows(2).map(|w| w[1] - w[0])
    }

    /// The longest sequence, 0 if there is none.
    pub fn longest(&self) -> i64 {
        self.lengths().max().unwrap_or(0)
    }

    /// `[N]` i64: the index of each row in its sequence. Made once.
    ///
    /// # Errors
    /// Only if libtorch cannot allocate.
    pub fn places(&self) -> Result<Tensor> {
        if let Some(places) = self.places.get() {
            return Ok(places.clone());
        }
        let places: Vec<i64> = self.lengths().flat_map(|length| 0..length).collect();
        let made = Tensor::own(place::numbers(&places, self.device())?);
        Ok(self.places.get_or_init(|| made).clone())
    }

    /// True if both sets cut their rows into the same sequences.
    pub fn same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other) || self.offsets == other.offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_give_offsets_and_places() {
        let set = RowSet::from_lengths(&[2, 0, 3]).unwrap();
        assert_eq!(set.offsets(), [0, 2, 2, 5]);
        assert_eq!((set.len(), set.sequences(), set.longest()), (5, 3, 3));
        assert_eq!(set.places().unwrap().to_i64_vec().unwrap(), [0, 1, 0, 1, 2]);
        assert_eq!(set.positions().to_i64_vec().unwrap(), [0, 1, 0, 1, 2]);
    }

    #[test]
    fn wrong_offsets_are_refused() {
        let positions = Tensor::from_i64(&[0, 1], &[2]).unwrap();
        assert!(RowSet::new(vec![0, 3, 2], positions.clone()).is_err());
        assert!(RowSet::new(vec![0, 3], positions).is_err());
    }
}
