//! Chunks: a packed batch of ragged sequences as one regular tensor.
//!
//! A scan works on `[M, L, ..]`: M chunks of L tokens, none of which crosses a sequence. The chunks
//! are ordered by their number within the sequence and, for one number, by falling length of the
//! sequence. The sequences that reach number c + 1 are then the first ones of those that reach
//! number c, and a state pass over the numbers only narrows, it never gathers.

use crate::place;
use tch::{Device, Kind, TchError, Tensor};

/// A run of consecutive rows of a packed batch that is worked on at once: whole sequences, or a
/// part of one long sequence that begins at a chunk boundary.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// First row in the batch.
    pub(super) start: i64,
    /// Limits of the sequences, from 0 to the number of rows.
    pub(super) offsets: Vec<i64>,
    /// Its only sequence began in the block before.
    pub(super) continues: bool,
    /// Its only sequence goes on in the next block.
    pub(super) open: bool,
}

impl Block {
    /// Number of rows.
    pub(super) fn rows(&self) -> i64 {
        self.offsets.last().copied().unwrap_or(0)
    }
}

/// Cuts a batch into blocks of at most `limit` chunks of `len` tokens. Blocks bound the memory of
/// the intermediate values. A sequence is always cut at the same places, so that its results do
/// not depend on what else is in the batch.
pub(super) fn blocks(offsets: &[i64], len: i64, limit: i64) -> Vec<Block> {
    let limit = limit.max(1);
    let mut blocks = Vec::new();
    let (mut current, mut filled): (Option<Block>, i64) = (None, 0);
    for pair in offsets.windows(2) {
        let (mut start, end) = (pair[0], pair[1]);
        let chunks = (end - start + len - 1) / len;
        if filled + chunks > limit {
            blocks.extend(current.take());
            filled = 0;
        }
        if chunks > limit {
            let first = start;
            while start < end {
                let rows = (end - start).min(limit * len);
                let (continues, open) = (start > first, start + rows < end);
                blocks.push(Block {
                    start,
                    offsets: vec![0, rows],
                    continues,
                    open,
                });
                start += rows;
            }
        } else if chunks > 0 {
            let block = current.get_or_insert_with(|| Block {
                start,
                offsets: vec![0],
                continues: false,
                open: false,
            });
            block.offsets.push(end - block.start);
            filled += chunks;
        }
    }
    blocks.extend(current);
    blocks
}

/// Where each row of a block lies among its chunks.
pub(super) struct Chunks {
    /// Tokens of a chunk.
    len: i64,
    /// How many sequences reach chunk number c.
    counts: Vec<i64>,
    /// `[N]`: the slot, chunk * L + index in the chunk, of each row. `None`: its own number.
    slots: Option<Tensor>,
    /// The last state is wanted.
    open: bool,
}

impl Chunks {
    /// The chunks of a block.
    pub(super) fn new(block: &Block, len: i64, device: Device) -> Result<Chunks, TchError> {
        let lengths: Vec<i64> = block.offsets.windows(2).map(|w| w[1] - w[0]).collect();
        let mut order: Vec<usize> = (0..lengths.len()).filter(|&s| lengths[s] > 0).collect();
        order.sort_by_key(|&s| -lengths[s]);
        let numbers = order.first().map_or(0, |&s| (lengths[s] + len - 1) / len);
        let counts: Vec<i64> = (0..numbers)
            .map(|c| order.iter().take_while(|&&s| lengths[s] > c * len).count() as i64)
            .collect();
        let mut bases = Vec::with_capacity(counts.len());
        let mut total = 0;
        for count in &counts {
            bases.push(total);
            total += count;
        }
        let mut slots = vec![0i64; block.rows() as usize];
        for (rank, &s) in order.iter().enumerate() {
            for t in 0..lengths[s] {
                let chunk = bases[(t / len) as usize] + rank as i64;
                slots[(block.offsets[s] + t) as usize] = chunk * len + t % len;
            }
        }
        let regular = total * len == block.rows() && slots.is_sorted();
        let slots = match regular {
            true => None,
            false => Some(place::numbers(&slots, device)?),
        };
        Ok(Chunks {
            len,
            counts,
            slots,
            open: block.open,
        })
    }

