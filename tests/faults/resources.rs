//! A memory budget that cannot work, and the one that is said to.

use serde_json::Value;
use sli_tests::scene::{Scene, documents};
use sli_tests::tables::number;

use crate::{INPUT, SCORE, fault_with};

/// A model whose units are some MiB, so that budgets matter.
fn scene() -> Scene {
    let scene = Scene::of("llama", SCORE);
    scene.rows(&documents(400, 60, 128));
    scene
}

#[test]
fn the_budget_is_too_small_and_the_smallest_that_works_does() {
    let scene = scene();
    let large = scene.finish(&[]);
    std::fs::remove_dir_all(scene.path("out")).unwrap();

    fault_with(&scene, "budget_too_small", INPUT, &["--set", "engine.memory=1MiB"]);
    let said = scene.run(&["run", "p.toml", "--set", "engine.memory=1MiB"]).stderr;
    let smallest = said
        .split("at least `\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a budget");
    let less = smallest.strip_suffix("MiB").unwrap().parse::<u64>().unwrap() - 1;
    assert_eq!(
        scene
            .run(&["run", "p.toml", "--set", &format!("engine.memory={less}MiB")])
            .code,
        INPUT
    );

    let small = scene.finish(&["--set", &format!("engine.memory={smallest}")]);
    let memory = &small.report["memory"];
    assert!(memory["peak"].as_u64() <= memory["promised"].as_u64(), "{memory}");
    let total = |report: &Value| report["stages"]["score"]["nll"].as_f64().unwrap();
    assert!((total(&small.report) - total(&large.report)).abs() < 1e-5 * total(&large.report));
    for (a, b) in small.table("score.parquet").iter().zip(large.table("score.parquet")) {
        assert!((number(a, "nll") - number(&b, "nll")).abs() <= 1e-5 * number(&b, "nll").max(1.0));
    }
}
