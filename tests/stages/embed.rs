//! `embed` against the `final` of transformers.

use sli_tests::fixture::{Array, arrays, named};
use sli_tests::numbers::{assert_close, wide};
use sli_tests::scene::Scene;
use sli_tests::tables::{find, numbers};

fn pooled(rows: &Array, pooling: &str, normalize: bool) -> Vec<f64> {
    let count = rows.shape[0];
    let vector: Vec<f64> = match pooling {
        "cls" => wide(rows.row(0)),
        "last" => wide(rows.row(count - 1)),
        _ => (0..rows.width())
            .map(|at| rows.rows().map(|row| f64::from(row[at])).sum::<f64>() / count as f64)
            .collect(),
    };
    let length = if normalize {
        vector.iter().map(|value| value * value).sum::<f64>().sqrt()
    } else {
        1.0
    };
    vector.iter().map(|value| value / length).collect()
}

#[test]
fn vectors_are_pooled_from_the_reference() {
    for fixture in ["bert_bare", "llama"] {
        for (pooling, normalize) in [("mean", true), ("mean", false), ("cls", true), ("last", false)] {
            let stage = |format: &str| {
                format!(
                    "[[stage]]\nuses = \"embed\"\nname = \"{format}\"\npooling = \"{pooling}\"\nnormalize = {normalize}\nformat = \"{format}\"\n"
                )
            };
            let scene = Scene::of(fixture, &["parquet", "jsonl", "safetensors"].map(stage).join("\n"));
            let run = scene.finish(&[]);
            let (parquet, jsonl, tensors) = (
                run.table("parquet.parquet"),
                run.table("jsonl.jsonl"),
                arrays(&run.dir.join("safetensors.safetensors")),
            );
            for id in ["a", "b"] {
                let expected = pooled(&named(fixture).reference()[&format!("{id}/final")], pooling, normalize);
                let found = numbers(find(&parquet, "id", id), "embedding");
                let what = format!("{fixture} {pooling} {id}");
                assert_eq!(found.len(), expected.len(), "{what}");
                found
                    .iter()
                    .zip(&expected)
                    .for_each(|(found, expected)| assert_close(*found, *expected, 2e-5, &what));
                let single: Vec<f32> = found.iter().map(|value| *value as f32).collect();
                let lines: Vec<f32> = numbers(find(&jsonl, "id", id), "embedding")
                    .iter()
                    .map(|value| *value as f32)
                    .collect();
                assert_eq!(single, lines, "{what}: every format holds the same numbers");
                assert_eq!(
                    tensors[&format!("{id}/embedding")],
                    Array {
                        shape: vec![1, single.len()],
                        values: single
                    },
                    "{what}"
                );
            }
        }
    }
}

/// Values that exist once per document need no pooling.
#[test]
fn a_value_of_the_document_is_taken_as_it_is() {
    let scene = Scene::of(
        "bert_bare",
        "[[stage]]\nuses   = \"embed\"\npoint  = \"pooler_output\"\nformat = \"jsonl\"\n",
    );
    let table = scene.finish(&[]).table("embed.jsonl");
    for id in ["a", "b"] {
        let expected = &named("bert_bare").reference()[&format!("{id}/pooler_output")];
        let found = numbers(find(&table, "id", id), "embedding");
        found
            .iter()
            .zip(&expected.values)
            .for_each(|(found, expected)| assert_close(*found, f64::from(*expected), 2e-5, id));
        assert_eq!(found.len(), 48);
    }
}
