//! `inspect`, `plan`, `report`, and `run --json`.

use serde_json::{Value, json};
use sli_tests::golden;
use sli_tests::scene::Scene;

use crate::scene;

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

#[test]
fn a_model_is_inspected() {
    let scene = Scene::of("mixtral", "");
    let ended = scene.run(&["inspect", "model"]).success();
    assert_eq!(ended.stderr, "");
    golden::check("cli/inspect.txt", &golden::normalise(&ended.stdout, scene.dir()));
    let value = parse(&scene.run(&["inspect", "model", "--json", "--tensors"]).success().stdout);
    assert_eq!(
        (&value["family"]["id"], &value["config"]["model_type"]),
        (&json!("mixtral"), &json!("mixtral"))
    );
    let tensors = value["tensors"].as_array().unwrap();
    let bytes: u64 = tensors.iter().map(|tensor| tensor["bytes"].as_u64().unwrap()).sum();
    assert_eq!(Some(bytes), value["bytes"].as_u64());
    assert_eq!(value["bind"]["bound"], tensors.len());
    assert_eq!(value["diagnostics"], json!([]));
}

#[test]
fn what_is_wrong_with_a_model_is_said_after_what_is_known() {
    let scene = scene();
    scene.edit(
        "model/config.json",
        "\"num_hidden_layers\": 3",
        "\"num_hidden_layers\": 2",
    );
    let ended = scene.run(&["inspect", "model"]);
    assert_eq!(ended.code, 2);
    golden::check(
        "cli/inspect-broken.txt",
        &golden::normalise(&(ended.stdout + "---\n" + &ended.stderr), scene.dir()),
    );
    let ended = scene.run(&["inspect", "model", "--json"]);
    assert_eq!(ended.code, 2);
    assert_eq!(parse(&ended.stdout)["diagnostics"].as_array().map(Vec::len), Some(1));
}

/// Sizes of the process itself differ from machine to machine.
fn without_process(text: &str) -> String {
    let own = ["program, libraries", "all together", "the smallest budget"];
    let line = |line: &str| match own.iter().find(|own| line.contains(*own)) {
        Some(own) => format!("({own})\n"),
        None => line.to_owned() + "\n",
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_is_planned_without_running() {
    let scene = scene();
    let ended = scene.run(&["plan", "p.toml"]).success();
    golden::check(
        "cli/plan.txt",
        &without_process(&golden::normalise(&ended.stdout, scene.dir())),
    );
    let value = parse(&scene.run(&["plan", "p.toml", "--json"]).success().stdout);
    assert_eq!(
        (
            &value["plan"]["family"],
            &value["plan"]["tokens"],
            &value["plan"]["sweeps"]
        ),
        (&json!("llama"), &json!(19), &json!(1))
    );
    assert_eq!(value["estimated_seconds"], Value::Null);
    assert!(!scene.path("out").exists(), "planning writes nothing");

    let run = scene.finish(&[]);
    assert_eq!(run.manifest["fingerprint"], value["fingerprint"]);
    let args = ["plan", "p.toml", "--json", "--set", "output.overwrite=true"];
    let value = parse(&scene.run(&args).success().stdout);
    assert!(
        value["estimated_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0),
        "the last run tells how long one takes"
    );
}

#[test]
fn a_finished_run_is_reported() {
    let scene = scene();
    let ran = scene.run(&["run", "p.toml"]).success();
    let reported = scene.run(&["report", "out"]).success();
    assert_eq!(
        reported.stdout, ran.stdout,
        "the report is what the run said at its end"
    );
    for part in [
        "p: 2 documents, 19 tokens",
        "perplexity",
        "fastest decoder.",
        "while reading",
        "out",
        "score.parquet",
    ] {
        assert!(reported.stdout.contains(part), "no `{part}` in:\n{}", reported.stdout);
    }
    let value = parse(&scene.run(&["report", "out", "--json"]).success().stdout);
    assert_eq!(value["report"]["stages"]["score"]["documents"], 2);
    assert_eq!(value["outputs"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_run_says_everything_as_json_on_demand() {
    let value = parse(&scene().run(&["run", "p.toml", "--json"]).success().stdout);
    assert_eq!(
        (&value["dir"], &value["report"]["data"]["tokens"]),
        (&json!("out"), &json!(19))
    );

    let failed = scene().run(&["run", "p.toml", "--json", "--set", "engine.memry=1GiB"]);
    assert_eq!(failed.code, 2);
    let value = parse(&failed.stdout);
    assert!(
        value["diagnostics"][0]["message"]
            .as_str()
            .is_some_and(|message| message.contains("memry")),
        "{value}"
    );
}

#[test]
fn overrides_win_over_the_file() {
    let scene = scene();
    let args = [
        "plan",
        "p.toml",
        "--json",
        "--set",
        "engine.dtype=bf16",
        "--set",
        "data.limit=1",
        "--set",
        "name=other",
    ];
    let value = parse(&scene.run(&args).success().stdout);
    assert_eq!(
        (&value["plan"]["compute"], &value["plan"]["documents"], &value["name"]),
        (&json!("bf16"), &json!(1), &json!("other"))
    );
}

/// Sources are relative to the pipeline, the output to where one is.
#[test]
fn a_pipeline_runs_from_any_folder() {
    let scene = scene();
    std::fs::create_dir(scene.path("elsewhere")).unwrap();
    sli_tests::binary::run(&scene.path("elsewhere"), &["run", "../p.toml"]).success();
    sli_tests::rundir::RunDir::open(&scene.path("elsewhere/out"));
    assert!(!scene.path("out").exists());
}

/// Families in the current folder are seen without an option, and later places win.
#[test]
fn families_of_the_user_are_laid_over_the_shipped_ones() {
    let scene = scene();
    let mine = |title: &str| {
        format!(
            "schema = 1\nid = \"mine\"\ntitle = \"{title}\"\nextends = \"llama\"\n\n[match]\nmodel_types = [\"mine\"]\n"
        )
    };
    scene.edit(
        "model/config.json",
        "\"model_type\": \"llama\"",
        "\"model_type\": \"mine\"",
    );
    scene.edit("model/config.json", "\"LlamaForCausalLM\"", "\"MineForCausalLM\"");
    assert_eq!(scene.run(&["inspect", "model"]).code, 2);
    for (folder, args) in [
        ("families", &[][..]),
        (".config/sli-pipe/families", &[][..]),
        ("third", &["--families", "third"][..]),
    ] {
        scene.write(&format!("{folder}/mine.toml"), mine(folder));
        let found = scene.run(&[&["inspect", "model", "--json"], args].concat()).success();
        assert_eq!(parse(&found.stdout)["family"]["title"], *folder);
    }
}
