//! Whole runs of a small model that is made by hand, against its equations in plain Rust.

mod tiny;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use safetensors::SafeTensors;
use serde_json::Value as Json;
use sli_config::{SourceFile, parse_pipeline};
use sli_runtime::plugins::StagePlugins;
use sli_runtime::{ErrorKind, Event, Finished, Observer, Run, RunError, Setup, Silent, require_binding};
use tiny::{Tiny, VOCABULARY, WIDTH};

/// A model and a place for documents and outputs.
struct Place {
    folder: tempfile::TempDir,
    model: Tiny,
}

/// Some documents of different lengths, the same every time.
fn documents(count: usize, longest: usize) -> Vec<Vec<u32>> {
    let id = |d: usize, t: usize| ((d * 7919 + t * t * 31 + t * 17) % VOCABULARY) as u32;
    (0..count)
        .map(|d| (0..1 + (d * 37) % longest).map(|t| id(d, t)).collect())
        .collect()
}

impl Place {
    fn new(documents: &[Vec<u32>]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let rows = documents.iter().map(|ids| format!("{{\"input_ids\": {ids:?}}}\n"));
        fs::write(folder.path().join("rows.jsonl"), rows.collect::<String>()).unwrap();
        let model = Tiny::new();
        fs::create_dir(folder.path().join("model")).unwrap();
        model.write(&folder.path().join("model"));
        Place { folder, model }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn prepare(&self, engine: &str, stages: &str) -> Result<Run, RunError> {
        let dir = self.dir();
        let text = format!(
            "[model]\nsource = \"model\"\n[data]\nsource = \"rows.jsonl\"\n[engine]\n{engine}\n[output]\n\
             dir = {dir:?}\noverwrite = true\n{stages}"
        );
        let pipeline = parse_pipeline(SourceFile::new("test.toml", text), &[]).expect("the pipeline is right");
        let checkpoint = Arc::new(sli_checkpoint::Checkpoint::open(&self.folder.path().join("model")).unwrap());
        let plan = tiny::plan();
        let (_, binding) = require_binding(&plan, &checkpoint)?;
        let base = self.folder.path();
        Run::prepare(
            Setup {
                pipeline: &pipeline,
                base,
                checkpoint,
                plan,
                binding,
                descriptor: "d".into(),
                plugins: StagePlugins::new(),
            },
            &Silent,
        )
    }

    fn run(&self, engine: &str, stages: &str) -> Result<Finished, RunError> {
        self.prepare(engine, stages)?
            .execute(&Silent, &Arc::new(AtomicBool::new(false)))
    }

    fn lines(&self, name: &str) -> Vec<Json> {
        let text = fs::read_to_string(self.dir().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// All tensors of a file, as f32, with their shapes.
    fn tensors(&self, name: &str) -> HashMap<String, (Vec<usize>, Vec<f32>)> {
        let bytes = fs::read(self.dir().join(name)).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        let number = |chunk: &[u8]| f32::from_le_bytes(chunk.try_into().unwrap());
        let tensor = |view: &safetensors::tensor::TensorView<'_>| {
            (view.shape().to_vec(), view.data().chunks(4).map(number).collect())
        };
        read.tensors()
            .iter()
            .map(|(name, view)| (name.clone(), tensor(view)))
            .collect()
    }
}

#[track_caller]
fn close(found: &[f32], expected: &[Vec<f64>], what: &str) {
    let expected: Vec<f64> = expected.concat();
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-9f64, |most, x| most.max(x.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (f64::from(*found) - expected).abs() <= 2e-5 * scale,
            "{what}: {found} for {expected}"
        );
    }
}

#[test]
fn all_stages_of_one_sweep_agree_with_the_equations() {
    let documents = documents(9, 40);
    let place = Place::new(&documents);
    let stages = r#"
        [[stage]]
        uses = "score"
        format = "jsonl"
        per_token = true
        [[stage]]
        uses = "capture"
        points = ["embed", "decoder.*", "decoder.1.mixed", "final"]
        [[stage]]
        uses = "profile"
        points = ["*.*", "logits"]
        format = "jsonl"
        [[stage]]
        uses = "embed"
        pooling = "last"
        normalize = true
        format = "jsonl"
        [[stage]]
        uses = "logits"
        top_k = 3
        [[stage]]
        uses = "logits"
        name = "all"
        all = true
    "#;
    let finished = place.run("memory = \"1GiB\"", stages).unwrap();
    let scores = place.lines("score.jsonl");
    let captured = place.tensors("capture.safetensors");
    let logits = place.tensors("all.safetensors");
    let vectors = place.lines("embed.jsonl");
    assert_eq!(captured.len(), 5 * documents.len());
    let mut total = 0.0;
    for (d, ids) in documents.iter().enumerate() {
        let values = place.model.values(ids);
        let captured = |point: &str| &captured[&format!("{d}/{point}")];
        assert_eq!(captured("embed").0, [ids.len(), WIDTH]);
        close(&captured("embed").1, &values.hidden[0], "embed");
        close(&captured("decoder.0").1, &values.hidden[1], "decoder.0");
        close(&captured("decoder.1").1, &values.hidden[2], "decoder.1");
        close(&captured("final").1, &values.last, "final");
        close(&logits[&format!("{d}/logits")].1, &values.logits, "logits");
        let nll = values.nll(ids);
        total += nll;
        assert_eq!(scores[d]["id"], d.to_string());
        assert_eq!(scores[d]["scored_tokens"], ids.len() - 1);
        assert!(
            (scores[d]["nll"].as_f64().unwrap() - nll).abs() <= 1e-5 * nll.max(1.0),
            "{} for {nll}",
            scores[d]["nll"]
        );
        let each = scores[d]["logprobs"].as_array().unwrap();
        assert!(each.len() == ids.len() && each[0].is_null());
        let last = values.last.last().unwrap();
        let length = last.iter().map(|x| x * x).sum::<f64>().sqrt();
        let unit: Vec<f64> = last.iter().map(|x| x / length).collect();
        let vector: Vec<f32> = vectors[d]["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap() as f32)
            .collect();
        close(&vector, &[unit], "embedding");
    }
    let summary = &finished.report.stages["score"];
    assert!((summary["nll"].as_f64().unwrap() - total).abs() <= 1e-5 * total);
    check_largest(&place, &documents);
    check_profile(&place, &documents);
    assert_eq!(finished.report.plan.sweeps, 1);
    assert!(finished.report.memory.peak <= finished.report.memory.promised);
    let manifest: Json = serde_json::from_slice(&fs::read(place.dir().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["outputs"].as_array().unwrap().len(), finished.outputs.len());
    assert!(place.dir().join("report.json").exists());
}

/// The largest logits come in order, with their indices.
fn check_largest(place: &Place, documents: &[Vec<u32>]) {
    let bytes = fs::read(place.dir().join("logits.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let indices = read.tensor("3/logits.indices").unwrap();
    let values = read.tensor("3/logits.values").unwrap();
    assert_eq!(
        (indices.shape(), values.shape()),
        (&[documents[3].len(), 3][..], &[documents[3].len(), 3][..])
    );
    let expected = place.model.values(&documents[3]).logits;
    for (row, (indices, values)) in indices.data().chunks(12).zip(values.data().chunks(12)).enumerate() {
        let mut order: Vec<usize> = (0..VOCABULARY).collect();
        order.sort_by(|a, b| expected[row][*b].total_cmp(&expected[row][*a]));
        for k in 0..3 {
            let index = i32::from_le_bytes(indices[4 * k..4 * k + 4].try_into().unwrap()) as usize;
            let value = f32::from_le_bytes(values[4 * k..4 * k + 4].try_into().unwrap());
            assert!((expected[row][index] - expected[row][order[k]]).abs() < 1e-4);
            assert!((f64::from(value) - expected[row][index]).abs() < 1e-4);
        }
    }
}

/// Statistics are over all tokens of all documents.
fn check_profile(place: &Place, documents: &[Vec<u32>]) {
    let rows = place.lines("profile.jsonl");
    let names: Vec<&str> = rows.iter().map(|row| row["point"].as_str().unwrap()).collect();
    assert_eq!(names, ["decoder.0", "decoder.1", "logits"]);
    let values: Vec<tiny::Values> = documents.iter().map(|ids| place.model.values(ids)).collect();
    let all: Vec<f64> = values.iter().flat_map(|values| values.hidden[1].concat()).collect();
    let rms = (all.iter().map(|x| x * x).sum::<f64>() / all.len() as f64).sqrt();
    assert!((rows[0]["rms"].as_f64().unwrap() - rms).abs() < 1e-5 * rms);
    let tokens: usize = documents.iter().map(Vec::len).sum();
    assert_eq!(rows[2]["rows"], tokens);
    let cosine = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let pairs = values
        .iter()
        .flat_map(|values| values.hidden[1].iter().zip(&values.hidden[2]));
    let mean = pairs.map(|(a, b)| cosine(a, b)).sum::<f64>() / tokens as f64;
    assert!((rows[1]["cosine"].as_f64().unwrap() - mean).abs() < 1e-5);
    assert!(rows[2]["cosine"].is_null());
}

const SCORE: &str = "[[stage]]\nuses = \"score\"\nformat = \"jsonl\"\n";

#[test]
fn a_small_budget_makes_more_sweeps_and_the_same_scores() {
    let documents = documents(400, 90);
    let place = Place::new(&documents);
    let one = place.run("memory = \"1GiB\"", SCORE).unwrap();
    let scores = place.lines("score.jsonl");
    let smallest = one.report.plan.memory.smallest_budget;
    let engine = format!("memory = \"{}MiB\"", (smallest >> 20) + 1);
    let many = place.run(&engine, SCORE).unwrap();
    assert!(many.report.plan.sweeps > 1, "{:?}", many.report.plan);
    assert_eq!(many.report.disk.bytes, many.report.plan.read_bytes);
    for (a, b) in scores.iter().zip(place.lines("score.jsonl")) {
        let (a, b) = (a["nll"].as_f64().unwrap(), b["nll"].as_f64().unwrap());
        assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{a} and {b}");
    }
}

#[test]
fn the_same_run_twice_is_the_same_to_the_bit() {
    let place = Place::new(&documents(30, 50));
    place.run("", SCORE).unwrap();
    let first = fs::read(place.dir().join("score.jsonl")).unwrap();
    place.run("", SCORE).unwrap();
    assert_eq!(first, fs::read(place.dir().join("score.jsonl")).unwrap());
}

#[test]
fn a_budget_that_cannot_work_is_refused_with_one_that_does() {
    let place = Place::new(&documents(3, 20));
    let Err(error) = place.run("memory = \"1MiB\"", SCORE) else {
        panic!("1 MiB cannot work")
    };
    assert_eq!(error.kind, ErrorKind::Input);
    let help = &error.diagnostics[0].help[0];
    let size = help.split("`\"").nth(1).unwrap().trim_end_matches("\"`");
    assert!(!place.dir().exists());
    place.run(&format!("memory = \"{size}\""), SCORE).unwrap();
}

#[test]
fn wrong_documents_are_refused_before_anything_is_made() {
    let place = Place::new(&[vec![1, 2], vec![VOCABULARY as u32]]);
    let Err(error) = place.run("", SCORE) else {
        panic!("the id is beyond the vocabulary")
    };
    assert_eq!(error.kind, ErrorKind::Input);
    let expected = "rows.jsonl:2: token 0 of `input_ids` is 300, but there are 300 entries in the model's vocabulary";
    assert_eq!(error.to_string(), expected);
    assert!(!place.dir().exists());
}

#[test]
fn names_that_no_value_has_are_refused() {
    let place = Place::new(&documents(3, 20));
    let stages = "[[stage]]\nuses = \"capture\"\npoints = [\"decoder.7\", \"encoder.*\"]\n";
    let Err(error) = place.run("", stages) else {
        panic!("there is no such layer")
    };
    assert_eq!(error.to_string(), "this model has no value `decoder.7`");
    let stages = "[[stage]]\nuses = \"capture\"\npoints = [\"embed\", \"encoder.*\"]\n";
    let run = place.prepare("", stages).unwrap();
    assert_eq!(
        run.warnings()[0].message,
        "the pattern `encoder.*` matches no value of this model"
    );
    assert_eq!(
        run.plan().units.len(),
        1,
        "nothing after `embed` is wanted, so nothing after it is read"
    );
}

/// Cancels when the first layer is done.
struct Stopper(Arc<AtomicBool>);

impl Observer for Stopper {
    fn event(&self, event: &Event<'_>) {
        if let Event::UnitDone { unit: "decoder.0", .. } = event {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_cancelled_run_leaves_nothing() {
    let place = Place::new(&documents(5, 30));
    let stages = "[[stage]]\nuses = \"capture\"\npoints = [\"**\"]\n";
    let cancel = Arc::new(AtomicBool::new(false));
    let run = place.prepare("", stages).unwrap();
    let error = run.execute(&Stopper(cancel.clone()), &cancel).unwrap_err();
    assert!(error.cancelled && error.kind == ErrorKind::Run);
    assert!(!Path::new(&place.dir()).exists());
}

#[test]
fn a_truncated_shard_stops_the_run_and_leaves_nothing() {
    let place = Place::new(&documents(5, 30));
    let run = place.prepare("", SCORE).unwrap();
    let file = place.folder.path().join("model/model.safetensors");
    let len = fs::metadata(&file).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(len - 4)
        .unwrap();
    let error = run.execute(&Silent, &Arc::new(AtomicBool::new(false))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Run);
    assert!(error.to_string().contains("changed or was truncated"), "{error}");
    assert!(!place.dir().exists());
}
