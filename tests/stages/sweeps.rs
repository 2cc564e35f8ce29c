//! One sweep or several, alone or in company: the results are the same.

use serde_json::Value;
use sli_tests::compare::relative_error;
use sli_tests::fixture::named;
use sli_tests::scene::{Scene, documents, sizes};
use sli_tests::tables::number;

/// What a document's values may differ by in another company: kernels sum in another order.
const COMPANY: f64 = 1e-5;

#[test]
fn a_small_budget_makes_several_sweeps_with_the_same_results() {
    let stages = "[[stage]]\nuses = \"score\"\n\n[[stage]]\nuses = \"profile\"\nformat = \"jsonl\"\n\n[[stage]]\nuses = \"embed\"\n";
    for fixture in ["llama", "mixtral_many"] {
        let scene = Scene::of(fixture, stages);
        scene.rows(&documents(1000, 50, 96));
        let large = scene.finish(&[]);
        assert_eq!(large.report["plan"]["sweeps"], 1);
        let smallest = large.report["plan"]["memory"]["smallest_budget"].as_u64().unwrap();
        let memory = format!("engine.memory={smallest}");
        let small = scene.finish_again(&["--set", &memory, "--set", "engine.activations=\"memory\""]);
        let sweeps = small.report["plan"]["sweeps"].as_u64().unwrap();
        assert!(sweeps > 1, "{fixture}: {}", small.report["plan"]);
        let bytes = |report: &Value| report["disk"]["bytes"].as_u64().unwrap();
        let (once, read) = (bytes(&large.report), bytes(&small.report));
        assert!(
            once <= read && read <= sweeps * once,
            "{fixture}: {once} in one sweep, {read} in {sweeps}"
        );
        let memory = &small.report["memory"];
        assert!(
            memory["peak"].as_u64() <= memory["promised"].as_u64(),
            "{fixture}: {memory}"
        );
        for (a, b) in small.table("score.parquet").iter().zip(large.table("score.parquet")) {
            assert_eq!(a["id"], b["id"], "documents stay in order");
            assert!((number(a, "nll") - number(&b, "nll")).abs() <= COMPANY * number(&b, "nll").max(1.0));
        }
        for (a, b) in small.table("profile.jsonl").iter().zip(large.table("profile.jsonl")) {
            assert_eq!((&a["point"], &a["rows"]), (&b["point"], &b["rows"]));
            for column in ["mean", "rms", "min", "max", "cosine"] {
                assert!(
                    (number(a, column) - number(&b, column)).abs() < COMPANY,
                    "{fixture} {column}"
                );
            }
        }
    }
}

/// Captures the last residual stream of `rows`, with everything else that a model may mix up at its end.
fn finals(
    scene: &Scene,
    rows: &[Value],
    extra: &[&str],
) -> std::collections::BTreeMap<String, sli_tests::fixture::Array> {
    scene.rows(rows);
    let run = if scene.path("out").exists() {
        scene.finish_again(extra)
    } else {
        scene.finish(extra)
    };
    run.tensors()
}

#[test]
fn two_hundred_documents_together_are_what_they_are_alone() {
    for fixture in ["llama", "gpt2", "bert_bare", "mixtral_many"] {
        let (vocabulary, positions) = sizes(&named(fixture));
        let scene = Scene::of(
            fixture,
            "[[stage]]\nuses   = \"capture\"\npoints = [\"embed\", \"final\"]\n",
        );
        let rows = documents(200, positions, vocabulary);
        let together = finals(&scene, &rows, &[]);
        assert_eq!(together.len(), 400);
        let mut others: Vec<Vec<Value>> = [57, 199].map(|row| vec![rows[row].clone()]).to_vec();
        // Another order is another company for every document.
        others.push(rows.iter().rev().cloned().collect());
        for other in others {
            for (key, array) in finals(&scene, &other, &[]) {
                let expected = &together[&key];
                assert_eq!(array.shape, expected.shape, "{fixture} {key}");
                let error = relative_error(&array.values, &expected.values);
                assert!(error <= COMPANY, "{fixture} {key}: {error:.1e}");
            }
        }
    }
}

#[test]
fn threads_and_reading_ahead_change_nothing() {
    let scene = Scene::of("llama", "[[stage]]\nuses   = \"capture\"\npoints = [\"final\"]\n");
    let rows = documents(50, 60, 128);
    let once = finals(&scene, &rows, &["--set", "engine.prefetch=0"]);
    let other = finals(
        &scene,
        &rows,
        &["--set", "engine.prefetch=2", "--set", "engine.threads=2"],
    );
    for (key, array) in &once {
        assert!(relative_error(&other[key].values, &array.values) <= COMPANY, "{key}");
    }
}

/// In bf16 the residual stream is rounded, so values are near the reference and not on it.
#[test]
fn halves_compute_nearly_the_same() {
    let scene = Scene::of("llama", "[[stage]]\nuses   = \"capture\"\npoints = [\"final\"]\n");
    let found = finals(&scene, &named("llama").rows(), &["--set", "engine.dtype=bf16"]);
    for (key, array) in found {
        let error = relative_error(&array.values, &named("llama").reference()[&key].values);
        assert!(error < 0.05 && error > 1e-5, "{key}: {error:.1e}");
    }
}
