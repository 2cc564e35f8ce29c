//! Files that are edited while the program runs: what is watched, what an edit changes, and samples of the result.

mod pipelines;
mod samples;
mod session;

use sli_watch::Target;

pub(crate) use samples::{Sample, Sampler, Size};
pub(crate) use session::{Edit, Session, State, computes_the_same};

use crate::args::PipelineArgs;

/// How the names of files end that say something about a run.
const ENDINGS: &[&str] = &["toml", "wasm"];

/// The pipeline, and every folder that families come from.
pub(crate) fn targets(args: &PipelineArgs) -> Vec<Target> {
    let folders = crate::families::usual_folders().chain(args.families.dirs.iter().cloned());
    std::iter::once(Target::file(&args.pipeline))
        .chain(folders.map(|folder| Target::folder(folder, ENDINGS)))
        .collect()
}
