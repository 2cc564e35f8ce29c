//! Stages: consumers of the values of a sweep.
//!
//! All stages of a pipeline are fed by the same sweep; a value that several of them want is made once. A stage
//! says which points it wants, takes their rows as they come, and writes what it makes of them.

mod capture;
mod causal;
mod embed;
mod logits;
mod profile;
mod score;
mod tensors;

use std::sync::Arc;

use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_config::pipeline::{Stage as StageSection, StageKind, StoredDtype};
use sli_model::{DType, ModelPlan};
use sli_torch::Tensor;

use crate::data::Dataset;
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::points::{Point, PointId, Points};
use crate::rundir::RunDir;
use crate::units::Unit;

/// Rows of one document in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which document.
    pub(crate) document: usize,
    /// The first of its rows that is there.
    pub(crate) first: u64,
    /// Where that row is in the tensor.
    pub(crate) at: u64,
    /// How many rows.
    pub(crate) len: u64,
}

/// A value that comes by: some rows of a point.
pub(crate) struct Arrival<'a> {
    /// Which point.
    pub(crate) id: PointId,
    /// What is known of it.
    pub(crate) point: &'a Point,
    /// Its rows, `[n, width]`.
    pub(crate) tensor: &'a Tensor,
    /// Whose rows they are, in order.
    pub(crate) pieces: &'a [Piece],
    /// The input of the layer, `[n, width]`, for outputs of layers.
    pub(crate) before: Option<&'a Tensor>,
}

/// What a stage may use while it works.
pub(crate) struct Context<'a> {
    /// The documents.
    pub(crate) dataset: &'a Arc<Dataset>,
    /// Where results go.
    pub(crate) dir: &'a mut RunDir,
}

/// A consumer of values.
pub(crate) trait Stage {
    /// Its name in the pipeline.
    fn name(&self) -> &str;

    /// The points it wants.
    fn points(&self) -> &[PointId];

    /// Whether it needs all rows of a document at once.
    fn whole(&self) -> bool {
        false
    }

    /// Learns the documents; before planning.
    fn attach(&mut self, _dataset: &Arc<Dataset>) {}

    /// What it holds in memory.
    fn cost(&self) -> StageCost;

    /// Bytes of tensors it will write.
    fn write_bytes(&self) -> u64 {
        0
    }

    /// Opens its outputs.
    fn begin(&mut self, context: &mut Context<'_>) -> Result<()>;

    /// Takes rows of a point. Documents come in order, and so do the rows of a document.
    fn arrive(&mut self, arrival: &Arrival<'_>, context: &mut Context<'_>) -> Result<()>;

    /// Completes its outputs and says in a few numbers what came out.
    fn finish(&mut self, context: &mut Context<'_>) -> Result<Json>;
}

/// The stages of a pipeline, in its order.
pub(crate) type Stages = Vec<Box<dyn Stage>>;

/// What stages are made from.
pub(crate) struct Model<'a> {
    /// The plan.
    pub(crate) plan: &'a ModelPlan,
    /// Its units.
    pub(crate) units: &'a [Unit<'a>],
    /// Its points.
    pub(crate) points: &'a Points,
}

/// The stages of a pipeline, and warnings about them.
///
/// # Errors
/// Everything that is wrong with all of them: names that no value has, a score of a model that is not causal.
pub(crate) fn build(sections: &[StageSection], model: &Model<'_>) -> Result<(Stages, Vec<Diagnostic>)> {
    let (mut stages, mut warnings, mut errors) = (Stages::new(), Vec::new(), Vec::new());
    for section in sections {
        let name = section.name.value.clone();
        let made: std::result::Result<Box<dyn Stage>, Vec<Diagnostic>> = match &section.kind {
            StageKind::Score(options) => score::Score::new(section, options, model).map(|stage| Box::new(stage) as _),
            StageKind::Capture(options) => {
                capture::Capture::new(name, options, model, &mut warnings).map(|stage| Box::new(stage) as _)
            }
            StageKind::Profile(options) => {
                profile::Profile::new(name, options, model, &mut warnings).map(|stage| Box::new(stage) as _)
            }
            StageKind::Embed(options) => embed::Embed::new(name, options, model).map(|stage| Box::new(stage) as _),
            StageKind::Logits(options) => logits::Logits::new(name, options, model).map(|stage| Box::new(stage) as _),
            StageKind::Plugin(options) => {
                let message = format!("the plugin `{}` is not loaded", options.plugin.value);
                Err(vec![Diagnostic::error(message).primary(options.plugin.label(""))])
            }
        };
        match made {
            Ok(stage) => stages.push(stage),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() {
        Ok((stages, warnings))
    } else {
        Err(RunError::inputs(errors))
    }
}

/// The element type that a pipeline's word means.
fn stored(dtype: StoredDtype) -> DType {
    match dtype {
        StoredDtype::F32 => DType::F32,
        StoredDtype::Bf16 => DType::BF16,
        StoredDtype::F16 => DType::F16,
    }
}

/// A kernel failed.
pub(crate) fn kernel(stage: &str, error: &sli_torch::TensorError) -> RunError {
    RunError::run(Diagnostic::error(format!("the stage `{stage}` failed: {error}")))
}
