//! `profile` against statistics of the tensors that `capture` writes in the same sweep.

use std::collections::BTreeMap;

use sli_tests::fixture::Array;
use sli_tests::numbers::{assert_close, cosine, moments, wide};
use sli_tests::rundir::RunDir;
use sli_tests::scene::{Scene, documents};
use sli_tests::tables::{find, number, numbers};

/// Both sides are f64 over the same f32 values.
const TOLERANCE: f64 = 1e-9;

/// The rows of a point over all documents.
fn rows_of(tensors: &BTreeMap<String, Array>, point: &str) -> Vec<Vec<f64>> {
    let of_point = tensors
        .iter()
        .filter(|(key, _)| key.split_once('/').is_some_and(|key| key.1 == point));
    of_point
        .flat_map(|(_, array)| array.rows().map(wide).collect::<Vec<_>>())
        .collect()
}

/// A run that captures and profiles; the scene keeps its files.
fn run(fixture: &str, capture: &str, profile: &str) -> (Scene, RunDir) {
    let stages = format!(
        "[[stage]]\nuses   = \"capture\"\npoints = [{capture}]\n\n[[stage]]\nuses   = \"profile\"\n{profile}\n"
    );
    let scene = Scene::of(fixture, &stages);
    scene.rows(&documents(40, 38, 96));
    let run = scene.finish(&[]);
    (scene, run)
}

#[test]
fn statistics_are_those_of_the_captured_values() {
    for (fixture, stack) in [("llama", "decoder"), ("gpt2", "decoder"), ("bert", "encoder")] {
        let points = [0, 1, 2].map(|layer| format!("{stack}.{layer}"));
        let (_scene, run) = run(fixture, &format!("\"embed\", \"{stack}.*\""), "");
        let (tensors, table) = (run.tensors(), run.table("profile.parquet"));
        let mut before = rows_of(&tensors, "embed");
        assert_eq!(table.len(), points.len(), "the default is what leaves each layer");
        for point in &points {
            let (row, what) = (find(&table, "point", point), format!("{fixture} {point}"));
            let values = rows_of(&tensors, point);
            let expected = moments(&values.concat());
            assert_eq!(
                (number(row, "rows"), number(row, "width")),
                (values.len() as f64, values[0].len() as f64),
                "{what}"
            );
            assert_eq!(number(row, "not_finite"), 0.0);
            for (column, value) in [
                ("mean", expected.mean),
                ("rms", expected.rms),
                ("std", expected.std),
                ("min", expected.min),
                ("max", expected.max),
                ("excess_kurtosis", expected.excess_kurtosis),
            ] {
                assert_close(number(row, column), value, TOLERANCE, &format!("{what} {column}"));
            }
            let cosines: Vec<f64> = before.iter().zip(&values).map(|(a, b)| cosine(a, b)).collect();
            let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
            assert_close(number(row, "cosine"), mean, 1e-7, &format!("{what} cosine"));
            assert_close(number(row, "influence"), 1.0 - mean, 1e-7, &format!("{what} influence"));
            before = values;
        }
        let summary = run.json("profile.summary.json");
        let influence = |row: &sli_tests::tables::Row| number(row, "influence");
        let most = table
            .iter()
            .max_by(|a, b| influence(a).total_cmp(&influence(b)))
            .unwrap();
        assert_eq!(summary["most_influential"]["point"], most["point"]);
        assert_eq!(summary["values_not_finite"], 0);
    }
}

#[test]
fn outlier_channels_are_those_far_above_the_median() {
    let (_scene, run) = run(
        "llama",
        "\"final\"",
        "points = [\"final\"]\noutlier_ratio = 1.2\noutlier_channels = 5\nformat = \"jsonl\"",
    );
    let rows = rows_of(&run.tensors(), "final");
    let rms =
        |channel: usize| (rows.iter().map(|row| row[channel] * row[channel]).sum::<f64>() / rows.len() as f64).sqrt();
    let mut channels: Vec<(f64, usize)> = (0..64).map(|channel| (rms(channel), channel)).collect();
    channels.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Of an even number of channels, the upper of the two in the middle.
    let median = channels[31].0;
    let expected: Vec<(f64, usize)> = channels
        .into_iter()
        .filter(|channel| channel.0 > 1.2 * median)
        .take(5)
        .collect();
    assert!(expected.len() >= 3, "the norm's weights spread the channels");
    let row = &run.table("profile.jsonl")[0];
    let found = numbers(row, "outlier_channels");
    assert_eq!(
        found,
        expected.iter().map(|channel| channel.1 as f64).collect::<Vec<_>>()
    );
    numbers(row, "outlier_rms")
        .iter()
        .zip(&expected)
        .for_each(|(found, expected)| assert_close(*found, expected.0, 1e-6, "rms"));
    assert!(row["cosine"].is_null(), "`final` is no layer");
}

#[test]
fn router_load_counts_every_choice_once() {
    let (_scene, run) = run("mixtral_many", "\"decoder.*.moe.route.index\"", "");
    let (tensors, table) = (run.tensors(), run.table("profile.parquet"));
    for layer in 0..2 {
        let mut expected = vec![0.0; 8];
        let chosen = rows_of(&tensors, &format!("decoder.{layer}.moe.route.index"));
        chosen
            .iter()
            .for_each(|row| row.iter().for_each(|expert| expected[*expert as usize] += 1.0));
        let row = find(&table, "point", &format!("decoder.{layer}"));
        assert_eq!(numbers(row, "expert_load"), expected);
        assert_eq!(
            expected.iter().sum::<f64>(),
            3.0 * chosen.len() as f64,
            "three experts a token"
        );
    }
    let routers = run.json("profile.summary.json")["routers"].clone();
    assert_eq!(routers.as_array().map(Vec::len), Some(2), "{routers}");
}
