//! Support for the tests: the plan of a plugin and the plan of a descriptor for the same config.json.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use sli_family::Registry;
use sli_model::infer::check_structure;
use sli_model::{Graph, ModelPlan};
use sli_pipe_plugin::Described;
use sli_pipe_plugin::family::{Family, PlanError, plan};

/// The config.json files of the parity fixtures of one model type, by the name of the fixture.
pub fn fixtures(model_type: &str) -> Vec<(String, Json)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/fixtures");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the fixtures are there") {
        let path = entry.expect("a readable entry").path();
        let Ok(text) = fs::read_to_string(path.join("config.json")) else {
            continue;
        };
        // Python writes `Infinity` in some, which is no JSON; they are of other families.
        let Ok(config) = serde_json::from_str::<Json>(&text) else {
            continue;
        };
        if config["model_type"] == model_type {
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), config));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "there is no fixture of `{model_type}`");
    found
}

/// The plan of the shipped descriptor, in canonical form.
pub fn shipped(config: &Json) -> ModelPlan {
    let family = Registry::shipped()
        .detect(config)
        .expect("a shipped family describes it");
    family.plan(config).expect("the shipped family plans it").canonical()
}

/// The plan of a plugin's family in canonical form, and the keys it handled.
///
/// # Errors
/// What the family says is wrong.
pub fn planned<F: Family + Described>(config: &Json) -> Result<(ModelPlan, Vec<String>), Vec<PlanError>> {
    let (text, handled) = plan::<F>(&config.to_string())?;
    let plan: ModelPlan = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for graph in graphs(&plan) {
        check_structure(graph).expect("the graph is well formed");
    }
    Ok((plan.canonical(), handled))
}

/// Every graph of a plan.
pub fn graphs(plan: &ModelPlan) -> Vec<&Graph> {
    let stacks = plan.stacks.iter().flat_map(|stack| {
        let layers = stack.layers.iter().map(|layer| &layer.graph);
        std::iter::once(&stack.enter).chain(layers).chain(&stack.last)
    });
    stacks.chain(std::iter::once(&plan.head)).collect()
}

/// Fails where two plans differ, at the first difference, in words a person can use.
pub fn assert_same(name: &str, ours: &ModelPlan, theirs: &ModelPlan) {
    assert_eq!(ours.names, theirs.names, "{name}: names");
    assert_eq!(ours.unavailable, theirs.unavailable, "{name}: unavailable");
    assert_eq!(ours.inputs, theirs.inputs, "{name}: inputs");
    assert_eq!(ours.stacks.len(), theirs.stacks.len(), "{name}: number of stacks");
    for (ours, theirs) in ours.stacks.iter().zip(&theirs.stacks) {
        let here = format!("{name}: {}", ours.name);
        assert_eq!((&ours.name, &ours.tokens), (&theirs.name, &theirs.tokens), "{here}");
        same_graph(&format!("{here}.enter"), &ours.enter, &theirs.enter);
        assert_eq!(ours.layers.len(), theirs.layers.len(), "{here}: number of layers");
        for (i, (ours, theirs)) in ours.layers.iter().zip(&theirs.layers).enumerate() {
            assert_eq!(ours.class, theirs.class, "{here}.{i}");
            same_graph(&format!("{here}.{i}"), &ours.graph, &theirs.graph);
        }
        assert_eq!(ours.last.is_some(), theirs.last.is_some(), "{here}.last");
        for (ours, theirs) in ours.last.iter().zip(&theirs.last) {
            same_graph(&format!("{here}.last"), ours, theirs);
        }
    }
    same_graph(&format!("{name}: head"), &ours.head, &theirs.head);
}

fn same_graph(name: &str, ours: &Graph, theirs: &Graph) {
    for (k, (ours, theirs)) in ours.nodes.iter().zip(&theirs.nodes).enumerate() {
        assert_eq!(ours, theirs, "{name}: node {k}");
    }
    assert_eq!(ours.nodes.len(), theirs.nodes.len(), "{name}: number of nodes");
    assert_eq!(ours.params, theirs.params, "{name}: parameters");
    assert_eq!(ours.outputs, theirs.outputs, "{name}: outputs");
    assert_eq!(ours.points, theirs.points, "{name}: points");
}
