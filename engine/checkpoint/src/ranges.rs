//! From a set of tensors to the fewest reads, and to the place of every byte in an arena.

use crate::arena::PAGE;
use crate::checkpoint::{Checkpoint, FileId, TensorId};
use std::ops::Range;

/// Gaps up to this many bytes are read along rather than jumped over: on any drive a second request costs more.
pub const DEFAULT_SLACK: u64 = 64 << 10;

/// One contiguous read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRange {
    /// The file to read.
    pub file: FileId,
    /// Absolute offset in the file.
    pub file_offset: u64,
    /// Bytes to read; never zero.
    pub len: usize,
    /// Where the first byte goes in the arena: congruent to `file_offset` modulo [`PAGE`].
    pub arena_offset: usize,
}

/// How one unit's tensors get into one arena.
///
/// Invariants: ranges are sorted by file and offset, in the arena in the same order, begin and end with a tensor, and
/// share no arena page, so that a reader may round each range out to whole pages (direct I/O) without one range
/// overwriting another. Gaps between ranges of a file are longer than the slack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// The reads.
    pub ranges: Vec<ReadRange>,
    /// Where each tensor lies in the arena, sorted by tensor, each once.
    pub slices: Vec<(TensorId, Range<usize>)>,
    /// Bytes of arena needed: a multiple of [`PAGE`].
    pub arena_len: usize,
}

impl LoadPlan {
    /// Plans the reading of `tensors` (in any order, repeated or not), with gaps of up to `slack` bytes read along.
    ///
    /// # Panics
    /// If an id is not of this checkpoint.
    pub fn new(checkpoint: &Checkpoint, tensors: &[TensorId], slack: u64) -> LoadPlan {
        let mut ids = tensors.to_vec();
        // Ids are in file order, so sorting them sorts the reads.
        ids.sort_unstable();
        ids.dedup();
        let mut plan = LoadPlan {
            ranges: Vec::new(),
            slices: Vec::with_capacity(ids.len()),
            arena_len: 0,
        };
        for id in ids {
            let slice = plan.place(checkpoint, id, slack);
            plan.slices.push((id, slice));
        }
        plan.arena_len = plan.end().next_multiple_of(PAGE);
        plan
    }

