//! From a set of tensors, or of parts of tensors, to the fewest reads, and to the place of every byte in an arena.

use crate::checkpoint::{Checkpoint, FileId, TensorId};
use crate::mapping::PAGE;
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

/// Bytes of one tensor that are wanted: some experts of those packed in one tensor, for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The tensor.
    pub tensor: TensorId,
    /// First byte, counted from the tensor's first.
    pub start: u64,
    /// How many bytes.
    pub len: u64,
}

/// Where a span, or several that touch, lies in the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The tensor.
    pub tensor: TensorId,
    /// First byte, counted from the tensor's first.
    pub start: u64,
    /// Whether these are all bytes of the tensor.
    pub whole: bool,
    /// Its place in the arena.
    pub place: Range<usize>,
}

/// How one unit's tensors get into one arena.
///
/// Invariants: ranges are sorted by file and offset, in the arena in the same order, begin and end with bytes that are
/// wanted, and share no arena page, so that a reader may round each range out to whole pages (direct I/O) without one
/// range overwriting another. Gaps between ranges of a file are longer than the slack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadPlan {
    /// The reads.
    pub ranges: Vec<ReadRange>,
    /// What is loaded, sorted by tensor and start; slices of one tensor neither overlap nor touch.
    pub slices: Vec<Slice>,
    /// Bytes of arena needed: a multiple of [`PAGE`].
    pub arena_len: usize,
}

impl LoadPlan {
    /// Plans the reading of `tensors` (in any order, repeated or not), with gaps of up to `slack` bytes read along.
    ///
    /// # Panics
    /// If an id is not of this checkpoint.
    pub fn new(checkpoint: &Checkpoint, tensors: &[TensorId], slack: u64) -> LoadPlan {
        let whole = |tensor: &TensorId| Span {
            tensor: *tensor,
            start: 0,
            len: checkpoint.tensor(*tensor).len,
        };
        LoadPlan::of_spans(checkpoint, &tensors.iter().map(whole).collect::<Vec<_>>(), slack)
    }

    /// Plans the reading of parts of tensors (in any order, overlapping or not), with gaps of up to `slack` bytes read
    /// along.
    ///
    /// # Panics
    /// If a tensor is not of this checkpoint, or a span reaches beyond its tensor.
    pub fn of_spans(checkpoint: &Checkpoint, spans: &[Span], slack: u64) -> LoadPlan {
        let mut spans = merged(checkpoint, spans);
        // Ids are in file order, but tensors of `Checkpoint::from_parts` may overlap.
        spans.sort_by_key(|span| {
            let tensor = checkpoint.tensor(span.tensor);
            (tensor.file, tensor.offset + span.start, span.len)
        });
        let mut plan = LoadPlan::default();
        for span in spans {
            let place = plan.place(checkpoint, span, slack);
            let whole = span.len == checkpoint.tensor(span.tensor).len;
            plan.slices.push(Slice {
                tensor: span.tensor,
                start: span.start,
                whole,
                place,
            });
        }
        plan.slices.sort_by_key(|slice| (slice.tensor, slice.start));
        plan.arena_len = plan.end().next_multiple_of(PAGE);
        plan
    }

