//! The same text gives the same score, whatever file it comes in.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;
use sli_tests::binary::{command, ended};
use sli_tests::rundir::RunDir;
use sli_tests::scene::Scene;
use sli_tests::tables::{Row, write_texts};

const SCORE: &str = "[[stage]]\nuses   = \"score\"\nformat = \"jsonl\"\n";
const TEXTS: [&str; 3] = [
    "To be, or not to be: that is the question.",
    "Brevity is the soul of wit.",
    "Ay, «there's» the rub — überall.",
];

fn scene() -> Scene {
    Scene::with_tokenizer("llama", SCORE)
}

/// The table of a run over a source, without the ids.
fn scores(scene: &Scene, args: &[&str]) -> Vec<Row> {
    let run = if scene.path("out").exists() {
        scene.finish_again(args)
    } else {
        scene.finish(args)
    };
    without_ids(&run)
}

fn without_ids(run: &RunDir) -> Vec<Row> {
    let mut table = run.table("score.jsonl");
    table.iter_mut().for_each(|row| drop(row.shift_remove("id")));
    table
}

#[test]
fn lines_objects_and_columns_hold_the_same_documents() {
    let scene = scene();
    scene.rows(&TEXTS.map(|text| json!({ "text": text })));
    let expected = scores(&scene, &[]);
    assert_eq!(expected.len(), 3);
    assert!(
        expected.iter().all(|row| row["tokens"].as_u64() > Some(5)),
        "{expected:?}"
    );

    scene.write("texts.txt", TEXTS.join("\n") + "\n");
    assert_eq!(scores(&scene, &["--set", "data.source=texts.txt"]), expected);
    write_texts(
        &scene.path("texts.parquet"),
        &[("a", TEXTS[0]), ("b", TEXTS[1]), ("c", TEXTS[2])],
    );
    assert_eq!(scores(&scene, &["--set", "data.source=texts.parquet"]), expected);

    scene.rows(&TEXTS.map(|text| json!({ "content": text })));
    assert_eq!(scores(&scene, &["--set", "data.text=content"]), expected);
    assert_eq!(
        scores(&scene, &["--set", "data.text=content", "--set", "data.limit=2"]),
        expected[..2]
    );
}

#[test]
fn a_whole_file_is_one_document() {
    let scene = scene();
    let text = TEXTS.join("\n\n");
    scene.rows(&[json!({ "text": text })]);
    let expected = scores(&scene, &["--set", "data.max_tokens=512"]);
    scene.write("texts.txt", &text);
    let found = scores(
        &scene,
        &[
            "--set",
            "data.source=texts.txt",
            "--set",
            "data.whole=true",
            "--set",
            "data.max_tokens=512",
        ],
    );
    assert_eq!(found, expected);
    assert_eq!(found.len(), 1);
}

#[test]
fn standard_input_is_a_source() {
    let scene = scene();
    scene.rows(&TEXTS.map(|text| json!({ "text": text })));
    let expected = scores(&scene, &[]);
    for (format, text) in [
        ("jsonl", std::fs::read_to_string(scene.path("rows.jsonl")).unwrap()),
        ("txt", TEXTS.join("\n")),
    ] {
        std::fs::remove_dir_all(scene.path("out")).unwrap();
        let format = format!("data.format={format}");
        let mut child = command(
            scene.dir(),
            &["run", "p.toml", "--set", "data.source=-", "--set", &format],
        );
        let mut child = child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        ended(child.wait_with_output().unwrap()).success();
        assert_eq!(without_ids(&RunDir::open(&scene.path("out"))), expected);
    }
}

/// The tokenizer puts a token in front, unless the pipeline does not want it; the summary says which.
#[test]
fn the_first_token_is_the_tokenizers_or_the_texts() {
    let scene = scene();
    scene.rows(&TEXTS.map(|text| json!({ "text": text })));
    let with = scene.finish(&[]);
    let bos = with.report["stages"]["score"]["bos"].clone();
    assert_eq!(
        (&bos["added"], &bos["token"], &bos["as_given"]),
        (&3.into(), &0.into(), &0.into())
    );
    let tokens = with.report["data"]["tokens"].as_u64().unwrap();
    let without = scene.finish_again(&["--set", "data.add_special_tokens=false"]);
    assert_eq!(without.report["data"]["tokens"].as_u64(), Some(tokens - 3));
    assert_eq!(without.report["stages"]["score"]["bos"]["added"], 0);
}
