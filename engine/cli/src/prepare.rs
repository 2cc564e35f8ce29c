//! From the arguments of `run` and `plan` to a run that is checked and planned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sli_checkpoint::Checkpoint;
use sli_config::{Diagnostic, Pipeline, parse_pipeline};
use sli_family::{Family, Registry};
use sli_model::ModelPlan;
use sli_model::bind::Binding;
use sli_plugin::Plugin;
use sli_runtime::{Observer, Run, Setup, require_binding};

use crate::args::{FamilyDirs, PipelineArgs};
use crate::command::check::read;
use crate::failure::{Failure, Outcome};
use crate::plugins::Sources;

/// A run and where it will write.
pub(crate) struct Prepared {
    /// The run.
    pub(crate) run: Run,
    /// Name of the pipeline.
    pub(crate) name: String,
    /// The run directory.
    pub(crate) dir: PathBuf,
    /// The plugins that it may call.
    pub(crate) plugins: Vec<Plugin>,
}

/// Reads the pipeline, opens the model, applies its family, reads the documents and plans.
///
/// # Errors
/// Whatever is wrong with any of these; nothing has been written then.
pub(crate) fn prepare(args: &PipelineArgs, observer: &dyn Observer) -> Outcome<Prepared> {
    let (pipeline, base) = read_pipeline(args)?;
    let families = &args.families;
    prepare_pipeline(
        Source {
            pipeline,
            base,
            families,
        },
        observer,
    )
}

/// Reads the pipeline; the folder that its paths are relative to.
///
/// # Errors
/// A file that cannot be read, and whatever is wrong with it and the overrides.
pub(crate) fn read_pipeline(args: &PipelineArgs) -> Outcome<(Pipeline, &Path)> {
    let source = read(&args.pipeline).map_err(Failure::input)?;
    let pipeline = parse_pipeline(source, &args.overrides)?;
    Ok((pipeline, args.pipeline.parent().unwrap_or(Path::new(""))))
}

/// A pipeline, the folder that its paths are relative to, and where families come from.
pub(crate) struct Source<'a> {
    /// The pipeline.
    pub(crate) pipeline: Pipeline,
    /// The folder.
    pub(crate) base: &'a Path,
    /// Folders of families.
    pub(crate) families: &'a FamilyDirs,
}

/// [`prepare`] of a pipeline that is read already.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn prepare_pipeline(source: Source<'_>, observer: &dyn Observer) -> Outcome<Prepared> {
    let sources = Sources::find(source.families, Some((&source.pipeline, source.base)))?;
    load(Arc::new(sources), source.pipeline, source.base)?.prepare(observer)
}

/// A pipeline whose model is opened, planned and bound: all that the user's files say. No document is read yet.
pub(crate) struct Loaded {
    /// The pipeline.
    pub(crate) pipeline: Pipeline,
    /// The folder that its paths are relative to.
    pub(crate) base: PathBuf,
    /// The model's files.
    pub(crate) checkpoint: Arc<Checkpoint>,
    /// Its plan.
    pub(crate) plan: ModelPlan,
    /// The plan tied to the model's tensors.
    pub(crate) binding: Binding,
    /// Fingerprint of the family.
    pub(crate) fingerprint: String,
    /// Digest of the code of each stage that is a plugin.
    pub(crate) code: BTreeMap<String, String>,
    /// Where families and plugins come from.
    sources: Arc<Sources>,
}

/// Opens the model, applies its family and binds the plan; looks at the plugins that are stages.
///
/// # Errors
/// Whatever is wrong with any of these.
pub(crate) fn load(sources: Arc<Sources>, pipeline: Pipeline, base: &Path) -> Outcome<Loaded> {
    let registry = &sources.registry;
    let (stages, _) = sources.stages(&pipeline)?;
    let code = stages
        .into_iter()
        .map(|(stage, plugin)| (stage, plugin.digest))
        .collect();
    let checkpoint = open(&pipeline, base)?;
    let family = family(registry, &pipeline, &checkpoint)?;
    tracing::info!(family = family.id(), model = %checkpoint.dir().display(), "opened the model");
    let plan = registry.plan(&*family, checkpoint.config())?;
    let (report, binding) = require_binding(&plan, &checkpoint)?;
    tracing::info!(tensors = report.bound, "every tensor is bound");
    Ok(Loaded {
        pipeline,
        base: base.to_owned(),
        checkpoint: Arc::new(checkpoint),
        plan,
        binding,
        fingerprint: family.fingerprint(),
        code,
        sources,
    })
}

impl Loaded {
    /// The same model with another pipeline.
    pub(crate) fn with_pipeline(&self, pipeline: Pipeline) -> Loaded {
        Loaded {
            pipeline,
            base: self.base.clone(),
            checkpoint: Arc::clone(&self.checkpoint),
            plan: self.plan.clone(),
            binding: self.binding.clone(),
            fingerprint: self.fingerprint.clone(),
            code: self.code.clone(),
            sources: Arc::clone(&self.sources),
        }
    }

    /// Reads the documents and plans the run.
    ///
    /// # Errors
    /// Whatever is wrong with the stages, the documents or the budget; nothing has been written then.
    pub(crate) fn prepare(self, observer: &dyn Observer) -> Outcome<Prepared> {
        let (stages, used) = self.sources.stages(&self.pipeline)?;
        let plugins = self.sources.used.iter().cloned().chain(used).collect();
        let setup = Setup {
            pipeline: &self.pipeline,
            base: &self.base,
            checkpoint: self.checkpoint,
            plan: self.plan,
            binding: self.binding,
            descriptor: self.fingerprint,
            plugins: stages,
        };
        let run = Run::prepare(setup, observer)?;
        Ok(Prepared {
            run,
            name: self.pipeline.name,
            dir: PathBuf::from(self.pipeline.output.dir.value),
            plugins,
        })
    }
}

/// The model's files, or what is wrong with them, beside the `source` that names them.
fn open(pipeline: &Pipeline, base: &Path) -> Outcome<Checkpoint> {
    let source = &pipeline.model.source;
    Checkpoint::open_source(source, base).map_err(|error| {
        let diagnostic = Diagnostic::error(error.to_string());
        Failure::input(diagnostic.primary(source.label("the model is named here")))
    })
}

/// The family that the pipeline names, else the one that describes the model.
fn family(registry: &Registry, pipeline: &Pipeline, checkpoint: &Checkpoint) -> Outcome<Arc<dyn Family>> {
    let Some(id) = &pipeline.model.family else {
        return Ok(registry.detect(checkpoint.config())?);
    };
    let here = |diagnostic: Diagnostic| match diagnostic.primary {
        Some(_) => diagnostic,
        None => diagnostic.primary(id.label("")),
    };
    registry
        .get(id)
        .map_err(|errors| Failure::Input(errors.into_iter().map(here).collect()))
}
