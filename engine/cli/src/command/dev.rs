//! `sli-pipe dev PIPELINE`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sli_config::Diagnostic;
use sli_runtime::Report;
use sli_watch::{Change, Options, Watcher};

use crate::args::DevArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{count, many, seconds};
use crate::output::{print, say, show};
use crate::prepare::Loaded;
use crate::summary;
use crate::watch::{Edit, Sample, Sampler, Session, Size, targets};

/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);

/// Most numbers of a sample that are shown beside those of the sample before.
const NUMBERS: usize = 8;

/// Loads the pipeline, runs a sample, and does so again at each edit, until Ctrl-C.
pub(crate) fn dev(args: &DevArgs) -> Outcome {
    let cancel = crate::interrupt::flag(|_| ());
    let folder = tempfile::Builder::new()
        .prefix("sli-pipe-dev-")
        .tempdir()
        .map_err(Failure::from)?;
    let watched = targets(&args.pipeline);
    let watcher = Watcher::start(watched, Options::default()).map_err(Failure::from)?;
    let told = Told {
        json: args.pipeline.json,
    };
    told.watching(&watcher)?;
    let size = Size {
        rows: args.rows,
        tokens: args.tokens,
    };
    let mut sampler = match args.no_run {
        true => None,
        false => Some(Sampler::start(size, folder.path(), Arc::clone(&cancel)).map_err(Failure::from)?),
    };
    let never = crossbeam_channel::never();
    let mut session = Session::new(&args.pipeline);
    let started = Instant::now();
    let mut edit = session.load(&[]);
    told.loaded(&edit, started)?;
    loop {
        if edit.changes_results()
            && let (Some(state), Some(sampler)) = (edit.state.take(), &mut sampler)
        {
            sampler.want(state);
        }
        edit.state = None;
        while !cancel.load(Ordering::SeqCst) {
            let results = sampler.as_ref().map_or(&never, Sampler::results);
            crossbeam_channel::select! {
                recv(watcher.changes()) -> change => {
                    let Ok(change) = change else { return Err(ended("watches")) };
                    told.changed(&change)?;
                    edit = session.load(&change.files);
                    told.loaded(&edit, change.seen)?;
                    break;
                }
                recv(results) -> sample => {
                    let Ok(sample) = sample else { return Err(ended("runs samples")) };
                    let changes = sampler.as_mut().map_or_else(Vec::new, |sampler| sampler.done(&sample));
                    told.sampled(&sample, &changes)?;
                }
                default(TICK) => {}
            }
        }
        if cancel.load(Ordering::SeqCst) {
            return told.ended();
        }
    }
}

fn ended(what: &str) -> Failure {
    Failure::Run(vec![Diagnostic::error(format!("the thread that {what} has ended"))])
}

/// Says what happens: in words, or as one JSON object a line.
struct Told {
    json: bool,
}

impl Told {
    fn event(&self, value: &Value, text: impl FnOnce() -> String) -> Outcome {
        match self.json {
            true => print(&format!("{value}\n")),
            false => print(&text()),
        }
    }

    fn watching(&self, watcher: &Watcher) -> Outcome {
        match watcher.refused() {
            Some(reason) if !self.json => say(&format!(
                "the system tells of no changes ({reason}), so the files are looked at every moment\n"
            )),
            _ => {}
        }
        match self.json {
            true => print(&format!(
                "{}\n",
                json!({ "event": "watching", "polling": watcher.refused() })
            )),
            false => Ok(()),
        }
    }

    fn changed(&self, change: &Change) -> Outcome {
        let files: Vec<Value> = change
            .files
            .iter()
            .map(|file| json!({ "path": file.path, "how": file.how.as_str() }))
            .collect();
        self.event(&json!({ "event": "changed", "files": files }), || {
            let names = change
                .files
                .iter()
                .map(|file| format!("{} {}", file.path.display(), file.how.as_str()));
            format!("\n{}\n", names.collect::<Vec<_>>().join(", "))
        })
    }

