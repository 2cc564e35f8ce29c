//! A reducer of values and a formatter of rows.

use std::collections::BTreeMap;

use serde_json::Value;
use sli_tests::fixture::captured;
use sli_tests::scene::{Scene, documents};

use crate::install;

#[test]
fn a_formatter_writes_the_rows_of_a_stage_before_it() {
    let stages = "[[stage]]\nuses = \"score\"\nformat = \"jsonl\"\nper_token = true\n\
                  [[stage]]\nuses = \"plugin:csv\"\nname = \"scores\"\nof = \"score\"\nwith = { line_end = \"lf\" }\n\
                  [[stage]]\nuses = \"profile\"\n\
                  [[stage]]\nuses = \"plugin:csv\"\nname = \"layers\"\nof = \"profile\"\nwith = { header = false }\n";
    let scene = Scene::of("llama", stages);
    let rows = documents(40, 30, 96);
    scene.rows(&rows);
    install(&scene, "csv");
    let run = scene.finish(&[]);
    assert_eq!(run.outputs_of("scores"), ["scores.csv"]);
    let text = std::fs::read_to_string(scene.path("out/scores.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "id,tokens,scored_tokens,nll,perplexity,logprobs");
    let table = run.table("score.jsonl");
    assert_eq!((lines.len() - 1, table.len()), (40, 40));
    for (line, row) in lines[1..].iter().zip(&table) {
        let mut cells = line.splitn(6, ',');
        let mut next = || cells.next().unwrap();
        assert_eq!(next(), row["id"].as_str().unwrap());
        assert_eq!(next().parse::<u64>().unwrap(), row["tokens"].as_u64().unwrap());
        assert_eq!(next().parse::<u64>().unwrap(), row["scored_tokens"].as_u64().unwrap());
        assert_eq!(next().parse::<f64>().unwrap(), row["nll"].as_f64().unwrap());
        match row["perplexity"].as_f64() {
            Some(perplexity) => assert_eq!(next().parse::<f64>().unwrap(), perplexity),
            None => assert_eq!(next(), ""),
        }
        let list: Value = serde_json::from_str(&next().trim_matches('"').replace("\"\"", "\"")).unwrap();
        assert_eq!(list, row["logprobs"]);
    }
    assert_eq!(run.report["stages"]["scores"]["rows"], 40);
    let layers = std::fs::read_to_string(scene.path("out/layers.csv")).unwrap();
    assert_eq!(
        layers.split("\r\n").filter(|line| !line.is_empty()).count(),
        run.table("profile.parquet").len()
    );
}

/// Every value crosses once, with its row: the quantiles are those of what `capture` wrote in the same sweep.
#[test]
fn a_reducer_sees_every_value_of_its_points() {
    let stages = "[[stage]]\nuses = \"capture\"\npoints = [\"decoder.*\", \"final\"]\n\
                  [[stage]]\nuses = \"plugin:activation-quantiles\"\nname = \"quantiles\"\nformat = \"jsonl\"\n\
                  points = [\"decoder.*\", \"final\"]\nwith = { quantiles = [0.25, 0.5, 1.0], bits = 12 }\n\
                  [[stage]]\nuses = \"plugin:csv\"\nof = \"quantiles\"\n";
    let scene = Scene::of("llama", stages);
    scene.rows(&documents(25, 40, 96));
    install(&scene, "activation-quantiles");
    install(&scene, "csv");
    let run = scene.finish(&[]);
    let mut values: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for (key, array) in captured(&scene.path("out")) {
        let point = key.split_once('/').unwrap().1.to_owned();
        values.entry(point).or_default().extend(array.values);
    }
    let table = run.table("quantiles.jsonl");
    let points: Vec<&str> = table.iter().map(|row| row["point"].as_str().unwrap()).collect();
    assert_eq!(
        points,
        ["decoder.0", "decoder.1", "decoder.2", "final"],
        "in the order of the model"
    );
    for row in &table {
        let mut sorted = values.remove(row["point"].as_str().unwrap()).unwrap();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(row["count"].as_u64(), Some(sorted.len() as u64), "{row:?}");
        let largest = f64::from(*sorted.last().unwrap());
        for (column, share) in [("q0.25", 0.25), ("q0.5", 0.5), ("q1", 1.0)] {
            let exact = f64::from(sorted[((sorted.len() - 1) as f64 * share) as usize]);
            let found = row[column].as_f64().unwrap();
            assert!(
                (found - exact).abs() <= exact.abs() * 1e-2 + largest * 1e-3,
                "{column}: {found}, {exact}"
            );
        }
    }
    assert!(scene.path("out/csv.csv").is_file());
    let small = scene.finish_again(&["--set", "engine.memory=192MiB"]);
    assert_eq!(small.table("quantiles.jsonl"), table, "the same whatever the budget");
}

#[test]
fn keys_that_do_not_belong_to_the_kind_are_refused() {
    let cases = [
        ("uses = \"plugin:csv\"\n", "must say whose rows it writes"),
        ("uses = \"plugin:csv\"\nof = \"scor\"\n", "did you mean `score`?"),
        (
            "uses = \"plugin:csv\"\nof = \"capture\"\n",
            "the stage `capture` writes no rows",
        ),
        (
            "uses = \"plugin:csv\"\nof = \"score\"\npoints = [\"final\"]\n",
            "is a formatter, which has no key `points`",
        ),
        (
            "uses = \"plugin:activation-quantiles\"\n",
            "must say which values it takes",
        ),
        (
            "uses = \"plugin:activation-quantiles\"\npoints = [\"finl\"]\n",
            "did you mean `final`?",
        ),
        (
            "uses = \"plugin:length-filter\"\nof = \"score\"\n",
            "is a filter, which has no key `of`",
        ),
    ];
    let scene = Scene::of("llama", "");
    for id in ["csv", "activation-quantiles", "length-filter"] {
        install(&scene, id);
    }
    for (stage, words) in cases {
        scene.pipeline(&format!(
            "[[stage]]\nuses = \"score\"\n[[stage]]\nuses = \"capture\"\npoints = [\"final\"]\n[[stage]]\n{stage}"
        ));
        let ended = scene.run(&["run", "p.toml"]);
        assert_eq!(ended.code, 2, "{stage}");
        assert!(
            ended.stderr.contains(words) && ended.stderr.contains("p.toml:"),
            "{stage}: {}",
            ended.stderr
        );
        assert!(!scene.path("out").exists());
    }
    scene.pipeline("[[stage]]\nuses = \"plugin:length-filter\"\n");
    let ended = scene.run(&["run", "p.toml"]);
    assert!(
        ended
            .stderr
            .contains("no stage of the pipeline looks at a value of the model"),
        "{}",
        ended.stderr
    );
}
