//! `report.json` and `manifest.json`.

use serde_json::Value;
use sli_tests::checkpoint::Kind;
use sli_tests::fixture::named;
use sli_tests::scene::{Scene, documents};

const STAGES: &str = "[[stage]]\nuses = \"score\"\n\n[[stage]]\nuses = \"capture\"\npoints = [\"final\"]\n";

#[track_caller]
fn number(value: &Value, pointer: &str) -> f64 {
    value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number {pointer} in {value:#}"))
}

/// Every tensor is read once a sweep, and nothing else is; a table that is both embedding and head is read for each.
#[test]
fn bytes_read_are_the_bytes_of_the_tensors() {
    for (fixture, kind, shards) in [
        ("llama", Kind::F32, 1),
        ("mixtral", Kind::F32, 2),
        ("qwen2", Kind::Bf16, 3),
    ] {
        let scene = Scene::of(fixture, STAGES);
        std::fs::remove_dir_all(scene.path("model")).unwrap();
        named(fixture).materialize(&scene.path("model"), kind, shards);
        let report = scene.finish(&[]).report;
        let elements: usize = named(fixture).tensors().iter().map(|tensor| tensor.values.len()).sum();
        let table = named(fixture)
            .tensors()
            .iter()
            .find(|tensor| tensor.name.ends_with("embed_tokens.weight"))
            .map_or(0, |t| t.values.len());
        let tied = if named(fixture).config()["tie_word_embeddings"] == true {
            table
        } else {
            0
        };
        let bytes = ((elements + tied) * if kind == Kind::F32 { 4 } else { 2 }) as f64;
        assert_eq!(number(&report, "/plan/read_bytes"), bytes, "{fixture}: planned");
        assert_eq!(number(&report, "/disk/bytes"), bytes, "{fixture}: read");
        let units: f64 = report["units"]
            .as_array()
            .unwrap()
            .iter()
            .map(|unit| unit["bytes"].as_f64().unwrap())
            .sum();
        assert_eq!(units, bytes, "{fixture}: by unit");
    }
}

#[test]
fn the_roofline_adds_up() {
    let scene = Scene::of("llama", STAGES);
    scene.rows(&documents(500, 60, 128));
    let run = scene.finish(&[]);
    let report = &run.report;
    let part = |name: &str| number(report, &format!("/time/{name}_seconds"));
    let total = part("total");
    let parts = part("wait") + part("convert") + part("compute") + part("stage");
    assert!(
        total > 0.0 && part("compute") > 0.0 && parts <= total * 1.001,
        "{}",
        report["time"]
    );
    assert!(number(report, "/disk/read_seconds") > 0.0 && number(report, "/disk/gb_per_second") > 0.0);
    let speed = number(report, "/disk/bytes") / 1e9 / total;
    assert!((number(report, "/disk/gb_per_second_of_run") - speed).abs() < 1e-6 * speed);
    let memory = |name: &str| number(report, &format!("/memory/{name}"));
    assert!(
        memory("peak") > 50e6 && memory("peak") <= memory("promised") && memory("planned") <= memory("promised"),
        "{}",
        report["memory"]
    );
    let tokens = number(report, "/data/tokens");
    assert!((number(report, "/tokens_per_second") - tokens / total).abs() < 1e-6 * tokens / total);
    let written: f64 = run
        .outputs()
        .iter()
        .map(|output| output["bytes"].as_f64().unwrap())
        .sum();
    assert_eq!(number(report, "/bytes_written"), written);
    let names: Vec<&str> = report["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| unit["unit"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["embed", "decoder.0", "decoder.1", "decoder.2", "head"]);
}

/// Layers after the last value that somebody wants are not read.
#[test]
fn what_nobody_wants_is_not_read() {
    let scene = Scene::of("llama", "[[stage]]\nuses   = \"capture\"\npoints = [\"decoder.0\"]\n");
    let report = scene.finish(&[]).report;
    assert_eq!(report["units"].as_array().map(Vec::len), Some(2), "{}", report["units"]);
}

/// Equal inputs have equal fingerprints and outputs; another of them changes its own part.
#[test]
fn fingerprints_say_what_made_the_outputs() {
    let scene = Scene::of("llama", STAGES);
    let first = scene.finish(&[]);
    let again = scene.finish_again(&["--set", "engine.memory=900MiB"]);
    assert_eq!(first.manifest, again.manifest, "bit for bit");
    let part = |run: &sli_tests::rundir::RunDir, name: &str| run.manifest["fingerprint"][name].clone();
    let other = scene.finish_again(&["--set", "data.max_tokens=5", "--set", "data.long=truncate"]);
    assert_eq!(part(&other, "model"), part(&first, "model"));
    assert_ne!(part(&other, "data"), part(&first, "data"));
    let other = scene.finish_again(&["--set", "stage.0.per_token=true"]);
    assert_eq!(part(&other, "data"), part(&first, "data"));
    assert_ne!(part(&other, "options"), part(&first, "options"));
    scene.edit_json("model/config.json", |config| config["rms_norm_eps"] = 1e-5.into());
    let other = scene.finish_again(&[]);
    assert_ne!(part(&other, "model"), part(&first, "model"));
    assert_eq!(part(&other, "descriptor"), part(&first, "descriptor"));
}
