//! `run --watch`: a long run whose files are edited.

use std::fs;

use sli_tests::rundir::RunDir;
use sli_tests::scene::{Scene, documents};

use crate::talk::Talk;

/// A run of many sweeps: a budget that is just enough.
fn scene() -> (Scene, String) {
    let scene = Scene::of("llama", "[[stage]]\nuses = \"score\"\n");
    scene.rows(&documents(6000, 60, 96));
    let plan = scene.run(&["plan", "p.toml", "--json"]).success();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let least = plan["plan"]["memory"]["smallest_budget"].as_u64().unwrap();
    (scene, format!("engine.memory={least}"))
}

fn start(scene: &Scene, memory: &str) -> Talk {
    let spill = "engine.activations=\"memory\"";
    let mut run = Talk::start(scene, &["run", "p.toml", "--watch", "--set", memory, "--set", spill]);
    run.until("the start", |line| line.starts_with("llama: "));
    run
}

#[test]
fn an_edit_that_changes_results_begins_the_run_anew() {
    let (scene, memory) = scene();
    let mut run = start(&scene, &memory);
    scene.edit("p.toml", "uses = \"score\"", "uses = \"score\"\nper_token = true");
    run.until("the verdict", |line| {
        line.contains("begins anew when this sweep is done")
    });
    run.until("the change", |line| line.contains("stage.0.per_token false -> true"));
    run.until("the new beginning", |line| line == "the run begins anew");
    let (code, said) = run.finish();
    assert_eq!(code, Some(0), "{said}");
    let results = RunDir::open(&scene.path("out"));
    let rows = results.table("score.parquet");
    assert_eq!(rows.len(), 6000, "of one run only");
    assert!(rows.iter().all(|row| row["logprobs"].is_array()), "{:?}", rows[0]);
}

#[test]
fn edits_that_change_no_result_leave_the_run_alone() {
    let (scene, memory) = scene();
    let mut run = start(&scene, &memory);
    let text = fs::read_to_string(scene.path("p.toml")).unwrap();
    scene.write("p.toml", format!("# a comment\n{text}"));
    run.until("the verdict", |line| line.contains("nothing that is computed changes"));
    scene.write("p.toml", "[model\n");
    run.until("the problem", |line| line.contains("not TOML"));
    run.until("what becomes of it", |line| line.contains("what runs is not touched"));
    let (code, said) = run.finish();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("begins anew"), "{said}");
    assert_eq!(RunDir::open(&scene.path("out")).report["data"]["documents"], 6000);
}
