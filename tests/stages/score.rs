//! `score` against the logits of transformers.

use serde_json::Value;
use sli_tests::fixture::named;
use sli_tests::numbers::{assert_close, log_probabilities};
use sli_tests::scene::Scene;
use sli_tests::tables::{find, number, numbers};

use crate::tokens;

/// Of a sum of log-probabilities that come from logits in f32.
const TOLERANCE: f64 = 1e-4;

fn check(name: &str, format: &str) {
    let scene = Scene::of(
        name,
        &format!("[[stage]]\nuses      = \"score\"\nper_token = true\nformat    = \"{format}\"\n"),
    );
    let run = scene.finish(&[]);
    let table = run.table(&format!("score.{format}"));
    let (rows, reference) = (named(name).rows(), named(name).reference());
    assert_eq!(table.len(), rows.len());
    let (mut nll, mut scored, mut all) = (0.0, 0, 0);
    for (id, ids) in tokens(&rows) {
        let what = format!("{name} {format} {id}");
        let expected = log_probabilities(&reference[&format!("{id}/logits")], &ids);
        let row = find(&table, "id", &id);
        assert_eq!(
            (row["tokens"].as_u64(), row["scored_tokens"].as_u64()),
            (Some(ids.len() as u64), Some(ids.len() as u64 - 1))
        );
        let sum = -expected.iter().sum::<f64>();
        assert_close(number(row, "nll"), sum, TOLERANCE, &what);
        assert_close(
            number(row, "perplexity"),
            (sum / expected.len() as f64).exp(),
            TOLERANCE,
            &what,
        );
        let found = numbers(row, "logprobs");
        assert!(found[0].is_nan(), "nothing is before the first token of {what}");
        assert_eq!(found.len(), ids.len());
        found[1..]
            .iter()
            .zip(&expected)
            .for_each(|(found, expected)| assert_close(*found, *expected, TOLERANCE, &what));
        (nll, scored, all) = (nll + sum, scored + expected.len(), all + ids.len());
    }
    let summary = run.json("score.summary.json");
    assert_eq!(summary, run.report["stages"]["score"]);
    let total = |key: &str| summary[key].as_f64().unwrap();
    assert_eq!(
        (total("documents"), total("tokens"), total("scored_tokens")),
        (rows.len() as f64, all as f64, scored as f64)
    );
    assert_close(total("nll"), nll, TOLERANCE, name);
    assert_close(total("perplexity"), (nll / scored as f64).exp(), TOLERANCE, name);
    assert_close(
        total("bits_per_token"),
        nll / scored as f64 / 2f64.ln(),
        TOLERANCE,
        name,
    );
    assert_eq!(summary["bos"]["as_given"], rows.len(), "{summary}");
    assert!(
        summary["bos"]["treatment"]
            .as_str()
            .is_some_and(|text| text.contains("first token is not scored")),
        "{summary}"
    );
}

#[test]
fn likelihoods_are_those_of_the_reference_logits() {
    for name in ["llama", "gpt2", "mixtral_many", "qwen3_tied"] {
        check(name, "parquet");
    }
    check("llama", "jsonl");
}

#[test]
fn a_document_of_one_token_has_nothing_to_score() {
    let scene = Scene::of("llama", "[[stage]]\nuses   = \"score\"\nformat = \"jsonl\"\n");
    scene.rows(&[serde_json::json!({ "id": "one", "input_ids": [5] })]);
    let table = scene.finish(&[]).table("score.jsonl");
    assert_eq!(
        (&table[0]["scored_tokens"], &table[0]["nll"], &table[0]["perplexity"]),
        (&0.into(), &0.0.into(), &Value::Null)
    );
}

/// Two stages of one kind have names of their own, and so do their outputs.
#[test]
fn stages_are_named() {
    let scene = Scene::of(
        "llama",
        "[[stage]]\nuses = \"score\"\n\n[[stage]]\nuses   = \"score\"\nname   = \"again\"\nformat = \"jsonl\"\n",
    );
    let run = scene.finish(&[]);
    assert_eq!(run.outputs_of("score"), ["score.parquet", "score.summary.json"]);
    assert_eq!(run.table("score.parquet")[1]["nll"], run.table("again.jsonl")[1]["nll"]);
}
