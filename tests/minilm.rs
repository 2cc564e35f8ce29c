//! Real weights: the sentences of `pipelines/minilm-embed.toml` against what transformers gave for them.

use serde_json::Value;
use sli_tests::numbers::cosine;
use sli_tests::rundir::{RunDir, sha256};
use sli_tests::scene::{Scene, root};
use sli_tests::tables::{find, numbers};

#[test]
fn embeddings_are_those_of_transformers() {
    let root = root();
    let weights = root.join(".deps/models/all-MiniLM-L6-v2/model.safetensors");
    assert!(
        weights.is_file(),
        "all-MiniLM-L6-v2 is not there: run `cargo xtask models`, which fetches it"
    );
    let reference: Value = serde_json::from_str(include_str!("minilm/reference.json")).unwrap();
    assert_eq!(
        reference["weights_sha256"],
        sha256(&std::fs::read(weights).unwrap()),
        "the reference is of other weights"
    );

    let (scene, pipeline) = (Scene::empty(), root.join("pipelines/minilm-embed.toml"));
    scene
        .run(&["run", pipeline.to_str().unwrap(), "--set", "output.dir=out"])
        .success();
    let table = RunDir::open(&scene.path("out")).table("embed.parquet");
    let rows = reference["rows"].as_array().unwrap();
    assert_eq!(table.len(), rows.len());
    for row in rows {
        let id = row["id"].as_str().unwrap();
        let found = find(&table, "id", id);
        assert_eq!(found["tokens"], row["tokens"], "{id}");
        let expected: Vec<f64> = row["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect();
        let found = numbers(found, "embedding");
        let length = found.iter().map(|value| value * value).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-6, "{id} has the length {length}");
        let near = cosine(&found, &expected);
        assert!(near >= 0.99999, "{id}: cosine {near}");
    }
}
