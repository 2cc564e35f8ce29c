//! Where hidden state is, how experts are read, what stays in memory: none of it changes a result.

use std::collections::BTreeMap;

use serde_json::Value;
use sli_tests::checkpoint::Kind;
use sli_tests::compare::relative_error;
use sli_tests::fixture::{Array, Fixture, named};
use sli_tests::scene::{Scene, documents};

/// What sums in another order may differ by.
const ORDER: f64 = 1e-5;

/// Captures every layer, with these changes of `[engine]`; the report with it.
fn captured(scene: &Scene, engine: &[&str]) -> (BTreeMap<String, Array>, Value) {
    let sets: Vec<String> = engine.iter().map(|set| format!("engine.{set}")).collect();
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let run = match scene.path("out").exists() {
        true => scene.finish_again(&args),
        false => scene.finish(&args),
    };
    (run.tensors(), run.report.clone())
}

#[track_caller]
fn same(found: &BTreeMap<String, Array>, expected: &BTreeMap<String, Array>, tolerance: f64, what: &str) {
    assert!(!expected.is_empty());
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, array) in found {
        let error = relative_error(&array.values, &expected[key].values);
        assert!(error <= tolerance, "{what}, {key}: {error}");
    }
}

fn rows(fixture: &Fixture, count: usize) -> Vec<Value> {
    let vocabulary = fixture.config()["vocab_size"].as_u64().unwrap();
    let mut rows = documents(count, 16, vocabulary);
    if fixture.rows()[0].get("decoder_input_ids").is_some() {
        for (at, row) in rows.iter_mut().enumerate() {
            row["decoder_input_ids"] = serde_json::json!([0, 1 + at as u64 % 7, 2, 3]);
        }
    }
    rows
}

fn capture_all(fixture: &str) -> String {
    let stacks: Vec<String> = named(fixture)
        .reference()
        .keys()
        .filter_map(|key| Some(key.split_once('/')?.1.split_once('.')?.0.to_owned()))
        .collect();
    let has = |stack: &str| stacks.iter().any(|other| other == stack);
    let patterns: Vec<&str> = ["encoder", "decoder"].into_iter().filter(|stack| has(stack)).collect();
    let points: Vec<String> = patterns.iter().map(|stack| format!("\"{stack}.*\"")).collect();
    format!("[[stage]]\nuses = \"capture\"\npoints = [{}]\n", points.join(", "))
}

/// The values that go along with the residual stream differ: plain, rotary tables and biases, kept stacks, carried
/// values, scans, mixtures.
#[test]
fn hidden_state_on_disk_gives_what_it_gives_in_memory() {
    for fixture in [
        "llama",
        "t5",
        "bart",
        "bert",
        "gemma2",
        "mamba2",
        "mixtral_many",
        "deberta_v2",
    ] {
        let scene = Scene::of(fixture, &capture_all(fixture));
        scene.rows(&rows(&named(fixture), 200));
        // With experts read apart in memory sums would have another order.
        let (expected, _) = captured(&scene, &["activations=\"memory\"", "experts=\"all\""]);
        let (found, report) = captured(&scene, &["activations=\"disk\"", "experts=\"all\""]);
        same(&found, &expected, 0.0, fixture);
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        assert!(number("/plan/micro_batches") > 1, "{fixture}");
        assert_eq!(number("/plan/sweeps"), 1, "{fixture}");
        assert!(number("/spill/bytes_written") > 0, "{fixture}: {}", report["spill"]);
        assert_eq!(number("/spill/bytes_written"), number("/spill/bytes_read"), "{fixture}");
        let left: Vec<_> = std::fs::read_dir(scene.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            left.iter().all(|name| !name.to_string_lossy().contains("spill")),
            "{left:?}"
        );
    }
}

