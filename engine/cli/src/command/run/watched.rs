//! A run whose files are watched. Its results are of one state: what is computed anew begins from the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, bounded};
use sli_runtime::{Event, Finished, Observer};
use sli_watch::{Options, Watcher};

use crate::args::PipelineArgs;
use crate::failure::{Failure, Outcome};
use crate::plugins::messages;
use crate::progress::Progress;
use crate::watch::{Edit, Session, State, computes_the_same, targets};

/// Runs the pipeline; an edit that changes what is computed ends the run with its sweep and begins it anew.
pub(super) fn run(args: &PipelineArgs, progress: &Arc<Progress>) -> Outcome<Finished> {
    let shown = Arc::clone(progress);
    let cancel = crate::interrupt::flag(move |text| shown.say(text));
    let watcher = Watcher::start(targets(args), Options::default()).map_err(Failure::from)?;
    if let Some(reason) = watcher.refused() {
        progress.say(&format!(
            "the system tells of no changes ({reason}), so the files are looked at every moment\n"
        ));
    }
    let mut session = Session::new(args);
    let first = session.load(&[]);
    let mut state = first.state.ok_or(Failure::Input(first.diagnostics))?;
    loop {
        let observer = Observed {
            progress,
            anew: AtomicBool::new(false),
        };
        let (done, end) = bounded::<()>(0);
        let (result, next) = std::thread::scope(|scope| {
            let checker = scope.spawn(|| check(&mut session, &state, &watcher, &end, &observer));
            let result = execute(&state, &observer, &cancel);
            drop(done);
            (result, checker.join())
        });
        let next = next.map_err(|_| {
            Failure::Run(vec![sli_config::Diagnostic::error(
                "the thread that checks edits failed",
            )])
        })?;
        match (result, next) {
            (Err(Ended::Anew), Some(new)) => {
                progress.say("the run begins anew\n");
                state = new;
            }
            (Err(Ended::Anew), None) => progress.say("the files are what they were; the run begins anew\n"),
            (Err(Ended::Failed(failure)), _) => return Err(failure),
            (Ok(finished), _) => return Ok(finished),
        }
    }
}

/// Why a run did not finish.
enum Ended {
    /// The files say something else.
    Anew,
    Failed(Failure),
}

fn execute(state: &State, observer: &Observed<'_>, cancel: &Arc<AtomicBool>) -> Result<Finished, Ended> {
    let loaded = &state.state;
    let prepared = loaded.with_pipeline(loaded.pipeline.clone()).prepare(observer);
    let prepared = prepared.map_err(Ended::Failed)?;
    let finished = prepared.run.execute(observer, cancel);
    for message in messages(&prepared.plugins) {
        observer.progress.say(&(message + "\n"));
    }
    finished.map_err(|error| {
        let anew = error.cancelled && observer.anew.load(Ordering::SeqCst) && !cancel.load(Ordering::SeqCst);
        if anew { Ended::Anew } else { Ended::Failed(error.into()) }
    })
}

/// Checks edits while a run goes on; the state that the next run begins with, if this one must end.
fn check(
    session: &mut Session<'_>,
    running: &State,
    watcher: &Watcher,
    end: &Receiver<()>,
    observer: &Observed<'_>,
) -> Option<State> {
    let mut next = None;
    loop {
        let change = crossbeam_channel::select! {
            recv(end) -> _ => return next,
            recv(watcher.changes()) -> change => change.ok()?,
        };
        let names: Vec<String> = change
            .files
            .iter()
            .map(|file| format!("{} {}", file.path.display(), file.how.as_str()))
            .collect();
        observer.progress.say(&format!("{}\n", names.join(", ")));
        let edit = session.load(&change.files);
        observer.progress.say_diagnostics(&edit.diagnostics);
        if let Some(state) = edit.state.clone() {
            // Against what runs, not against the edit before.
            let differs = !computes_the_same(&running.state, &state.state);
            observer.anew.store(differs, Ordering::SeqCst);
            next = differs.then_some(state);
        }
        observer.progress.say(&verdict(&edit, next.is_some()));
    }
}

fn verdict(edit: &Edit, anew: bool) -> String {
    let mut text = match edit.state {
        None => return "what runs is not touched by this\n".to_owned(),
        Some(_) if edit.mended => "mended; ".to_owned(),
        Some(_) => String::new(),
    };
    if !anew {
        return text + "nothing that is computed changes: the run goes on\n";
    }
    text += "what is computed changes: the run begins anew when this sweep is done\n";
    for change in &edit.pipeline {
        text += &format!("  {change}\n");
    }
    let plan = edit.plan.as_ref().filter(|plan| !plan.is_empty());
    let lines = plan.map(ToString::to_string).unwrap_or_default();
    lines.lines().for_each(|line| text += &format!("  {line}\n"));
    text
}

/// Shows the progress, and ends the run with a sweep if it must begin anew.
struct Observed<'a> {
    progress: &'a Progress,
    anew: AtomicBool,
}

impl Observer for Observed<'_> {
    fn event(&self, event: &Event<'_>) {
        self.progress.event(event);
    }

    fn goes_on(&self) -> bool {
        !self.anew.load(Ordering::SeqCst)
    }
}
