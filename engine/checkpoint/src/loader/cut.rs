//! Cutting a plan into blocks.

use super::ReadOptions;
use crate::checkpoint::FileId;
use crate::files::OpenFiles;
use crate::io::Piece;
use crate::mapping::PAGE;
use crate::ranges::LoadPlan;

/// How far the reads of a plan have been handed out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    range: usize,
    /// Bytes of the range that were handed out, counted from where its first block begins.
    done: u64,
}

impl Cursor {
    /// The next block: at most `block_bytes` long and, within a file, cut at multiples of that, so that no page is
    /// asked for twice. With direct I/O, ranges are rounded out to whole pages; the plan leaves room for that.
    pub(super) fn next(&mut self, plan: &LoadPlan, files: &OpenFiles, options: ReadOptions) -> Option<(FileId, Piece)> {
        let range = plan.ranges.get(self.range)?;
        let handles = files.get(range.file).handles;
        let direct = options.direct && handles.direct.is_some();
        let head = if direct { range.file_offset % PAGE as u64 } else { 0 };
        let begin = range.file_offset - head;
        let (offset, end) = (begin + self.done, range.file_offset + range.len as u64);
        let stop = (offset + 1).next_multiple_of(options.block_bytes as u64).min(end);
        let piece = Piece {
            handles,
            direct,
            offset,
            need: (stop - offset) as usize,
            at: range.arena_offset - head as usize + self.done as usize,
            tries: 0,
        };
        self.done = stop - begin;
        if stop == end {
            *self = Cursor {
                range: self.range + 1,
                done: 0,
            };
        }
        Some((range.file, piece))
    }

    /// Whether everything was handed out.
    pub(super) fn is_at_end(&self, plan: &LoadPlan) -> bool {
        self.range == plan.ranges.len()
    }
}
