//! `logits`: next-token logits to safetensors shards, all of them or the largest of each token.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use sli_config::Diagnostic;
use sli_config::pipeline::LogitsStage;
use sli_model::DType;

use super::capture::complete;
use super::tensors::{TensorFiles, series};
use super::{Arrival, Context, Model, Stage, kernel, stored};
use crate::data::Dataset;
use crate::error::Result;
use crate::plan::StageCost;
use crate::points::{Point, PointId};

/// The stage.
pub(super) struct Logits {
    name: String,
    ids: [PointId; 1],
    point: Point,
    top_k: Option<u64>,
    dtype: DType,
    limit: u64,
    files: Option<TensorFiles>,
}

impl Logits {
    /// The stage, or why the model has no such logits.
    pub(super) fn new(
        name: String,
        options: &LogitsStage,
        model: &Model<'_>,
    ) -> std::result::Result<Logits, Vec<Diagnostic>> {
        let id = model.points.named(&options.point).map_err(|error| vec![error])?;
        let point = model.points.get(id).clone();
        let top_k = options.top_k.map(u64::from);
        if let Some(k) = top_k.filter(|k| *k > point.width) {
            let message = format!(
                "`top_k` is {k}, but `{}` has {} values a token",
                point.name, point.width
            );
            return Err(vec![
                Diagnostic::error(message)
                    .primary(options.point.label(""))
                    .help("choose a smaller `top_k`"),
            ]);
        }
        let (dtype, limit) = (stored(options.dtype), options.shard_size.0);
        Ok(Logits {
            name,
            ids: [id],
            point,
            top_k,
            dtype,
            limit,
            files: None,
        })
    }
}

impl Stage for Logits {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &self.ids
    }

    fn attach(&mut self, dataset: &Arc<Dataset>) {
        let name = &self.point.name;
        let series = match self.top_k {
            None => vec![series(&self.point, name.clone(), self.point.width, self.dtype, dataset)],
            Some(k) => vec![
                series(&self.point, format!("{name}.values"), k, self.dtype, dataset),
                series(&self.point, format!("{name}.indices"), k, DType::I32, dataset),
            ],
        };
        self.files = Some(TensorFiles::new(&self.name, "tensors", series, dataset, self.limit));
    }

    fn cost(&self) -> StageCost {
        // All: the bytes and what they are copied from. Largest: values and i64 indices, and what sorting needs.
        let per_chunk_row = match self.top_k {
            None => 2 * self.point.width * self.dtype.size() as u64,
            Some(k) => 4 * self.point.width + 32 * k,
        };
        StageCost {
            fixed: 0,
            per_row: 0,
            per_chunk_row,
        }
    }

    fn write_bytes(&self) -> u64 {
        self.files.as_ref().map_or(0, TensorFiles::bytes)
    }

    fn begin(&mut self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, context: &mut Context<'_>) -> Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let failed = |error: sli_torch::TensorError| kernel(&self.name, &error);
        let Some(k) = self.top_k else {
            let bytes = arrival.tensor.to_bytes(self.dtype).map_err(failed)?;
            return files.write(0, arrival.pieces, &bytes, context);
        };
        let (values, indices) = sli_torch::score::top_k(arrival.tensor, k).map_err(failed)?;
        files.write(
            0,
            arrival.pieces,
            &values.to_bytes(self.dtype).map_err(failed)?,
            context,
        )?;
        files.write(
            1,
            arrival.pieces,
            &indices.to_bytes(DType::I32).map_err(failed)?,
            context,
        )
    }

    fn finish(&mut self, _: &mut Context<'_>) -> Result<Json> {
        let Some(files) = self.files.take() else {
            return Ok(Json::Null);
        };
        complete(&self.name, &files)?;
        Ok(json!({ "top_k": self.top_k, "bytes": files.bytes(), "files": files.files() }))
    }
}
