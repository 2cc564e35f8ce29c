//! What can be wrong with documents.

use serde_json::{Value, json};
use sli_tests::scene::Scene;

use crate::{INPUT, SCORE, fault, fault_with};

/// A llama with these lines as documents.
fn scene(lines: &str) -> Scene {
    let scene = Scene::of("llama", SCORE);
    scene.write("rows.jsonl", lines);
    scene
}

/// A document of `tokens` tokens.
fn document(id: &str, tokens: usize) -> Value {
    json!({ "id": id, "input_ids": vec![3; tokens] })
}

#[test]
fn text_needs_a_tokenizer() {
    fault(
        &scene("{\"text\": \"To be, or not to be\"}\n"),
        "tokenizer_missing",
        INPUT,
    );
}

#[test]
fn the_tokenizer_is_broken() {
    let scene = scene("{\"text\": \"To be, or not to be\"}\n");
    scene.write("model/tokenizer.json", "{\"version\": \"1.0\"}");
    fault(&scene, "tokenizer_broken", INPUT);
}

#[test]
fn the_file_is_missing() {
    let scene = scene("");
    scene.edit("p.toml", "rows.jsonl", "row.jsonl");
    fault(&scene, "data_missing", INPUT);
}

#[test]
fn the_file_has_no_documents() {
    fault(&scene("\n\n"), "data_empty", INPUT);
}

#[test]
fn the_name_does_not_tell_the_format() {
    let scene = scene("");
    scene.edit("p.toml", "rows.jsonl", "rows.csv");
    fault(&scene, "data_format", INPUT);
}

#[test]
fn lines_are_no_json() {
    fault(
        &scene("{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2}\n[1, 2]\n"),
        "line_no_json",
        INPUT,
    );
}

#[test]
fn a_row_has_no_text() {
    fault(
        &scene("{\"content\": \"To be\"}\n{\"Text\": \"or not\"}\n"),
        "row_without_text",
        INPUT,
    );
}

#[test]
fn a_file_is_no_parquet() {
    let scene = scene("{\"input_ids\": [1, 2]}\n");
    scene.edit(
        "p.toml",
        "source = \"rows.jsonl\"",
        "source = \"rows.jsonl\"\nformat = \"parquet\"",
    );
    fault(&scene, "no_parquet", INPUT);
}

#[test]
fn a_token_is_beyond_the_vocabulary() {
    fault(
        &scene("{\"input_ids\": [127, 1]}\n{\"id\": \"far\", \"input_ids\": [1, 128]}\n{\"input_ids\": [-1]}\n"),
        "token_beyond_vocabulary",
        INPUT,
    );
}

#[test]
fn a_document_is_empty() {
    let scene = scene("{\"input_ids\": [1, 2]}\n{\"input_ids\": []}\n");
    fault(&scene, "document_empty", INPUT);
    let run = scene.finish(&["--set", "data.empty=skip"]);
    assert_eq!(run.report["data"]["skipped"], 1);
}

#[test]
fn a_document_is_longer_than_the_pipeline_allows() {
    let scene = Scene::of("llama", SCORE);
    scene.rows(&[document("short", 8), document("long", 9)]);
    fault_with(
        &scene,
        "document_beyond_max_tokens",
        INPUT,
        &["--set", "data.max_tokens=8"],
    );
    let run = scene.finish(&["--set", "data.max_tokens=8", "--set", "data.long=truncate"]);
    assert_eq!(
        (&run.report["data"]["truncated"], &run.report["data"]["tokens_cut"]),
        (&json!(1), &json!(1))
    );
    let run = scene.finish_again(&["--set", "data.max_tokens=8", "--set", "data.long=split"]);
    let ids: Vec<Value> = run.table("score.parquet").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, ["short", "long#0", "long#1"]);
}

#[test]
fn a_document_is_longer_than_the_models_positions() {
    let scene = Scene::of("gpt2", SCORE);
    scene.rows(&[document("fits", 40)]);
    scene.finish(&[]);
    std::fs::remove_dir_all(scene.path("out")).unwrap();
    scene.rows(&[document("fits", 40), document("does not", 41)]);
    fault(&scene, "document_beyond_positions", INPUT);
    // The table of positions ends where it ends, whatever a pipeline allows.
    fault_with(
        &scene,
        "document_beyond_positions_table",
        INPUT,
        &["--set", "data.max_tokens=64"],
    );
}

#[test]
fn a_row_id_occurs_twice() {
    let scene = Scene::of("llama", SCORE);
    scene.rows(&[document("a", 2), document("b", 2), document("a", 3)]);
    fault(&scene, "row_id_twice", INPUT);
}
