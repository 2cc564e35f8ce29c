//! What can be wrong with the pipeline file and the command line.

use sli_tests::scene::Scene;

use crate::{INPUT, SCORE, fault, fault_with};

fn scene() -> Scene {
    Scene::of("llama", SCORE)
}

#[test]
fn the_file_is_missing() {
    fault(&Scene::empty(), "pipeline_missing", INPUT);
}

#[test]
fn the_toml_is_broken() {
    let scene = scene();
    scene.edit("p.toml", "source = \"model\"", "source = \"model");
    fault(&scene, "toml_broken", INPUT);
}

#[test]
fn a_key_is_unknown() {
    let scene = scene();
    scene.edit("p.toml", "memory  =", "memry   =");
    fault(&scene, "key_unknown", INPUT);
}

#[test]
fn a_value_has_the_wrong_type() {
    let scene = scene();
    scene.edit("p.toml", "threads = 1", "threads = \"one\"");
    fault(&scene, "type_wrong", INPUT);
}

#[test]
fn a_stage_is_unknown() {
    let scene = scene();
    scene.edit("p.toml", "uses = \"score\"", "uses = \"scores\"");
    fault(&scene, "stage_unknown", INPUT);
}

#[test]
fn there_is_no_stage() {
    let scene = scene();
    scene.pipeline("");
    fault(&scene, "stages_missing", INPUT);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let scene = scene();
    scene.edit("p.toml", "dtype   = \"f32\"", "dtype   = \"f31\"");
    scene.edit("p.toml", "\"512MiB\"", "\"much\"");
    scene.edit("p.toml", "dir = \"out\"", "dir = 3");
    fault(&scene, "several_errors", INPUT);
}

#[test]
fn an_override_names_no_key() {
    fault_with(&scene(), "set_unknown", INPUT, &["--set", "engine.memry=1GiB"]);
}

#[test]
fn an_override_has_a_wrong_value() {
    fault_with(&scene(), "set_wrong_value", INPUT, &["--set", "engine.memory=much"]);
}

/// What stands in the way differs from machine to machine: no libtorch_cuda, no driver, no such device.
#[test]
fn a_device_that_is_not_there() {
    let ended = scene().run(&["run", "p.toml", "--set", "engine.device=cuda:99"]);
    assert_eq!(ended.code, INPUT, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("set `[engine] device` to"), "{}", ended.stderr);
}

#[test]
fn the_folder_of_families_is_missing() {
    fault_with(&scene(), "families_missing", INPUT, &["--families", "mine"]);
}

#[test]
fn a_family_that_does_not_exist_is_asked_for() {
    fault_with(&scene(), "family_unknown", INPUT, &["--set", "model.family=lama"]);
}

/// A descriptor of the user with an error in it spoils the models it describes, and no others.
#[test]
fn a_broken_descriptor_stops_its_own_models_only() {
    let broken = "schema = 1\nid = \"mine\"\ntitle = \"Mine\"\nextends = \"llama\"\n\n[match]\nmodel_types = [\"mine\"]\n\n\
                  [layer.decoder]\nout = \"x + atention(x, 'self_attn')\"\n";
    let scene = scene();
    scene.write("mine/mine.toml", broken);
    scene.run(&["run", "p.toml", "--families", "mine"]).success();

    let scene = Scene::of("llama", SCORE);
    scene.write("mine/mine.toml", broken);
    scene.edit(
        "model/config.json",
        "\"model_type\": \"llama\"",
        "\"model_type\": \"mine\"",
    );
    scene.edit("model/config.json", "\"LlamaForCausalLM\"", "\"MineForCausalLM\"");
    fault_with(&scene, "descriptor_broken", INPUT, &["--families", "mine"]);
}

/// Both are asked for, and they cannot be together.
#[test]
fn routed_experts_with_hidden_state_on_disk() {
    let scene = Scene::of("mixtral", SCORE);
    let args = ["--set", "engine.experts=routed", "--set", "engine.activations=disk"];
    fault_with(&scene, "routed_on_disk", INPUT, &args);
}
