//! From the arguments of `run` and `plan` to a run that is checked and planned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sli_checkpoint::Checkpoint;
use sli_config::{Diagnostic, Pipeline, parse_pipeline};
use sli_family::{Family, Registry};
use sli_plugin::Plugin;
use sli_runtime::{Observer, Run, Setup, require_binding};

use crate::args::{FamilyDirs, PipelineArgs};
use crate::command::check::read;
use crate::failure::{Failure, Outcome};
use crate::plugins::{Granted, Plugins};

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
    let source = read(&args.pipeline).map_err(Failure::input)?;
    let source = Source {
        pipeline: parse_pipeline(source, &args.overrides)?,
        base: args.pipeline.parent().unwrap_or(Path::new("")),
        families: &args.families,
    };
    prepare_pipeline(source, observer)
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
    let Source {
        pipeline,
        base,
        families,
    } = source;
    let (found, granted) = (Plugins::find(families)?, Granted::by_pipeline(&pipeline, base)?);
    let mut registry = crate::families::descriptors(families)?;
    let mut used = found.register(&mut registry, &granted)?;
    let (stages, more) = found.stages(&pipeline, &granted)?;
    used.extend(more);
    let checkpoint = open(&pipeline, base)?;
    let family = family(&registry, &pipeline, &checkpoint)?;
    tracing::info!(family = family.id(), model = %checkpoint.dir().display(), "opened the model");
    let plan = registry.plan(&*family, checkpoint.config())?;
    let (report, binding) = require_binding(&plan, &checkpoint)?;
    tracing::info!(tensors = report.bound, "every tensor is bound");
    let setup = Setup {
        pipeline: &pipeline,
        base,
        checkpoint: Arc::new(checkpoint),
        plan,
        binding,
        descriptor: family.fingerprint(),
        plugins: stages,
    };
    let run = Run::prepare(setup, observer)?;
    Ok(Prepared {
        run,
        name: pipeline.name,
        dir: PathBuf::from(pipeline.output.dir.value),
        plugins: used,
    })
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
