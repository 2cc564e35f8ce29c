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
    let usual = ["families", "plugins"]
        .into_iter()
        .flat_map(crate::families::usual_folders);
    let given = args.families.dirs.iter().chain(&args.families.plugins).cloned();
    let folders = usual.chain(given);
    std::iter::once(Target::file(&args.pipeline))
        .chain(folders.map(|folder| Target::folder(folder, ENDINGS)))
        .collect()
}
