//! `capture`: named values to safetensors shards, `<row id>/<point>` each `[tokens, width]`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sli_config::Diagnostic;
use sli_config::pipeline::CaptureStage;
use sli_model::DType;
use sli_model::infer::Kind;

use super::tensors::{TensorFiles, series};
use super::{Arrival, Context, Model, Stage, kernel, stored};
use crate::data::Dataset;
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::points::{Point, PointId};

/// The stage.
pub(super) struct Capture {
    name: String,
    ids: Vec<PointId>,
    points: Vec<Point>,
    /// Place in `points` of each.
    places: HashMap<PointId, usize>,
    dtype: DType,
    limit: u64,
    files: Option<TensorFiles>,
}

impl Capture {
    /// The stage, or what is wrong with its points; patterns that match nothing are `warnings`.
    pub(super) fn new(
        name: String,
        options: &CaptureStage,
        model: &Model<'_>,
        warnings: &mut Vec<Diagnostic>,
    ) -> std::result::Result<Capture, Vec<Diagnostic>> {
        let (ids, found) = model.points.matching(&options.points)?;
        warnings.extend(found);
        let points = ids.iter().map(|id| model.points.get(*id).clone()).collect();
        let places = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let (dtype, limit) = (stored(options.dtype), options.shard_size.0);
        Ok(Capture {
            name,
            ids,
            points,
            places,
            dtype,
            limit,
            files: None,
        })
    }

    fn dtype_of(&self, point: &Point) -> DType {
        // Ids and indices stay whole numbers.
        if point.kind == Kind::Int {
            DType::I64
        } else {
            self.dtype
        }
    }
}

impl Stage for Capture {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &self.ids
    }

    fn attach(&mut self, dataset: &Arc<Dataset>) {
        let series = self
            .points
            .iter()
            .map(|point| series(point, point.name.clone(), point.width, self.dtype_of(point), dataset));
        self.files = Some(TensorFiles::new(
            &self.name,
            "tensors",
            series.collect(),
            dataset,
            self.limit,
        ));
    }

    fn cost(&self) -> StageCost {
        // The bytes and the converted tensor they are copied from, for one point at a time.
        let row = |point: &Point| 2 * point.width * self.dtype_of(point).size() as u64;
        let most = self.points.iter().map(row).max().unwrap_or(0);
        StageCost {
            fixed: 0,
            per_row: most,
            per_chunk_row: most,
        }
    }

    fn write_bytes(&self) -> u64 {
        self.files.as_ref().map_or(0, TensorFiles::bytes)
    }

    fn begin(&mut self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, context: &mut Context<'_>) -> Result<()> {
        let place = self.places[&arrival.id];
        let dtype = self.dtype_of(&self.points[place]);
        let bytes = arrival
            .tensor
            .to_bytes(dtype)
            .map_err(|error| kernel(&self.name, &error))?;
        match &mut self.files {
            Some(files) => files.write(place, arrival.pieces, &bytes, context),
            None => Ok(()),
        }
    }

    fn finish(&mut self, _: &mut Context<'_>) -> Result<Json> {
        let Some(files) = self.files.take() else {
            return Ok(Json::Null);
        };
        complete(&self.name, &files)?;
        Ok(json!({ "points": self.points.len(), "bytes": files.bytes(), "files": files.files() }))
    }
}

/// Fails if a shard lacks tensors.
pub(super) fn complete(stage: &str, files: &TensorFiles) -> Result<()> {
    if files.all_complete() {
        return Ok(());
    }
    let message = format!("the stage `{stage}` did not get all rows of its points; please report this as a defect");
    Err(RunError::run(Diagnostic::error(message)))
}
