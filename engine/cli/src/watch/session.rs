//! A pipeline and its families, loaded again at each edit.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sli_config::Diagnostic;
use sli_model::diff::{PlanDiff, bound_diff, plan_diff};
use sli_watch::{FileChange, How, Live, Offered, Snapshot};

use super::pipelines::differences;
use crate::args::PipelineArgs;
use crate::plugins::Sources;
use crate::prepare::{Loaded, load, read_pipeline};

/// What is loaded.
pub(crate) type State = Arc<Snapshot<Loaded>>;

/// The pipeline of a command line, as its files say it now.
pub(crate) struct Session<'a> {
    args: &'a PipelineArgs,
    live: Live<Loaded>,
    /// Families and plugins that were edited, whether the pipeline uses them or not.
    edited: BTreeSet<String>,
    /// What is wrong with them.
    families: Live<()>,
}

/// What came of an edit.
pub(crate) struct Edit {
    /// The state, if the pipeline can be run as the files are now.
    pub(crate) state: Option<State>,
    /// Something was wrong before with the pipeline, or with families that it does not use, and now nothing is.
    pub(crate) mended: bool,
    /// What is wrong and has not been said before: with the pipeline, then with families that it does not use.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// How many things are wrong.
    pub(crate) problems: usize,
    /// Keys of the pipeline that have other values.
    pub(crate) pipeline: Vec<String>,
    /// What changed in the plan of the model; nothing if there was none before.
    pub(crate) plan: Option<PlanDiff>,
    /// Families and plugins that are new and whole.
    pub(crate) families: Vec<String>,
    /// When the state was there for others to use.
    pub(crate) at: Instant,
}

impl Edit {
    /// Whether anything is computed that was not before: another plan, other weights, another pipeline.
    pub(crate) fn changes_results(&self) -> bool {
        self.state.is_some() && (!self.pipeline.is_empty() || self.plan.as_ref().is_none_or(|plan| !plan.is_empty()))
    }
}

impl<'a> Session<'a> {
    /// Nothing is loaded yet.
    pub(crate) fn new(args: &'a PipelineArgs) -> Session<'a> {
        Session {
            args,
            live: Live::new(),
            edited: BTreeSet::new(),
            families: Live::new(),
        }
    }

    /// Loads everything anew. The last state that was whole stays where something is wrong.
    pub(crate) fn load(&mut self, files: &[FileChange]) -> Edit {
        self.edited.extend(files.iter().filter_map(|file| id_of(&file.path)));
        let pipeline = read_pipeline(self.args);
        let sources = Sources::find(
            &self.args.families,
            pipeline.as_ref().ok().map(|(pipeline, base)| (pipeline, *base)),
        )
        .map(Arc::new);
        let broken = sources
            .as_ref()
            .map_or_else(|_| Vec::new(), |sources| self.broken(sources));
        let (families, new) = (self.families.offer(none(broken)), added(files, sources.as_deref().ok()));
        let loaded = pipeline.and_then(|(pipeline, base)| load(sources?, pipeline, base));
        let offered = self
            .live
            .offer(loaded.map_err(crate::failure::Failure::into_diagnostics));
        let at = Instant::now();
        let mut edit = edit(offered, new, at);
        match families {
            Offered::Taken { mended, .. } => edit.mended |= mended && edit.state.is_some(),
            Offered::Broken { new, all, .. } => {
                // What is wrong with the family of the pipeline has been said.
                let said = self.live.problems();
                edit.diagnostics
                    .extend(new.into_iter().filter(|problem| !said.contains(problem)));
                edit.problems += all;
            }
        }
        edit
    }

    /// What is wrong with families and plugins that were edited.
    fn broken(&self, sources: &Sources) -> Vec<Diagnostic> {
        let registry = &sources.registry;
        let known = self.edited.iter().filter(|id| registry.file(id).is_some());
        let families = known.filter_map(|id| registry.get(id).err()).flatten();
        let plugins = self
            .edited
            .iter()
            .filter_map(|id| sources.plugins.problems(id))
            .flatten()
            .cloned();
        let mut broken: Vec<Diagnostic> = Vec::new();
        for problem in families.chain(plugins) {
            if !broken.contains(&problem) {
                broken.push(problem);
            }
        }
        broken
    }
}

fn none(problems: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The id of the family or plugin that a file is; parts that families share have none.
fn id_of(path: &Path) -> Option<String> {
    let shared = path.parent().is_some_and(|folder| folder.ends_with("std"));
    let is_one = path
        .extension()
        .is_some_and(|ending| ending == "toml" || ending == "wasm");
    let stem = path.file_stem()?.to_str()?.to_owned();
    (is_one && !shared).then_some(stem)
}

/// Families and plugins of new files that nothing is wrong with.
fn added(files: &[FileChange], sources: Option<&Sources>) -> Vec<String> {
    let Some(sources) = sources else {
        return Vec::new();
    };
    let new = files.iter().filter(|file| file.how == How::Added);
    let ids = new.filter_map(|file| id_of(&file.path));
    ids.filter(|id| sources.registry.get(id).is_ok() || sources.plugins.get(id).is_ok())
        .collect()
}

fn edit(offered: Offered<Loaded>, families: Vec<String>, at: Instant) -> Edit {
    match offered {
        Offered::Taken { old, new, mended } => {
            let old = old.as_deref().map(|old| &old.state);
            Edit {
                pipeline: old.map_or_else(Vec::new, |old| changes(old, &new.state)),
                plan: old.map(|old| difference(old, &new.state)),
                state: Some(new),
                mended,
                diagnostics: Vec::new(),
                problems: 0,
                families,
                at,
            }
        }
        Offered::Broken { new, all, .. } => Edit {
            state: None,
            mended: false,
            diagnostics: new,
            problems: all,
            pipeline: Vec::new(),
            plan: None,
            families,
            at,
        },
    }
}

/// Whether two loaded pipelines come to the same results.
pub(crate) fn computes_the_same(old: &Loaded, new: &Loaded) -> bool {
    changes(old, new).is_empty() && difference(old, new).is_empty()
}

/// Keys of the pipeline that have other values, and stages whose plugins have other code.
fn changes(old: &Loaded, new: &Loaded) -> Vec<String> {
    let mut changes = differences(&old.pipeline, &new.pipeline);
    let other = |stage: &&String| old.code.get(*stage).is_some_and(|digest| *digest != new.code[*stage]);
    let stages = new.code.keys().filter(other);
    changes.extend(stages.map(|stage| format!("the plugin of the stage `{stage}` has other code")));
    changes
}

/// In which two loaded models differ. Tensors are numbered by their checkpoint, so those of two cannot be compared.
fn difference(old: &Loaded, new: &Loaded) -> PlanDiff {
    let (a, b) = (old.checkpoint.tensors(), new.checkpoint.tensors());
    let names =
        |tensors: &[sli_checkpoint::TensorEntry]| tensors.iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
    if old.checkpoint.dir() == new.checkpoint.dir() && names(a) == names(b) {
        let name = |tensor: u32| {
            b.get(tensor as usize)
                .map_or_else(String::new, |tensor| tensor.name.clone())
        };
        bound_diff((&old.plan, &old.binding), (&new.plan, &new.binding), &name)
    } else {
        let mut diff = plan_diff(&old.plan, &new.plan);
        diff.bound
            .push(format!("the model is now that in `{}`", new.checkpoint.dir().display()));
        diff
    }
}
