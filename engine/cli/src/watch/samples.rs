//! Runs over the first documents, on a thread of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::Value;
use sli_config::Diagnostic;
use sli_config::pipeline::LongDocuments;
use sli_runtime::{Report, Silent};

use super::State;
use crate::failure::{Failure, Outcome};
use crate::plugins::messages;
use crate::prepare::Loaded;

/// How large a sample is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Documents, from the start of the data.
    pub(crate) rows: u64,
    /// Most tokens of each.
    pub(crate) tokens: u64,
}

/// A finished sample.
pub(crate) struct Sample {
    /// Number of the state that it was made with.
    pub(crate) number: u64,
    /// What came out, or what went wrong.
    pub(crate) result: Result<Report, Vec<Diagnostic>>,
    /// What plugins wrote to their log.
    pub(crate) messages: Vec<String>,
}

/// Runs samples one after the other; of states that wait only the newest is run.
pub(crate) struct Sampler {
    jobs: Option<Sender<State>>,
    results: Receiver<Sample>,
    waiting: Option<State>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
    numbers: BTreeMap<String, f64>,
}

impl Sampler {
    /// Starts the thread. Results are written into a folder below `dir` and replaced by those of the next sample.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(size: Size, dir: &Path, cancel: Arc<AtomicBool>) -> std::io::Result<Sampler> {
        let (jobs, work) = bounded::<State>(1);
        let (done, results) = bounded(1);
        let dir = dir.join("sample");
        let body = move || {
            for state in work {
                let number = state.number;
                let mut said = Vec::new();
                let result = run(&state.state, size, &dir, &cancel, &mut said).map_err(Failure::into_diagnostics);
                // The state goes before its result is told, so that nobody keeps it.
                drop(state);
                let sample = Sample {
                    number,
                    result,
                    messages: said,
                };
                if done.send(sample).is_err() {
                    return;
                }
            }
        };
        Ok(Sampler {
            jobs: Some(jobs),
            results,
            waiting: None,
            busy: false,
            thread: Some(std::thread::Builder::new().name("sample".to_owned()).spawn(body)?),
            numbers: BTreeMap::new(),
        })
    }

    /// Runs a sample of this state as soon as none is running.
    pub(crate) fn want(&mut self, state: State) {
        self.waiting = Some(state);
        self.next();
    }

    /// Where samples arrive; each must be handed to [`Sampler::done`].
    pub(crate) fn results(&self) -> &Receiver<Sample> {
        &self.results
    }

    /// Takes note of a finished sample: the numbers of its stages that differ from those of the sample before.
    pub(crate) fn done(&mut self, sample: &Sample) -> Vec<String> {
        self.busy = false;
        self.next();
        let Ok(report) = &sample.result else {
            return Vec::new();
        };
        let numbers = numbers(&report.stages);
        let before = std::mem::replace(&mut self.numbers, numbers);
        differences(&before, &self.numbers)
    }

    fn next(&mut self) {
        if self.busy {
            return;
        }
        if let (Some(state), Some(jobs)) = (self.waiting.take(), &self.jobs) {
            // If its thread is gone the results say so.
            self.busy = jobs.send(state).is_ok();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.jobs = None;
        // A sample that nobody waits for any more must not block.
        while self.busy && self.results.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            // Its panic has been told by the panic itself.
            let _ = thread.join();
        }
    }
}

/// Runs a sample; `said` is what its plugins wrote to their log.
fn run(loaded: &Loaded, size: Size, dir: &Path, cancel: &Arc<AtomicBool>, said: &mut Vec<String>) -> Outcome<Report> {
    let mut pipeline = loaded.pipeline.clone();
    let data = &mut pipeline.data;
    data.limit = Some(data.limit.map_or(size.rows, |limit| limit.min(size.rows)));
    data.max_tokens = Some(data.max_tokens.map_or(size.tokens, |most| most.min(size.tokens)));
    data.long = LongDocuments::Truncate;
    pipeline.output.dir.value = dir.display().to_string();
    pipeline.output.overwrite = true;
    let sample = loaded.with_pipeline(pipeline);
    let prepared = sample.prepare(&Silent)?;
    let finished = prepared.run.execute(&Silent, cancel);
    *said = messages(&prepared.plugins);
    Ok(finished?.report)
}

/// Numbers of stages by their names.
fn numbers(stages: &serde_json::Map<String, Value>) -> BTreeMap<String, f64> {
    fn collect(path: String, value: &Value, numbers: &mut BTreeMap<String, f64>) {
        match value {
            Value::Number(number) => drop(number.as_f64().map(|number| numbers.insert(path, number))),
            Value::Object(members) => {
                for (name, value) in members {
                    collect(format!("{path}.{name}"), value, numbers);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    for (stage, value) in stages {
        collect(stage.clone(), value, &mut found);
    }
    found
}

/// `score.perplexity 12.31 -> 12.29`, of numbers that both have.
fn differences(old: &BTreeMap<String, f64>, new: &BTreeMap<String, f64>) -> Vec<String> {
    let both = new.iter().filter_map(|(name, new)| Some((name, old.get(name)?, new)));
    // What cannot be seen is no difference.
    let shown = both.map(|(name, old, new)| (name, short(*old), short(*new)));
    shown
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name} {old} -> {new}"))
        .collect()
}

/// Six digits that matter.
fn short(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number}");
    }
    let digits = (5.0 - number.abs().log10().floor()).clamp(0.0, 12.0);
    format!("{number:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_of_stages_are_compared() {
        let of = |value: Value| numbers(value.as_object().unwrap());
        let old = of(json!({ "score": { "perplexity": 12.3456789, "tokens": 10, "name": "x" }, "gone": { "n": 1 } }));
        let new = of(json!({ "score": { "perplexity": 12.2, "tokens": 10, "more": { "n": 3 } } }));
        assert_eq!(differences(&old, &new), ["score.perplexity 12.3457 -> 12.2000"]);
        assert_eq!(differences(&old, &old), Vec::<String>::new());
    }

    #[test]
    fn short_numbers_keep_six_digits() {
        assert_eq!(
            [short(12.0), short(0.001_234_567_8), short(123_456.789)],
            ["12", "0.00123457", "123457"]
        );
    }
}