    /// Number of chunks, M.
    pub(super) fn count(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Tokens of a chunk, L.
    pub(super) fn len(&self) -> i64 {
        self.len
    }

    /// For each chunk number, the index of its first chunk and how many there are.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (i64, i64)> {
        self.counts.iter().scan(0, |base, &count| {
            let first = *base;
            *base += count;
            Some((first, count))
        })
    }

    /// No state passes from chunk to chunk, provided the block starts without one.
    pub(super) fn alone(&self) -> bool {
        self.counts.len() <= 1 && !self.open
    }

    /// `[N, ..]` -> `[M, L, ..]`, slots without a row hold `fill`.
    pub(super) fn pack(&self, x: &Tensor, fill: f64) -> Result<Tensor, TchError> {
        let mut shape = x.size();
        let flat = match &self.slots {
            None => x.f_contiguous()?,
            Some(slots) => {
                shape[0] = self.count() * self.len;
                let mut out = Tensor::f_full(&shape, fill, (x.kind(), x.device()))?;
                out.f_index_copy_(0, slots, x)?
            }
        };
        shape.splice(0..1, [self.count(), self.len]);
        flat.f_reshape(shape)
    }

    /// `[M, L, ..]` -> `[N, ..]`, the inverse of `pack`.
    pub(super) fn unpack(&self, y: &Tensor) -> Result<Tensor, TchError> {
        let mut shape = y.size();
        shape.splice(0..2, [self.count() * self.len]);
        let flat = y.f_reshape(shape)?;
        match &self.slots {
            None => Ok(flat),
            Some(slots) => flat.f_index_select(0, slots),
        }
    }

    /// `[N, H, D]` -> `[M, H, L, D]` of the given kind, one matrix per chunk and head.
    pub(super) fn per_head(&self, x: &Tensor, kind: Kind, fill: f64) -> Result<Tensor, TchError> {
        self.pack(&x.f_to_kind(kind)?, fill)?.f_transpose(1, 2)?.f_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths_to_offsets(lengths: &[i64]) -> Vec<i64> {
        let mut offsets = vec![0];
        for n in lengths {
            offsets.push(offsets.last().unwrap() + n);
        }
        offsets
    }

    #[test]
    fn blocks_cover_all_rows_and_cut_only_long_sequences() {
        let blocks = blocks(&lengths_to_offsets(&[3, 4, 0, 20, 2]), 4, 3);
        let seen: Vec<_> = blocks
            .iter()
            .map(|b| (b.start, b.offsets.clone(), b.continues, b.open))
            .collect();
        assert_eq!(
            seen,
            [
                (0, vec![0, 3, 7], false, false),
                (7, vec![0, 12], false, true),
                (19, vec![0, 8], true, false),
                (27, vec![0, 2], false, false),
            ]
        );
    }

    #[test]
    fn packing_is_undone_by_unpacking_and_fills_the_rest() {
        let block = Block {
            start: 0,
            offsets: lengths_to_offsets(&[1, 9, 0, 4, 5]),
            continues: false,
            open: false,
        };
        let chunks = Chunks::new(&block, 4, Device::Cpu).unwrap();
        assert_eq!(chunks.numbers().collect::<Vec<_>>(), [(0, 4), (4, 2), (6, 1)]);
        let x = Tensor::arange(19, (Kind::Float, Device::Cpu)).reshape([19, 1]);
        let packed = chunks.pack(&x, -1.0).unwrap();
        assert_eq!(packed.size(), [7, 4, 1]);
        let first = Vec::<f32>::try_from(packed.select(0, 0).reshape(-1)).unwrap();
        assert_eq!(first, [1.0, 2.0, 3.0, 4.0]);
        let last = Vec::<f32>::try_from(packed.select(0, 6).reshape(-1)).unwrap();
        assert_eq!(last, [9.0, -1.0, -1.0, -1.0]);
        assert_eq!(chunks.unpack(&packed).unwrap(), x);
    }

    #[test]
    fn a_full_sequence_is_not_copied() {
        let block = Block {
            start: 0,
            offsets: vec![0, 8],
            continues: false,
            open: false,
        };
        let chunks = Chunks::new(&block, 4, Device::Cpu).unwrap();
        let x = Tensor::zeros([8, 3], (Kind::Float, Device::Cpu));
        assert_eq!(chunks.pack(&x, 0.0).unwrap().data_ptr(), x.data_ptr());
    }
}