    /// Bytes that are read: the tensors' and those of the gaps between them.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.len as u64).sum()
    }

    /// Where a tensor lies in the arena, if it is part of the plan.
    pub fn slice(&self, id: TensorId) -> Option<Range<usize>> {
        let at = self.slices.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.slices[at].1.clone())
    }

    /// Puts one tensor behind those already placed, in the last range if it is near enough.
    fn place(&mut self, checkpoint: &Checkpoint, id: TensorId, slack: u64) -> Range<usize> {
        let tensor = checkpoint.tensor(id);
        let len = tensor.len as usize;
        if len == 0 {
            // An empty tensor needs no read, and any place will do.
            return 0..0;
        }
        if let Some(last) = self.ranges.last_mut().filter(|last| last.file == tensor.file) {
            let within = tensor.offset - last.file_offset;
            if within <= last.len as u64 + slack {
                // The larger one, for `from_parts` may hold tensors that overlap.
                last.len = last.len.max(within as usize + len);
                let begin = last.arena_offset + within as usize;
                return begin..begin + len;
            }
        }
        let begin = self.end().next_multiple_of(PAGE) + (tensor.offset % PAGE as u64) as usize;
        self.ranges.push(ReadRange {
            file: tensor.file,
            file_offset: tensor.offset,
            len,
            arena_offset: begin,
        });
        begin..begin + len
    }

    /// One past the last arena byte in use.
    fn end(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.arena_offset + range.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CheckpointFile, TensorEntry};
    use proptest::prelude::*;
    use serde_json::json;
    use sli_model::DType;

    /// A made-up checkpoint: per file the tensors as (bytes of gap before it, bytes).
    fn checkpoint(files: &[Vec<(u64, u64)>]) -> Checkpoint {
        let mut entries = Vec::new();
        let mut table = Vec::new();
        for (file, tensors) in (0..).zip(files) {
            let mut at = 0;
            for (gap, len) in tensors {
                let (name, shape) = (format!("t{}", entries.len()), vec![*len]);
                entries.push(TensorEntry {
                    name,
                    dtype: DType::U8,
                    shape,
                    file: FileId(file),
                    offset: at + gap,
                    len: *len,
                });
                at += gap + len;
            }
            table.push(CheckpointFile {
                path: format!("{file}").into(),
                len: at,
            });
        }
        Checkpoint::from_parts(json!({}), table, entries).unwrap()
    }

    #[test]
    fn neighbours_merge_and_strangers_do_not() {
        let checkpoint = checkpoint(&[vec![(10, 100), (0, 50), (200, 8), (64, 1)], vec![(10, 4)]]);
        let ids: Vec<_> = checkpoint.iter().map(|(id, _)| id).collect();
        let plan = LoadPlan::new(&checkpoint, &ids, 64);
        let range = |file, file_offset, len, arena_offset| ReadRange {
            file: FileId(file),
            file_offset,
            len,
            arena_offset,
        };
        assert_eq!(
            plan.ranges,
            [
                range(0, 10, 150, 10),
                range(0, 360, 73, 4096 + 360),
                range(1, 10, 4, 8192 + 10)
            ]
        );
        assert_eq!(plan.slice(ids[1]), Some(110..160));
        assert_eq!(plan.slice(ids[3]), Some(4096 + 432..4096 + 433));
        assert_eq!((plan.arena_len, plan.bytes()), (3 * 4096, 227));
        assert_eq!(plan.slice(TensorId(99)), None);
    }

    #[test]
    fn no_tensors_need_no_memory() {
        let plan = LoadPlan::new(&checkpoint(&[vec![(0, 1)]]), &[], 0);
        assert_eq!(
            plan,
            LoadPlan {
                ranges: vec![],
                slices: vec![],
                arena_len: 0
            }
        );
    }

    /// Files for [`checkpoint`], tensors wanted of them, and a slack.
    type Case = (Vec<Vec<(u64, u64)>>, Vec<prop::sample::Index>, u64);

    fn case() -> impl Strategy<Value = Case> {
        let gap = prop_oneof![3 => Just(0_u64), 1 => 1..9000_u64];
        let len = prop_oneof![1 => Just(0_u64), 4 => 1..20_000_u64];
        let file = prop::collection::vec((gap, len), 1..8);
        let wanted = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
        (
            prop::collection::vec(file, 1..4),
            wanted,
            prop_oneof![Just(0_u64), Just(4096), 0..10_000_u64],
        )
    }

    /// A byte that tells its place.
    fn byte(file: FileId, offset: u64) -> u8 {
        (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8 ^ file.0 as u8
    }

    /// Does the reads of a plan, rounded out to whole pages as direct I/O would.
    fn read(plan: &LoadPlan) -> Vec<u8> {
        let mut arena = vec![0xEE; plan.arena_len];
        for range in &plan.ranges {
            let head = range.arena_offset % PAGE;
            let end = (range.arena_offset + range.len).next_multiple_of(PAGE);
            let pages = &mut arena[range.arena_offset - head..end];
            for (offset, place) in (range.file_offset - head as u64..).zip(pages) {
                *place = byte(range.file, offset);
            }
        }
        arena
    }

    proptest! {
        #[test]
        fn plans_hold_their_invariants((files, wanted, slack) in case()) {
            let checkpoint = checkpoint(&files);
            let ids: Vec<_> = wanted.iter().map(|at| TensorId(at.index(checkpoint.tensors().len()) as u32)).collect();
            let plan = LoadPlan::new(&checkpoint, &ids, slack);
            for range in &plan.ranges {
                prop_assert!(range.len > 0);
                prop_assert_eq!(range.arena_offset % PAGE, (range.file_offset % PAGE as u64) as usize);
            }
            for pair in plan.ranges.windows(2) {
                let [a, b] = pair else { unreachable!() };
                prop_assert!((a.arena_offset + a.len).next_multiple_of(PAGE) <= b.arena_offset - b.arena_offset % PAGE);
                prop_assert!(a.file < b.file || a.file_offset + a.len as u64 + slack < b.file_offset);
            }
            prop_assert_eq!(plan.arena_len % PAGE, 0);

            // Every tensor asked for, and none else, comes out byte for byte.
            let arena = read(&plan);
            let mut asked = ids.clone();
            asked.sort_unstable();
            asked.dedup();
            prop_assert_eq!(plan.slices.iter().map(|(id, _)| *id).collect::<Vec<_>>(), asked);
            let mut tensor_bytes = 0;
            for (id, slice) in &plan.slices {
                let tensor = checkpoint.tensor(*id);
                let want: Vec<u8> = (0..tensor.len).map(|i| byte(tensor.file, tensor.offset + i)).collect();
                prop_assert!(arena[slice.clone()] == want);
                tensor_bytes += tensor.len;
            }
            let merges = plan.slices.len().saturating_sub(plan.ranges.len()) as u64;
            prop_assert!(plan.bytes() <= tensor_bytes + merges * slack);
            prop_assert!(plan.arena_len <= plan.bytes() as usize + plan.ranges.len() * 2 * PAGE);
        }
    }
}
