//! Part of a micro-batch's rows, for head values that are too wide to make for all rows at once.

use std::sync::Arc;

use sli_torch::{Device, RowSet, RtValue, TensorError};

use crate::stages::Piece;

/// The rows `start .. start + len`.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) start: i64,
    pub(super) len: i64,
    /// The rows as one sequence: only row-wise graphs are run on chunks.
    pub(super) set: Arc<RowSet>,
}

impl Chunk {
    /// The rows `start .. start + len`, for values on `device`.
    pub(super) fn new(start: i64, len: i64, device: Device) -> Result<Chunk, TensorError> {
        Ok(Chunk {
            start,
            len,
            set: Arc::new(RowSet::from_lengths_on(&[len], device)?),
        })
    }

    /// The chunk's part of a value with one row per token; other values as they are.
    pub(super) fn cut(&self, value: RtValue) -> Result<RtValue, TensorError> {
        match value {
            RtValue::Tensor { tensor, rows: Some(_) } => {
                Ok(RtValue::packed(tensor.rows(self.start, self.len)?, &self.set))
            }
            other => Ok(other),
        }
    }

    /// The parts of `pieces` that are in the chunk, by their place in it.
    pub(super) fn pieces(&self, pieces: &[Piece]) -> Vec<Piece> {
        let (start, end) = (self.start as u64, (self.start + self.len) as u64);
        let cut = |piece: &Piece| {
            let (from, to) = (piece.at.max(start), (piece.at + piece.len).min(end));
            (from < to).then(|| Piece {
                document: piece.document,
                first: piece.first + from - piece.at,
                at: from - start,
                len: to - from,
            })
        };
        pieces.iter().filter_map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cut_documents_anywhere_and_cover_every_row_once() {
        let piece = |document, first, at, len| Piece {
            document,
            first,
            at,
            len,
        };
        let pieces = [piece(7, 0, 0, 3), piece(8, 0, 3, 1), piece(9, 0, 4, 5)];
        let cut = |start, len| Chunk::new(start, len, Device::Cpu).unwrap().pieces(&pieces);
        assert_eq!(cut(0, 2), [piece(7, 0, 0, 2)]);
        assert_eq!(cut(2, 4), [piece(7, 2, 0, 1), piece(8, 0, 1, 1), piece(9, 0, 2, 2)]);
        assert_eq!(cut(6, 3), [piece(9, 2, 0, 3)]);
    }
}
