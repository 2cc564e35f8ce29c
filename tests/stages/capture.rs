//! `capture`: element types, shards, keys.

use std::collections::BTreeSet;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use sli_tests::fixture::named;
use sli_tests::scene::{Scene, documents};

/// Names and types of the tensors of a file.
fn header(path: &Path) -> Vec<(String, Dtype)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<(String, Dtype)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn halves_are_the_rounded_singles() {
    let stage = |dtype: &str| {
        format!(
            "[[stage]]\nuses   = \"capture\"\nname   = \"{dtype}\"\npoints = [\"embed\", \"decoder.*\"]\ndtype  = \"{dtype}\"\n"
        )
    };
    let scene = Scene::of("llama", &["f32", "bf16", "f16"].map(stage).join("\n"));
    scene.finish(&[]);
    let read = |name: &str| sli_tests::fixture::arrays(&scene.path(&format!("out/{name}.safetensors")));
    let (single, brain, half) = (read("f32"), read("bf16"), read("f16"));
    assert_eq!(single.len(), 8);
    for (name, dtype) in [("f32", Dtype::F32), ("bf16", Dtype::BF16), ("f16", Dtype::F16)] {
        assert!(
            header(&scene.path(&format!("out/{name}.safetensors")))
                .iter()
                .all(|tensor| tensor.1 == dtype)
        );
    }
    for (key, array) in &single {
        for (at, value) in array.values.iter().enumerate() {
            assert_eq!(brain[key].values[at], half::bf16::from_f32(*value).to_f32(), "{key}");
            assert_eq!(half[key].values[at], half::f16::from_f32(*value).to_f32(), "{key}");
        }
    }
}

/// Also of a value of whole numbers, which stays one.
#[test]
fn small_shards_hold_all_keys_once() {
    let points = ["embed", "decoder.0", "decoder.1", "final", "decoder.0.moe.route.index"];
    let list = points.map(|point| format!("\"{point}\"")).join(", ");
    let scene = Scene::of(
        "mixtral_many",
        &format!("[[stage]]\nuses       = \"capture\"\npoints     = [{list}]\nshard_size = \"40KiB\"\n"),
    );
    let rows = documents(30, 60, 96);
    scene.rows(&rows);
    let run = scene.finish(&[]);
    let shards = run.outputs_of("capture");
    assert!(shards.len() > 4, "{shards:?}");
    let count = shards.len();
    let mut keys = BTreeSet::new();
    for (k, shard) in shards.iter().enumerate() {
        assert_eq!(*shard, format!("capture-{:05}-of-{count:05}.safetensors", k + 1));
        for (key, dtype) in header(&run.dir.join(shard)) {
            assert_eq!(
                dtype,
                if key.ends_with("index") { Dtype::I64 } else { Dtype::F32 },
                "{key}"
            );
            assert!(keys.insert(key.clone()), "{key} is in two shards");
        }
        let data: usize = sli_tests::fixture::arrays(&run.dir.join(shard))
            .values()
            .map(|array| 4 * array.values.len())
            .sum();
        assert!(
            data <= 40 << 10 || k + 1 == count || count == rows.len(),
            "{shard} holds {data} bytes"
        );
    }
    let expected: BTreeSet<String> = (rows.iter())
        .flat_map(|row| points.map(|point| format!("{}/{point}", row["id"].as_str().unwrap())))
        .collect();
    assert_eq!(keys, expected);
    for row in &rows {
        let (id, tokens) = (row["id"].as_str().unwrap(), row["input_ids"].as_array().unwrap().len());
        assert_eq!(run.tensors()[&format!("{id}/final")].shape, [tokens, 32]);
    }
}

#[test]
fn rows_without_ids_are_numbered() {
    let scene = Scene::of("llama", "[[stage]]\nuses   = \"capture\"\npoints = [\"embed\"]\n");
    scene.write(
        "rows.jsonl",
        "{\"input_ids\": [1]}\n\n{\"id\": 7, \"input_ids\": [2]}\n{\"input_ids\": [3]}\n",
    );
    let keys: Vec<String> = scene.finish(&[]).tensors().into_keys().collect();
    assert_eq!(keys, ["0/embed", "2/embed", "7/embed"]);
}

/// Values inside blocks have names too; the query of a head-split attention is flat.
#[test]
fn any_named_value_can_be_captured() {
    let scene = Scene::of(
        "gpt2",
        "[[stage]]\nuses   = \"capture\"\npoints = [\"decoder.1.**\", \"logits\"]\n",
    );
    let found = scene.finish(&[]).tensors();
    assert_eq!(found["b/decoder.1.attention.qkv.q"].shape, [12, 48]);
    assert_eq!(found["b/decoder.1.h"].shape, [12, 48]);
    let reference = named("gpt2").reference();
    assert!(sli_tests::compare::relative_error(&found["b/logits"].values, &reference["b/logits"].values) < 2e-5);
}
