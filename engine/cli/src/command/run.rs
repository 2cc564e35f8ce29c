//! `sli-pipe run PIPELINE`.

mod watched;

use std::sync::Arc;

use serde_json::json;
use sli_runtime::Finished;

use crate::args::RunArgs;
use crate::failure::Outcome;
use crate::output::{print, print_json};
use crate::plugins::Tapped;
use crate::prepare::prepare;
use crate::progress::Progress;
use crate::summary::summary;

/// Runs the pipeline and says what came out.
pub(crate) fn run(args: &RunArgs, logs: bool) -> Outcome {
    let progress = Arc::new(Progress::new(logs));
    if args.watch {
        let finished = watched::run(&args.pipeline, &progress);
        progress.end();
        return tell(&finished?, args.pipeline.json);
    }
    let prepared = prepare(&args.pipeline, &*progress).inspect_err(|_| progress.end())?;
    let observer = Tapped::new(&progress, prepared.plugins);
    // Up to here nothing has been written, and Ctrl-C may end the process as ever.
    let shown = Arc::clone(&progress);
    let cancel = crate::interrupt::flag(move |text| shown.say(text));
    let finished = prepared.run.execute(&observer, &cancel);
    progress.end();
    observer.drain();
    tell(&finished?, args.pipeline.json)
}

fn tell(finished: &Finished, json: bool) -> Outcome {
    if json {
        return print_json(&json!({ "dir": finished.dir, "report": finished.report, "outputs": finished.outputs }));
    }
    print(&summary(&finished.report, &finished.outputs, &finished.dir))
}
