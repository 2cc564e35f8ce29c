//! What `capture` and `logits` share: rows of tensors into shards.

use std::sync::Arc;

use sli_model::DType;

use super::{Context, Piece};
use crate::data::Dataset;
use crate::error::Result;
use crate::points::{Point, RowsOf};
use crate::write::{OutFile, Series, ShardTensor, Shards};

/// The shards of a stage with their names.
pub(super) struct TensorFiles {
    shards: Shards,
    stage: String,
    kind: &'static str,
}

impl TensorFiles {
    /// Shards for `series`, at most `limit` bytes of data each unless one document is larger.
    pub(super) fn new(
        stage: &str,
        kind: &'static str,
        series: Vec<Series>,
        dataset: &Dataset,
        limit: u64,
    ) -> TensorFiles {
        TensorFiles {
            shards: Shards::plan(series, &dataset.ids, limit),
            stage: stage.into(),
            kind,
        }
    }

    /// Bytes of all tensors.
    pub(super) fn bytes(&self) -> u64 {
        self.shards.bytes()
    }

    /// Number of files.
    pub(super) fn files(&self) -> usize {
        self.shards.len()
    }

    /// Writes `bytes`, the rows of `pieces` of a series, back to back.
    pub(super) fn write(
        &mut self,
        series: usize,
        pieces: &[Piece],
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Result<()> {
        let rows: u64 = pieces.iter().map(|piece| piece.len).sum();
        let row_bytes = bytes.len() as u64 / rows.max(1);
        let count = self.shards.len();
        let TensorFiles { shards, stage, kind } = self;
        let mut finished = Vec::new();
        let mut at = 0;
        for piece in pieces {
            let part = &bytes[at as usize..(at + piece.len * row_bytes) as usize];
            at += piece.len * row_bytes;
            let to = ShardTensor {
                series,
                document: piece.document,
                row: piece.first,
            };
            let mut create = |shard: usize| Ok(context.dir.begin(&shard_name(stage, shard, count))?.0);
            let mut done = |shard: usize, file: OutFile| {
                finished.push((shard, file.finish()?));
                Ok(())
            };
            shards.write(to, part, &context.dataset.ids, &mut create, &mut done)?;
        }
        for (shard, finished) in finished {
            context
                .dir
                .complete(&shard_name(stage, shard, count), stage, kind, finished);
        }
        Ok(())
    }

    /// Whether every shard is complete.
    pub(super) fn all_complete(&self) -> bool {
        self.shards.all_complete()
    }
}

/// `capture.safetensors`, or `capture-00002-of-00003.safetensors` where there are several.
fn shard_name(stage: &str, shard: usize, count: usize) -> String {
    match count {
        1 => format!("{stage}.safetensors"),
        _ => format!("{stage}-{:05}-of-{count:05}.safetensors", shard + 1),
    }
}

/// The series of a point: one tensor a document, stored as `dtype` under `name`.
pub(super) fn series(point: &Point, name: String, width: u64, dtype: DType, dataset: &Dataset) -> Series {
    Series {
        name,
        dtype,
        width,
        rows: rows_before(point, dataset),
    }
}

/// Rows of a point before each document, and of all.
pub(super) fn rows_before(point: &Point, dataset: &Dataset) -> Arc<[u64]> {
    let before = |document: usize| match point.rows {
        RowsOf::Tokens { field } => dataset.fields[field].total(0..document),
        RowsOf::Documents => document as u64,
    };
    (0..=dataset.len()).map(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_has_no_number() {
        assert_eq!(shard_name("capture", 0, 1), "capture.safetensors");
        assert_eq!(shard_name("capture", 1, 3), "capture-00002-of-00003.safetensors");
    }
}
