//! Functions of plugins in equations.

use std::sync::Arc;

use serde_json::json;
use sli_config::SourceFile;
use sli_family::{ForeignFunction, Registry};
use sli_model::{Foreign, ForeignTensor, ForeignType, ModelPlan, Op, TensorFunction};

/// Accepts the option `n` only.
struct Fake;

impl TensorFunction for Fake {
    fn check_options(&self, options: &str) -> Result<(), String> {
        let options: serde_json::Map<String, serde_json::Value> = serde_json::from_str(options).unwrap();
        match options.keys().find(|key| *key != "n") {
            Some(key) => Err(format!("there is no option `{key}`")),
            None => Ok(()),
        }
    }

    fn infer(&self, _: &str, inputs: &[Option<ForeignType>]) -> Result<Vec<ForeignType>, String> {
        Ok(inputs.iter().flatten().take(1).cloned().collect())
    }

    fn compute(&self, _: &str, _: Vec<Option<ForeignTensor>>, _: &[u64]) -> Result<Vec<ForeignTensor>, String> {
        Err("not here".into())
    }
}

fn function(name: &str, plugin: &str, digest: &str, outputs: &[&str]) -> ForeignFunction {
    ForeignFunction {
        plugin: plugin.into(),
        name: name.into(),
        digest: digest.into(),
        inputs: vec![("x".into(), false), ("gate".into(), true)],
        outputs: outputs.iter().map(|name| (*name).into()).collect(),
        code: Arc::new(Fake),
    }
}

fn registry(equation: &str, digest: &str) -> Registry {
    let mut registry = Registry::shipped();
    registry
        .add_function(function("swirl", "swirls", digest, &["out"]))
        .unwrap();
    registry
        .add_function(function("halves", "swirls", digest, &["a", "b"]))
        .unwrap();
    let text = format!(
        "schema = 1\nid = \"mine\"\ntitle = \"Mine\"\n[match]\nmodel_types = [\"mine\"]\n[values]\nn = 3\n\
         [names]\nroot = [\"\"]\n[embed]\nout = \"embedding(tokens, 'embed')\"\n[[stack]]\nname = \"decoder\"\n\
         prefix = \"layers.{{i}}.\"\ncount = \"n - 2\"\nlayer = \"decoder\"\n[layer.decoder]\nout = \"{equation}\"\n\
         [block.expert]\nout = \"swirl(x, null)\"\n[head]\nfinal = \"x\"\n"
    );
    registry.add("mine.toml", SourceFile::new("families/mine.toml", text));
    registry
}

fn plan(equation: &str) -> Result<ModelPlan, String> {
    let registry = registry(equation, "1");
    let family = registry
        .get("mine")
        .map_err(|errors| sli_config::render(&errors, false))?;
    registry
        .plan(&*family, &json!({"model_type": "mine"}))
        .map_err(|errors| sli_config::render(&errors, false))
}

fn calls(plan: &ModelPlan) -> Vec<Foreign> {
    let nodes = &plan.stacks[0].layers[0].graph.nodes;
    let of = |op: &Op| match op {
        Op::Foreign(call) => Some((**call).clone()),
        _ => None,
    };
    nodes.iter().filter_map(|node| of(&node.op)).collect()
}

#[test]
fn a_call_is_a_node_with_its_options_and_results() {
    let plan = plan("x + swirl(x, null, {'n': n + 1}) + halves(x, x).b").unwrap();
    let calls = calls(&plan);
    assert_eq!(
        (calls[0].plugin.as_str(), calls[0].options.as_str(), calls[0].outputs),
        ("swirls", "{\"n\":4}", 1)
    );
    assert_eq!(
        (calls[1].function.as_str(), calls[1].options.as_str()),
        ("halves", "{}")
    );
    assert!(calls[0].code.0.is_some());
    let inputs = |n: usize| {
        let mut nodes = plan.stacks[0].layers[0].graph.nodes.iter();
        let node = nodes.by_ref().filter(|node| matches!(node.op, Op::Foreign(_))).nth(n);
        node.unwrap().inputs.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!((inputs(0), inputs(1)), (vec![true, false], vec![true, true]));
}

#[test]
fn what_a_function_cannot_take_is_said_at_the_call() {
    let cases = [
        ("swirl(x)", "`swirl` takes 2 tensors, not 1"),
        ("swirl(null, x)", "`swirl` wants a tensor as `x`, not null"),
        ("swirl(x, 2)", "`swirl` wants a tensor as `gate`, not 2"),
        (
            "swirl(x, null, {'m': 1})",
            "the options of `swirl` do not fit: there is no option `m`",
        ),
        ("swirl(x, null, {'n': x})", "the options of `swirl` are plan values"),
        ("swurl(x, null)", "did you mean `swirl`?"),
        (
            "experts(x, 'experts.{e}', top_k(x, 1).index, top_k(x, 1).value, {'count': 2})",
            "a block of `experts` or `pair_bias` cannot call it",
        ),
    ];
    for (equation, words) in cases {
        let text = plan(equation).unwrap_err();
        assert!(text.contains(words), "{equation}: {text}");
    }
}

#[test]
fn other_code_is_another_family_and_another_plan() {
    let fingerprint = |equation: &str, digest: &str| registry(equation, digest).get("mine").unwrap().fingerprint();
    assert_ne!(fingerprint("swirl(x, null)", "1"), fingerprint("swirl(x, null)", "2"));
    let without = "silu(x)";
    assert_eq!(
        fingerprint(&without.replace("silu", "exp"), "1"),
        fingerprint(&without.replace("silu", "exp"), "2"),
        "a plugin that the family does not call changes nothing"
    );
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let mut registry = Registry::shipped();
    let error = registry
        .add_function(function("softmax", "p", "1", &["out"]))
        .unwrap_err();
    assert!(
        error.message.contains("the engine has a function of that name"),
        "{}",
        error.message
    );
    registry.add_function(function("mine", "p", "1", &["out"])).unwrap();
    registry.add_function(function("mine", "p", "2", &["out"])).unwrap();
    let error = registry.add_function(function("mine", "q", "1", &["out"])).unwrap_err();
    assert!(
        error.message.contains("the plugin `p` has one too"),
        "{}",
        error.message
    );
}

#[test]
fn a_plan_in_json_is_tied_to_code_again() {
    let plan = plan("swirl(x, null)").unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    let read: ModelPlan = serde_json::from_str(&text).unwrap();
    assert_eq!(read, plan);
    assert!(calls(&read)[0].code.0.is_none());
}
