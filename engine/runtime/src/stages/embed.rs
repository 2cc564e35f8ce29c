//! `embed`: one vector a document.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use serde_json::{Value as Json, json};
use sli_config::Diagnostic;
use sli_config::pipeline::{EmbedStage, Pooling, VectorFormat};
use sli_model::DType;
use sli_model::infer::Kind;
use sli_torch::{RowSet, Tensor, pool};

use super::tensors::TensorFiles;
use super::{Arrival, Context, Model, Piece, Stage, kernel};
use crate::data::Dataset;
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::points::{Point, PointId, RowsOf};
use crate::write::{Series, Table};

/// Where vectors go.
enum Sink {
    Table(Table),
    Tensors(TensorFiles),
}

/// The stage.
pub(super) struct Embed {
    name: String,
    ids: [PointId; 1],
    point: Point,
    pooling: Pooling,
    normalize: bool,
    format: VectorFormat,
    sink: Option<Sink>,
    documents: u64,
}

impl Embed {
    /// The stage, or why the model has no such value.
    pub(super) fn new(
        name: String,
        options: &EmbedStage,
        model: &Model<'_>,
    ) -> std::result::Result<Embed, Vec<Diagnostic>> {
        let id = model.points.named(&options.point).map_err(|error| vec![error])?;
        let point = model.points.get(id).clone();
        if point.kind == Kind::Int {
            let message = format!("`{}` holds whole numbers, which make no vector", point.name);
            return Err(vec![Diagnostic::error(message).primary(options.point.label(""))]);
        }
        let (pooling, normalize, format) = (options.pooling, options.normalize, options.format);
        Ok(Embed {
            name,
            ids: [id],
            point,
            pooling,
            normalize,
            format,
            sink: None,
            documents: 0,
        })
    }

    fn file(&self) -> String {
        format!("{}.{}", self.name, self.format)
    }

    /// `[S, C]` f32, one row for each piece.
    fn pool(&self, arrival: &Arrival<'_>) -> sli_torch::Result<Tensor> {
        let pooled = match self.point.rows {
            RowsOf::Documents => arrival.tensor.cast(DType::F32)?,
            RowsOf::Tokens { .. } => {
                let lengths: Vec<i64> = arrival.pieces.iter().map(|piece| piece.len as i64).collect();
                let set = RowSet::from_lengths(&lengths)?;
                match self.pooling {
                    Pooling::Mean => pool::mean(arrival.tensor, &set)?,
                    Pooling::Cls => pool::cls(arrival.tensor, &set)?,
                    Pooling::Last => pool::last(arrival.tensor, &set)?,
                }
            }
        };
        if self.normalize {
            pool::l2_normalize(&pooled)
        } else {
            Ok(pooled)
        }
    }

    fn rows(&self, vectors: &[f32], pieces: &[Piece], dataset: &Dataset) -> Result<RecordBatch> {
        let mut lists = ListBuilder::new(Float32Builder::new());
        for vector in vectors.chunks(self.point.width.max(1) as usize) {
            lists.values().append_slice(vector);
            lists.append(true);
        }
        let ids: StringArray = pieces.iter().map(|piece| Some(&*dataset.ids[piece.document])).collect();
        let field = match self.point.rows {
            RowsOf::Tokens { field } => field,
            RowsOf::Documents => 0,
        };
        let tokens: UInt64Array = pieces
            .iter()
            .map(|piece| dataset.fields[field].tokens(piece.document))
            .collect();
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("id", Arc::new(ids), false),
            ("tokens", Arc::new(tokens), false),
            ("embedding", Arc::new(lists.finish()), false),
        ];
        RecordBatch::try_from_iter_with_nullable(columns)
            .map_err(|error| RunError::run(Diagnostic::error(error.to_string())))
    }
}

impl Stage for Embed {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &self.ids
    }

    fn whole(&self) -> bool {
        true
    }

    fn attach(&mut self, dataset: &Arc<Dataset>) {
        if self.format == VectorFormat::Safetensors {
            let rows = (0..=dataset.len() as u64).collect();
            let series = Series {
                name: "embedding".into(),
                dtype: DType::F32,
                width: self.point.width,
                rows,
            };
            let files = TensorFiles::new(&self.name, "embeddings", vec![series], dataset, u64::MAX);
            self.sink = Some(Sink::Tensors(files));
        }
    }

    fn has_rows(&self) -> bool {
        self.format != VectorFormat::Safetensors
    }

    fn cost(&self) -> StageCost {
        // The values in f32, and the vectors three times on their way into a table.
        StageCost {
            fixed: Table::BUFFER_BYTES,
            per_row: 16 * self.point.width,
            per_chunk_row: 0,
        }
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.format != VectorFormat::Safetensors {
            let schema = self.rows(&[], &[], context.dataset)?.schema();
            let jsonl = self.format == VectorFormat::Jsonl;
            self.sink = Some(Sink::Table(context.table(&self.name, &self.file(), jsonl, schema)?));
        }
        Ok(())
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, context: &mut Context<'_>) -> Result<()> {
        let failed = |error: sli_torch::TensorError| kernel(&self.name, &error);
        let pooled = self.pool(arrival).map_err(failed)?;
        let vectors = pooled.to_f32_vec().map_err(failed)?;
        self.documents += arrival.pieces.len() as u64;
        let rows = match &self.sink {
            Some(Sink::Table(_)) => Some(self.rows(&vectors, arrival.pieces, context.dataset)?),
            _ => None,
        };
        match (&mut self.sink, rows) {
            (Some(Sink::Table(table)), Some(rows)) => table.write(&rows),
            (Some(Sink::Tensors(files)), _) => {
                let one = |piece: &Piece| Piece {
                    document: piece.document,
                    first: 0,
                    at: 0,
                    len: 1,
                };
                let pieces: Vec<Piece> = arrival.pieces.iter().map(one).collect();
                let bytes = pooled
                    .to_bytes(DType::F32)
                    .map_err(|error| kernel(&self.name, &error))?;
                files.write(0, &pieces, &bytes, context)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Result<Json> {
        match self.sink.take() {
            Some(Sink::Table(table)) => {
                let finished = table.finish()?;
                context.dir.complete(&self.file(), &self.name, "embeddings", finished);
            }
            Some(Sink::Tensors(files)) => super::capture::complete(&self.name, &files)?,
            None => {}
        }
        let (pooling, normalized) = (self.pooling.as_str(), self.normalize);
        let (documents, width) = (self.documents, self.point.width);
        Ok(
            json!({ "documents": documents, "width": width, "point": self.point.name, "pooling": pooling, "normalized": normalized }),
        )
    }
}
