//! Stages: consumers of the values of a sweep.
//!
//! All stages of a pipeline are fed by the same sweep; a value that several of them want is made once. A stage
//! says which points it wants, takes their rows as they come, and writes what it makes of them.

mod capture;
mod causal;
mod embed;
mod logits;
mod plugin;
mod profile;
mod score;
mod tensors;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_config::pipeline::{PluginStage, Stage as StageSection, StageKind, StoredDtype};
use sli_model::{DType, ModelPlan};
use sli_torch::Tensor;

use crate::data::Dataset;
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::plugins::StagePlugins;
use crate::points::{Point, PointId, Points};
use crate::rundir::RunDir;
use crate::units::Unit;
use crate::write::Table;
use plugin::Made;
pub(crate) use plugin::{SharedFilter, SharedFormatting};

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
    /// Formatters, by the stage whose rows they take.
    pub(crate) formattings: &'a Formattings,
}

impl Context<'_> {
    /// Begins the table `file` of a stage, as JSON lines or as Parquet; its formatters get the rows too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn table(&mut self, stage: &str, file: &str, jsonl: bool, schema: SchemaRef) -> Result<Table> {
        let (out, path) = self.dir.begin(file)?;
        let table = if jsonl {
            Table::jsonl(out, path)
        } else {
            Table::parquet(out, path, Arc::clone(&schema))?
        };
        let formattings = self.formattings.get(stage).map_or(&[][..], Vec::as_slice);
        Ok(table.formatted(formattings, &schema))
    }
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

    /// Whether it writes a table, whose rows a formatter can take.
    fn has_rows(&self) -> bool {
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

/// Formatters, by the stage whose rows they take.
pub(crate) type Formattings = HashMap<String, Vec<SharedFormatting>>;

/// What the `[[stage]]` tables of a pipeline make.
#[derive(Default)]
pub(crate) struct Built {
    /// The stages.
    pub(crate) stages: Stages,
    /// Filters of the source, in their order.
    pub(crate) filters: Vec<SharedFilter>,
    /// Formatters.
    pub(crate) formattings: Formattings,
    /// What does not stop the run.
    pub(crate) warnings: Vec<Diagnostic>,
}

/// What stages are made from.
pub(crate) struct Model<'a> {
    /// The plan.
    pub(crate) plan: &'a ModelPlan,
    /// Its units.
    pub(crate) units: &'a [Unit<'a>],
    /// Its points.
    pub(crate) points: &'a Points,
}

/// The stages of a pipeline, and warnings about them. `plugins` are taken by the stages that they are.
///
/// # Errors
/// Everything that is wrong with all of them: names that no value has, a score of a model that is not causal.
pub(crate) fn build(sections: &[StageSection], model: &Model<'_>, plugins: &mut StagePlugins) -> Result<Built> {
    let (mut built, mut errors) = (Built::default(), Vec::new());
    for section in sections {
        let warnings = &mut built.warnings;
        let name = section.name.value.clone();
        let made: std::result::Result<Box<dyn Stage>, Vec<Diagnostic>> = match &section.kind {
            StageKind::Score(options) => score::Score::new(section, options, model).map(|stage| Box::new(stage) as _),
            StageKind::Capture(options) => {
                capture::Capture::new(name, options, model, warnings).map(|stage| Box::new(stage) as _)
            }
            StageKind::Profile(options) => {
                profile::Profile::new(name, options, model, warnings).map(|stage| Box::new(stage) as _)
            }
            StageKind::Embed(options) => embed::Embed::new(name, options, model).map(|stage| Box::new(stage) as _),
            StageKind::Logits(options) => logits::Logits::new(name, options, model).map(|stage| Box::new(stage) as _),
            StageKind::Plugin(options) => plugin::make(section, options, model, plugins, warnings)
                .and_then(|made| built.place(made, options).map_err(|error| vec![error])),
        };
        match made {
            Ok(stage) => built.stages.push(stage),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() && built.stages.iter().all(|stage| stage.points().is_empty()) {
        let message = "no stage of the pipeline looks at a value of the model, so nothing would be computed";
        errors.push(Diagnostic::error(message).help("add a stage such as `uses = \"score\"`"));
    }
    if errors.is_empty() {
        Ok(built)
    } else {
        Err(RunError::inputs(errors))
    }
}

impl Built {
    /// Puts a plugin where it works: filters before the documents, formatters behind their stage.
    fn place(&mut self, made: Made, options: &PluginStage) -> std::result::Result<Box<dyn Stage>, Diagnostic> {
        match made {
            Made::Stage(stage) => Ok(stage),
            Made::Filter(filter, stage) => {
                self.filters.push(filter);
                Ok(stage)
            }
            Made::Formatter(of, formatting, stage) => {
                let place = |error: Diagnostic| match &options.of {
                    Some(of) => error.primary(of.label("")),
                    None => error,
                };
                let Some(source) = self.stages.iter().find(|stage| stage.name() == of) else {
                    let names: Vec<&str> = self.stages.iter().map(|stage| stage.name()).collect();
                    let message = format!("no stage before this one is called `{of}`");
                    let near = sli_config::suggest(&of, names).map(|near| format!("did you mean `{near}`?"));
                    let error = Diagnostic::error(message).help_opt(near);
                    return Err(place(
                        error.help("a formatter stands behind the stage whose rows it writes"),
                    ));
                };
                if !source.has_rows() {
                    let message = format!("the stage `{of}` writes no rows that could be given another form");
                    let help = "`score`, `profile`, `embed` as a table, and reducers have rows";
                    return Err(place(Diagnostic::error(message).help(help)));
                }
                self.formattings.entry(of).or_default().push(formatting);
                Ok(stage)
            }
        }
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