    /// Bytes that are read: those that are wanted and those of the gaps between them. Direct I/O adds what rounds each
    /// range out to whole pages.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.len as u64).sum()
    }

    /// Where a tensor lies in the arena, if all of it is part of the plan.
    pub fn slice(&self, id: TensorId) -> Option<Range<usize>> {
        let at = self
            .slices
            .binary_search_by_key(&(id, 0), |slice| (slice.tensor, slice.start))
            .ok()?;
        Some(&self.slices[at])
            .filter(|slice| slice.whole)
            .map(|slice| slice.place.clone())
    }

    /// Where bytes `part` of a tensor lie in the arena, if they are part of the plan.
    pub fn part(&self, id: TensorId, part: Range<u64>) -> Option<Range<usize>> {
        let after = self
            .slices
            .partition_point(|slice| (slice.tensor, slice.start) <= (id, part.start));
        let slice = self.slices[..after].last().filter(|slice| slice.tensor == id)?;
        let skip = usize::try_from(part.start - slice.start).ok()?;
        let len = usize::try_from(part.end.checked_sub(part.start)?).ok()?;
        (skip + len <= slice.place.len()).then(|| slice.place.start + skip..slice.place.start + skip + len)
    }

    /// Puts one span behind those already placed, in the last range if it is near enough.
    fn place(&mut self, checkpoint: &Checkpoint, span: Span, slack: u64) -> Range<usize> {
        let file = checkpoint.tensor(span.tensor).file;
        let (offset, len) = (checkpoint.tensor(span.tensor).offset + span.start, span.len as usize);
        if len == 0 {
            // An empty tensor needs no read, and any place will do.
            return 0..0;
        }
        if let Some(last) = self.ranges.last_mut().filter(|last| last.file == file) {
            let within = offset - last.file_offset;
            if within <= last.len as u64 + slack {
                last.len = last.len.max(within as usize + len);
                let begin = last.arena_offset + within as usize;
                return begin..begin + len;
            }
        }
        let begin = self.end().next_multiple_of(PAGE) + (offset % PAGE as u64) as usize;
        self.ranges.push(ReadRange {
            file,
            file_offset: offset,
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

/// The same bytes in spans that neither overlap nor touch, by tensor and start; empty spans only of empty tensors.
fn merged(checkpoint: &Checkpoint, spans: &[Span]) -> Vec<Span> {
    let mut spans = spans.to_vec();
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        let (len, end) = (checkpoint.tensor(span.tensor).len, span.start.saturating_add(span.len));
        assert!(end <= len, "a span up to byte {end} of a tensor of {len} bytes");
        match merged.last_mut() {
            Some(last) if last.tensor == span.tensor && span.start <= last.start + last.len => {
                last.len = last.len.max(end - last.start);
            }
            _ if span.len == 0 && len > 0 => {}
            _ => merged.push(span),
        }
    }
    merged
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
        assert_eq!(LoadPlan::new(&checkpoint(&[vec![(0, 1)]]), &[], 0), LoadPlan::default());
    }

    #[test]
    fn parts_of_a_tensor_are_read_alone_and_neighbours_together() {
        let checkpoint = checkpoint(&[vec![(0, 50), (50, 90_000), (0, 0)]]);
        let id = TensorId(1);
        let span = |start, len| Span { tensor: id, start, len };
        let spans = [
            span(80_000, 10_000),
            span(30_000, 10_000),
            span(10_000, 10_000),
            span(20_000, 10_000),
            span(7, 0),
        ];
        let plan = LoadPlan::of_spans(&checkpoint, &spans, 100);
        let reads: Vec<_> = plan.ranges.iter().map(|range| (range.file_offset, range.len)).collect();
        assert_eq!(reads, [(10_100, 30_000), (80_100, 10_000)]);
        let starts: Vec<_> = plan
            .slices
            .iter()
            .map(|slice| (slice.start, slice.whole, slice.place.len()))
            .collect();
        assert_eq!(starts, [(10_000, false, 30_000), (80_000, false, 10_000)]);
        let first = plan.slices[0].place.start;
        assert_eq!(plan.part(id, 15_000..35_000), Some(first + 5_000..first + 25_000));
        assert_eq!(plan.part(id, 10_000..40_000), Some(plan.slices[0].place.clone()));
        for missing in [0..1, 9_999..10_001, 39_999..40_001, 70_000..80_000, 89_999..90_001] {
            assert_eq!(plan.part(id, missing.clone()), None, "{missing:?}");
        }
        assert_eq!((plan.slice(id), plan.part(TensorId(0), 0..1)), (None, None));
        let whole = LoadPlan::of_spans(&checkpoint, &[span(0, 40_000), span(39_000, 51_000)], 0);
        assert_eq!(whole, LoadPlan::new(&checkpoint, &[id], 0));
        assert_eq!(
            LoadPlan::new(&checkpoint, &[TensorId(2)], 0).part(TensorId(2), 0..0),
            Some(0..0)
        );
    }

    #[test]
    #[should_panic(expected = "a span up to byte 51 of a tensor of 50 bytes")]
    fn a_span_beyond_its_tensor_is_a_mistake() {
        let spans = [Span {
            tensor: TensorId(0),
            start: 50,
            len: 1,
        }];
        LoadPlan::of_spans(&checkpoint(&[vec![(0, 50)]]), &spans, 0);
    }

    /// A tensor, and the part of it that is wanted: from and to, in thousandths.
    type Part = (prop::sample::Index, u64, u64);

    /// Files for [`checkpoint`], what is wanted of them, and a slack.
    type Case = (Vec<Vec<(u64, u64)>>, Vec<Part>, u64);

    fn case() -> impl Strategy<Value = Case> {
        let gap = prop_oneof![3 => Just(0_u64), 1 => 1..9000_u64];
        let len = prop_oneof![1 => Just(0_u64), 4 => 1..20_000_u64];
        let file = prop::collection::vec((gap, len), 1..8);
        let from = prop_oneof![2 => Just(0_u64), 1 => 0..1000_u64];
        let to = prop_oneof![2 => Just(1000_u64), 1 => 0..1001_u64];
        let wanted = prop::collection::vec((any::<prop::sample::Index>(), from, to), 0..12);
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
            let span = |(at, from, to): &Part| {
                let tensor = TensorId(at.index(checkpoint.tensors().len()) as u32);
                let at = |thousandths: u64| checkpoint.tensor(tensor).len * thousandths / 1000;
                Span { tensor, start: at(*from.min(to)), len: at(*to.max(from)) - at(*from.min(to)) }
            };
            let spans: Vec<_> = wanted.iter().map(span).collect();
            let plan = LoadPlan::of_spans(&checkpoint, &spans, slack);
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

            // Every byte asked for comes out, and none else.
            let arena = read(&plan);
            let bytes = |tensor: TensorId, part: Range<u64>| -> Vec<u8> {
                let entry = checkpoint.tensor(tensor);
                part.map(|at| byte(entry.file, entry.offset + at)).collect()
            };
            let mut asked = 0;
            for span in spans.iter().filter(|span| span.len > 0) {
                let part = span.start..span.start + span.len;
                let place = plan.part(span.tensor, part.clone()).unwrap();
                prop_assert!(arena[place] == bytes(span.tensor, part));
                let whole = span.len == checkpoint.tensor(span.tensor).len;
                prop_assert!(!whole || plan.slice(span.tensor).is_some());
                asked += span.len;
            }
            let mut tensor_bytes = 0;
            for slice in &plan.slices {
                let len = slice.place.len() as u64;
                prop_assert!(arena[slice.place.clone()] == bytes(slice.tensor, slice.start..slice.start + len));
                prop_assert_eq!(slice.whole, len == checkpoint.tensor(slice.tensor).len);
                tensor_bytes += len;
            }
            prop_assert!(tensor_bytes <= asked);
            for pair in plan.slices.windows(2) {
                let [a, b] = pair else { unreachable!() };
                prop_assert!(a.tensor < b.tensor || a.start + (a.place.len() as u64) < b.start);
            }
            let merges = plan.slices.len().saturating_sub(plan.ranges.len()) as u64;
            prop_assert!(plan.bytes() <= tensor_bytes + merges * slack);
            prop_assert!(plan.arena_len <= plan.bytes() as usize + plan.ranges.len() * 2 * PAGE);
        }
    }
}
