//! Families that are plugins: their plans are those of descriptors, and so are their results, bit for bit.

use sli_tests::fixture::{captured, named};
use sli_tests::scene::Scene;

use crate::install;

const CAPTURE: &str =
    "[[stage]]\nuses = \"capture\"\npoints = [\"embed\", \"*.*\", \"*.*.*\", \"final\", \"logits\"]\n";

fn twin(fixture: &str, id: &str, model_type: &str) {
    let scene = Scene::of(fixture, CAPTURE);
    scene.finish(&[]);
    let by_descriptor = captured(&scene.path("out"));
    assert!(by_descriptor.len() > named(fixture).rows().len() * 4);

    scene.edit_json("model/config.json", |config| config["model_type"] = model_type.into());
    let unknown = scene.run(&["plan", "p.toml"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains(&format!("`model_type: {model_type}`")),
        "{}",
        unknown.stderr
    );
    install(&scene, id);
    let run = scene.finish_again(&[]);
    assert_eq!(run.report["plan"]["family"], id);
    let by_plugin = captured(&scene.path("out"));
    assert_eq!(
        by_plugin.keys().collect::<Vec<_>>(),
        by_descriptor.keys().collect::<Vec<_>>()
    );
    for (key, array) in &by_plugin {
        assert_eq!(array.values, by_descriptor[key].values, "{key}");
    }
}

#[test]
fn a_mixture_of_experts() {
    twin("mixtral", "mixtral-twin", "mixtral_twin");
}

#[test]
fn a_family_whose_plan_needs_code() {
    twin("gemma3n_text", "gemma3n-twin", "gemma3n_twin");
}

/// What TOML is strict about, code is strict about too.
#[test]
fn a_plugin_may_leave_no_key_and_no_tensor_aside() {
    let scene = Scene::of("mixtral", CAPTURE);
    install(&scene, "mixtral-twin");
    scene.edit_json("model/config.json", |config| {
        config["model_type"] = "mixtral_twin".into();
        config["attention_chunks"] = 7.into();
    });
    let ended = scene.run(&["plan", "p.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("attention_chunks"), "{}", ended.stderr);
    scene.edit_json("model/config.json", |config| {
        config.as_object_mut().unwrap().remove("attention_chunks");
        config["num_hidden_layers"] = 1.into();
    });
    let ended = scene.run(&["plan", "p.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("unused"), "{}", ended.stderr);
    scene.edit_json("model/config.json", |config| {
        config["num_hidden_layers"] = "two".into();
    });
    let ended = scene.run(&["plan", "p.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("num_hidden_layers"), "{}", ended.stderr);
}