    /// What came of loading, and how long it took since `seen`.
    fn loaded(&self, edit: &Edit, seen: Instant) -> Outcome {
        let ms = edit.at.saturating_duration_since(seen).as_secs_f64() * 1e3;
        if !self.json {
            show(&edit.diagnostics);
        }
        let Some(state) = &edit.state else {
            let value = json!({
                "event": "broken", "diagnostics": edit.diagnostics, "problems": edit.problems, "ms": ms,
            });
            return self.event(&value, || match edit.problems {
                problems if edit.diagnostics.is_empty() => {
                    format!("still broken: {}\n", many(problems as u64, "problem"))
                }
                _ => "what was loaded before stays until this is mended\n".to_owned(),
            });
        };
        let value = json!({
            "event": "live", "number": state.number, "mended": edit.mended, "ms": ms, "pipeline": edit.pipeline,
            "plan": edit.plan, "families": edit.families, "diagnostics": edit.diagnostics,
            "problems": edit.problems, "fingerprint": state.state.fingerprint,
        });
        self.event(&value, || live(edit, &state.state, ms))
    }

    fn sampled(&self, sample: &Sample, changes: &[String]) -> Outcome {
        for message in &sample.messages {
            say(&format!("{message}\n"));
        }
        let report = match &sample.result {
            Ok(report) => report,
            Err(diagnostics) => {
                if !self.json {
                    show(diagnostics);
                }
                let value = json!({ "event": "sample", "number": sample.number, "diagnostics": diagnostics });
                return self.event(&value, || "the sample could not be run\n".to_owned());
            }
        };
        let value = json!({
            "event": "sample", "number": sample.number, "stages": report.stages, "changes": changes,
            "seconds": report.time.total_seconds, "tokens": report.data.tokens,
        });
        self.event(&value, || sampled(report, changes))
    }

    fn ended(&self) -> Outcome {
        self.event(&json!({ "event": "ended" }), || "\nended\n".to_owned())
    }
}

fn live(edit: &Edit, loaded: &Loaded, ms: f64) -> String {
    let mut text = String::new();
    match (edit.mended, edit.problems) {
        (true, _) => text += "mended\n",
        (false, 0) => {}
        (false, problems) => {
            text += &format!(
                "{} in families and plugins that the pipeline does not use\n",
                many(problems as u64, "problem")
            );
        }
    }
    for id in &edit.families {
        text += &format!("`{id}` is known\n");
    }
    for change in &edit.pipeline {
        text += &format!("  {change}\n");
    }
    match &edit.plan {
        None => text += &format!("{}\n", overview(loaded)),
        Some(plan) => plan.to_string().lines().for_each(|line| text += &format!("  {line}\n")),
    }
    format!("{text}live in {ms:.0} ms\n")
}

/// `llama: decoder of 22 layers, 201 tensors`.
fn overview(loaded: &Loaded) -> String {
    let stacks = loaded.plan.stacks.iter();
    let stacks: Vec<String> = stacks
        .map(|stack| format!("{} of {}", stack.name, many(stack.layers.len() as u64, "layer")))
        .collect();
    let tensors = many(loaded.checkpoint.tensors().len() as u64, "tensor");
    format!("{}: {}, {tensors}", loaded.plan.family, stacks.join(", "))
}

fn sampled(report: &Report, changes: &[String]) -> String {
    let mut text = format!(
        "sample: {}, {} in {}\n",
        many(report.data.documents, "document"),
        many(report.data.tokens, "token"),
        seconds(report.time.total_seconds)
    );
    for (name, found) in &report.stages {
        if let Some(line) = summary::stage(found) {
            text += &format!("  {name}: {line}\n");
        }
    }
    for change in changes.iter().take(NUMBERS) {
        text += &format!("  {change}\n");
    }
    if changes.len() > NUMBERS {
        text += &format!(
            "  and {} more numbers changed\n",
            count((changes.len() - NUMBERS) as u64)
        );
    }
    text
}