#[test]
fn experts_read_apart_give_what_they_give_with_their_layer() {
    for fixture in [
        "mixtral_many",
        "gpt_oss",
        "deepseek_v3",
        "llama4_text",
        "granitemoe",
        "qwen3_moe_packed",
    ] {
        let scene = Scene::of(fixture, &capture_all(fixture));
        scene.rows(&rows(&named(fixture), 60));
        let (expected, whole) = captured(&scene, &["experts=\"all\""]);
        assert!(whole.get("experts").is_none(), "{fixture}: read with their layer");
        let (found, report) = captured(&scene, &["experts=\"routed\""]);
        same(&found, &expected, ORDER, fixture);
        let experts = &report["experts"];
        assert_eq!(experts["read_bytes"], experts["hit_bytes"], "{fixture}: {experts}");
        let dense: u64 = report["plan"]["units"]
            .as_array()
            .unwrap()
            .iter()
            .map(|unit| unit["bytes"].as_u64().unwrap())
            .sum();
        assert_eq!(
            report["disk"]["bytes"].as_u64().unwrap(),
            dense + experts["read_bytes"].as_u64().unwrap(),
            "{fixture}: an expert that is hit is read once"
        );
    }
}

#[test]
fn experts_that_no_token_chose_are_not_read() {
    for fixture in ["mixtral_many", "qwen3_moe_packed", "deepseek_v3"] {
        let scene = Scene::of(fixture, &capture_all(fixture));
        scene.rows(&[serde_json::json!({"id": "one", "input_ids": [5]})]);
        let (_, report) = captured(&scene, &["experts=\"routed\""]);
        let number = |name: &str| report["experts"][name].as_u64().unwrap();
        assert!(
            number("hit_bytes") < number("all_bytes"),
            "{fixture}: {}",
            report["experts"]
        );
        // Neighbours in the file may be read along, never a whole expert beside a small gap.
        assert!(
            number("read_bytes") < number("all_bytes"),
            "{fixture}: {}",
            report["experts"]
        );
    }
}

#[test]
fn a_model_that_fits_is_read_once_in_many_sweeps() {
    let scene = Scene::of("llama", &capture_all("llama"));
    scene.rows(&documents(1500, 50, 96));
    let (expected, large) = captured(&scene, &["activations=\"memory\""]);
    let smallest = large["plan"]["memory"]["smallest_budget"].as_u64().unwrap();
    let (found, small) = captured(&scene, &["activations=\"memory\"", &format!("memory={smallest}")]);
    assert!(small["plan"]["sweeps"].as_u64() > Some(1), "{}", small["plan"]);
    assert_eq!(
        small["plan"]["staying_units"].as_u64(),
        Some(small["units"].as_array().unwrap().len() as u64)
    );
    assert_eq!(small["disk"]["bytes"], large["disk"]["bytes"]);
    same(&found, &expected, ORDER, "llama");
}

/// A few tokens need a few rows of the table of embeddings; many need it whole.
#[test]
fn rows_of_a_table_are_read_on_their_own_where_few_are_needed() {
    let scene = Scene::empty();
    named("llama")
        .with_vocabulary(2048)
        .materialize(&scene.path("model"), Kind::F32, 2);
    scene.pipeline("[[stage]]\nuses = \"capture\"\npoints = [\"embed\", \"decoder.*\"]\n");
    let few = [
        serde_json::json!({"id": "a", "input_ids": [2047, 0, 7, 7]}),
        serde_json::json!({"id": "b", "input_ids": [1024, 7]}),
    ];
    scene.rows(&few);
    let (found, rows) = captured(&scene, &[]);
    let mut many = few.to_vec();
    let ids: Vec<u64> = (0..60).map(|at| at * 30).collect();
    many.push(serde_json::json!({"id": "c", "input_ids": ids}));
    scene.rows(&many);
    let (expected, whole) = captured(&scene, &[]);
    let embed = |report: &Value| report["plan"]["units"][0]["bytes"].as_u64().unwrap();
    assert!(
        embed(&rows) < embed(&whole) / 2,
        "{} of {}",
        embed(&rows),
        embed(&whole)
    );
    assert_eq!(rows["disk"]["bytes"], rows["plan"]["read_bytes"]);
    for (key, array) in &found {
        let error = relative_error(&array.values, &expected[key].values);
        assert!(error <= ORDER, "{key}: {error}");
    }
}
