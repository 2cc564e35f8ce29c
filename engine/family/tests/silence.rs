//! No silent mistakes: over all parity fixtures, a value of config.json that matters to the reference must matter to
//! the plan or be refused, and no tensor can change its name unnoticed. Plans only: no weight is read, nothing runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use sli_config::{Diagnostic, render};
use sli_family::{Family, Registry};
use sli_model::bind::{TensorInfo, bind};
use sli_model::{DType, ModelPlan};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/fixtures");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("config.json").exists())
        .collect();
    found.sort();
    assert!(found.len() > 100);
    found
}

fn json(path: &Path) -> Json {
    // Python writes a bare `Infinity`.
    let text = std::fs::read_to_string(path)
        .unwrap()
        .replace("\"Infinity\"", "@")
        .replace("Infinity", "{\"__float__\": \"Infinity\"}");
    serde_json::from_str(&text.replace('@', "\"Infinity\""))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The family of a fixture and its plan.
fn planned(registry: &Registry, name: &str, config: &Json) -> (Arc<dyn Family>, ModelPlan) {
    let wrong = |errors: Vec<Diagnostic>| -> ! { panic!("{name}: {}", render(&errors, false)) };
    let family = registry.detect(config).unwrap_or_else(|errors| wrong(errors));
    let plan = family.plan(config).unwrap_or_else(|errors| wrong(errors));
    (family, plan)
}

/// The config with the value at a path of keys replaced, or removed if there is none.
fn changed(config: &Json, path: &str, value: Option<&Json>) -> Json {
    let mut config = config.clone();
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().unwrap();
    let map = keys.into_iter().fold(&mut config, |map, key| &mut map[key]);
    match value {
        Some(value) => map[last] = value.clone(),
        None => drop(map.as_object_mut().unwrap().remove(last)),
    }
    config
}

#[test]
fn a_value_that_changes_the_reference_changes_the_plan_or_is_refused() {
    let registry = Registry::shipped();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for folder in fixtures()
        .iter()
        .filter(|folder| folder.join("perturbed.json").exists())
    {
        let name = folder.file_name().unwrap().to_string_lossy();
        let config = json(&folder.join("config.json"));
        let (family, plain) = planned(&registry, &name, &config);
        for change in json(&folder.join("perturbed.json")).as_array().unwrap() {
            if change["effect"] != "changes" {
                continue;
            }
            tried += 1;
            let (key, value) = (change["key"].as_str().unwrap(), change.get("value"));
            let config = changed(&config, key, value);
            let unnoticed = || family.plan(&config).is_ok_and(|plan| plan == plain);
            let detected = || registry.detect(&config).is_ok_and(|found| found.id() == family.id());
            if unnoticed() && detected() {
                wrong.push(format!(
                    "{name}: `{key}` = {}",
                    value.map_or("(left out)".into(), Json::to_string)
                ));
            }
        }
    }
    assert!(tried > 500, "only {tried} changes");
    assert!(
        wrong.is_empty(),
        "these change the reference, but not the plan:\n{}",
        wrong.join("\n")
    );
}

/// Numbers replaced by `*`: one of each kind of tensor is enough.
fn kind(name: &str) -> String {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    name.split('.')
        .map(|part| if number(part) { "*" } else { part })
        .collect::<Vec<_>>()
        .join(".")
}

#[test]
fn no_tensor_changes_its_name_unnoticed() {
    let registry = Registry::shipped();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for folder in fixtures() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (_, plan) = planned(&registry, &name, &json(&folder.join("config.json")));
        let described = json(&folder.join("tensors.json"));
        let shape = |about: &Json| {
            about["shape"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| d.as_u64().unwrap())
                .collect()
        };
        let tensors: Vec<TensorInfo> = (described.as_object().unwrap().iter())
            .map(|(name, about)| TensorInfo {
                name: name.clone(),
                shape: shape(about),
                dtype: DType::F32,
            })
            .collect();
        assert!(bind(&plan, &tensors).report.is_ok(), "{name} does not bind");
        let mut kinds = BTreeSet::new();
        for (index, tensor) in tensors.iter().enumerate() {
            if !kinds.insert(kind(&tensor.name)) || plan.names.ignores(&tensor.name) {
                continue;
            }
            tried += 1;
            let mut renamed = tensors.clone();
            renamed[index].name = format!("{}_", tensor.name);
            if bind(&plan, &renamed).report.is_ok() {
                wrong.push(format!("{name}: `{}` as `{}`", tensor.name, renamed[index].name));
            }
        }
    }
    assert!(tried > 5000, "only {tried} names");
    assert!(wrong.is_empty(), "these names changed unnoticed:\n{}", wrong.join("\n"));
}
