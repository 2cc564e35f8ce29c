//! Filters of the source, one in Rust and one in C.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sli_tests::scene::Scene;

use crate::install;

const SCORE: &str = "[[stage]]\nuses = \"score\"\nformat = \"jsonl\"\n";

fn scene(stages: &str, rows: &[Value]) -> Scene {
    let scene = Scene::with_tokenizer("llama", stages);
    scene.rows(rows);
    scene
}

/// Tokens of each document that was scored, by id.
fn scored(scene: &Scene, file: &str) -> BTreeMap<String, u64> {
    let run = sli_tests::rundir::RunDir::open(&scene.path(file));
    let rows = run.table("score.jsonl");
    rows.iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["tokens"].as_u64().unwrap()))
        .collect()
}

#[test]
fn documents_are_dropped_changed_and_split_before_they_are_tokenised() {
    let stages = format!(
        "[[stage]]\nuses = \"plugin:length-filter\"\nname = \"short\"\n\
         with = {{ min = 3, split_at = 12, squeeze = true }}\n{SCORE}"
    );
    let rows = [
        json!({"id": "a", "text": "to be"}),
        json!({"text": "x"}),
        json!({"id": "c", "text": "or   not\tto"}),
        json!({"id": "d", "text": "whether 'tis nobler in the mind"}),
    ];
    let scene = scene(&stages, &rows);
    install(&scene, "length-filter");
    let run = scene.finish(&[]);
    assert_eq!(
        run.report["stages"]["short"],
        json!({"documents": 4, "dropped": 1, "changed": 1, "split": 1})
    );
    let with = scored(&scene, "out");
    assert_eq!(with.keys().collect::<Vec<_>>(), ["a", "c", "d#0", "d#1", "d#2"]);

    // The same texts without the filter give the same documents.
    let plain = Scene::with_tokenizer("llama", SCORE);
    plain.rows(&[
        json!({"id": "a", "text": "to be"}),
        json!({"id": "c", "text": "or not to"}),
        json!({"id": "d#0", "text": "whether 'tis"}),
        json!({"id": "d#1", "text": "nobler in"}),
        json!({"id": "d#2", "text": "the mind"}),
    ]);
    plain.finish(&[]);
    assert_eq!(with, scored(&plain, "out"));
}

#[test]
fn a_filter_in_c_does_the_same_work() {
    let stages = format!("[[stage]]\nuses = \"plugin:ascii-ratio-filter\"\nwith = {{ most = 0.25 }}\n{SCORE}");
    let rows = [
        json!({"id": "ascii", "text": "plain words"}),
        json!({"id": "some", "text": "déjà vu, said he"}),
        json!({"id": "greek", "text": "λόγος"}),
    ];
    let scene = scene(&stages, &rows);
    install(&scene, "ascii-ratio-filter");
    let run = scene.finish(&[]);
    assert_eq!(run.report["stages"]["ascii-ratio-filter"]["dropped"], 1);
    assert_eq!(scored(&scene, "out").keys().collect::<Vec<_>>(), ["ascii", "some"]);
}

#[test]
fn filters_run_one_after_the_other_and_a_change_of_options_is_another_run() {
    let stages = |most: f64| {
        format!(
            "[[stage]]\nuses = \"plugin:ascii-ratio-filter\"\nwith = {{ most = {most} }}\n\
             [[stage]]\nuses = \"plugin:length-filter\"\nwith = {{ min = 6 }}\n{SCORE}"
        )
    };
    let rows = [
        json!({"text": "λόγος λόγος"}),
        json!({"text": "words"}),
        json!({"text": "more words"}),
    ];
    let scene = scene(&stages(0.5), &rows);
    install(&scene, "length-filter");
    install(&scene, "ascii-ratio-filter");
    let fingerprint =
        |scene: &Scene| scene.finish(&["--set", "output.overwrite=true"]).json("manifest.json")["fingerprint"].clone();
    let first = fingerprint(&scene);
    assert_eq!(scored(&scene, "out").keys().collect::<Vec<_>>(), ["2"]);
    assert_eq!(first, fingerprint(&scene));
    scene.pipeline(&stages(0.51));
    assert_ne!(first["options"], fingerprint(&scene)["options"]);
}

#[test]
fn rows_without_text_and_runs_without_documents_are_said() {
    let stages = format!("[[stage]]\nuses = \"plugin:length-filter\"\nwith = {{ min = 100 }}\n{SCORE}");
    let scene = scene(&stages, &[json!({"input_ids": [1, 2]})]);
    install(&scene, "length-filter");
    let ended = scene.run(&["run", "p.toml"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .stderr
            .contains("rows.jsonl:1: the row has token ids, and the stage `length-filter` filters texts"),
        "{}",
        ended.stderr
    );
    scene.rows(&[json!({"text": "short"}), json!({"text": "shorter"})]);
    let ended = scene.run(&["run", "p.toml"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .stderr
            .contains("none of the 2 rows of `rows.jsonl` is left as a document"),
        "{}",
        ended.stderr
    );
}
