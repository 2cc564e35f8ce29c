//! The bundled model over its held-out text, as in the README, against what transformers computed on the same weights.

use serde_json::Value;
use sli_tests::numbers::assert_close;
use sli_tests::rundir::RunDir;
use sli_tests::scene::{Scene, root};
use sli_tests::tables::{find, number};

#[test]
fn the_perplexity_is_that_of_transformers() {
    let root = root();
    let reference =
        std::fs::read_to_string(root.join("pipelines/quickstart/reference.json")).expect("the stored reference");
    let reference: Value = serde_json::from_str(&reference).unwrap();
    let (scene, pipeline) = (Scene::empty(), root.join("pipelines/quickstart.toml"));
    let ended = scene
        .run(&["run", pipeline.to_str().unwrap(), "--set", "output.dir=out"])
        .success();
    let run = RunDir::open(&scene.path("out"));

    let (summary, expected) = (&run.report["stages"]["score"], |key: &str| {
        reference[key].as_f64().unwrap()
    });
    for key in ["nll", "perplexity"] {
        assert_close(summary[key].as_f64().unwrap() / expected(key), 1.0, 1e-4, key);
    }
    assert_eq!(summary["scored_tokens"].as_f64(), Some(expected("scored_tokens")));
    let (table, documents) = (run.table("score.parquet"), reference["documents"].as_array().unwrap());
    assert_eq!(table.len(), documents.len());
    for document in documents {
        let id = document["id"].as_str().unwrap();
        let row = find(&table, "id", id);
        assert_eq!(row["tokens"], document["tokens"], "{id}");
        assert_close(number(row, "nll") / document["nll"].as_f64().unwrap(), 1.0, 1e-4, id);
    }
    assert!(
        expected("bits_per_character") < 2.6,
        "the bundled model has learnt English"
    );

    // The budget is a promise: with what the program itself takes, the process stays under it.
    let peak = run.report["memory"]["peak"].as_u64().unwrap();
    assert!(peak <= (512 << 20) + (256 << 20), "{}", run.report["memory"]);
    let layers = run.table("profile.parquet");
    assert_eq!(layers.len(), 6);
    assert_eq!(run.outputs_of("capture"), ["capture.safetensors"]);
    // What the README promises at the end of the run.
    for part in [
        "perplexity",
        "fastest decoder.",
        "slowest decoder.",
        "GB/s while reading",
        "waiting for the disk",
        "files",
    ] {
        assert!(ended.stdout.contains(part), "no `{part}` in:\n{}", ended.stdout);
    }
}
