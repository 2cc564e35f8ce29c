//! What can be wrong with the model's folder and its `config.json`, and stages that the model cannot feed.

use sli_tests::checkpoint::{Kind, write};
use sli_tests::fixture::named;
use sli_tests::scene::Scene;

use crate::{INPUT, SCORE, fault};

fn scene() -> Scene {
    Scene::of("llama", SCORE)
}

#[test]
fn the_folder_is_missing() {
    let scene = scene();
    scene.edit("p.toml", "source = \"model\"", "source = \"../models/none\"");
    fault(&scene, "model_missing", INPUT);
}

#[test]
fn a_hub_id_is_not_downloaded_yet() {
    let scene = scene();
    scene.edit(
        "p.toml",
        "source = \"model\"",
        "source = \"mistralai/Mixtral-8x7B-v0.1\"",
    );
    fault(&scene, "model_on_the_hub", INPUT);
}

#[test]
fn the_folder_has_no_config() {
    let scene = scene();
    std::fs::remove_file(scene.path("model/config.json")).unwrap();
    fault(&scene, "config_missing", INPUT);
}

#[test]
fn the_config_is_no_json() {
    let scene = scene();
    scene.edit(
        "model/config.json",
        "\"attention_bias\": false,",
        "\"attention_bias\": false",
    );
    fault(&scene, "config_broken", INPUT);
}

#[test]
fn the_config_holds_a_value_of_the_wrong_type() {
    let scene = scene();
    scene.edit(
        "model/config.json",
        "\"num_attention_heads\": 4",
        "\"num_attention_heads\": \"four\"",
    );
    fault(&scene, "config_wrong_type", INPUT);
}

#[test]
fn the_architecture_is_unknown() {
    let scene = scene();
    scene.edit(
        "model/config.json",
        "\"model_type\": \"llama\"",
        "\"model_type\": \"lama\"",
    );
    scene.edit("model/config.json", "\"LlamaForCausalLM\"", "\"LamaForCausalLM\"");
    fault(&scene, "architecture_unknown", INPUT);
}

#[test]
fn a_config_key_is_not_handled() {
    let scene = scene();
    scene.edit(
        "model/config.json",
        "\"mlp_bias\": false",
        "\"mlp_bias\": false, \"embedding_multiplier\": 12.0",
    );
    fault(&scene, "config_key_unhandled", INPUT);
}

#[test]
fn a_point_does_not_exist() {
    let scene = Scene::of(
        "llama",
        "[[stage]]\nuses   = \"capture\"\npoints = [\"decoder.0\", \"decoder.O\", \"zzzzzz\"]\n",
    );
    fault(&scene, "point_unknown", INPUT);
}

/// A pattern that matches nothing is worth a warning: the same pipeline may run other models.
#[test]
fn a_pattern_may_match_nothing() {
    let scene = Scene::of(
        "llama",
        "[[stage]]\nuses   = \"capture\"\npoints = [\"encoder.*\", \"final\"]\n",
    );
    let ended = scene.run(&["run", "p.toml"]).success();
    let warnings: String = ended
        .stderr
        .split_inclusive("\n")
        .take_while(|line| !line.starts_with("llama:"))
        .collect();
    sli_tests::golden::check("faults/pattern_without_match.err", &warnings);
}

#[test]
fn a_model_without_logits_cannot_score() {
    fault(&Scene::of("bert_bare", SCORE), "score_without_logits", INPUT);
}

#[test]
fn a_model_without_its_head_cannot_score() {
    let scene = scene();
    let mut tensors = named("llama").tensors();
    tensors.retain(|tensor| tensor.name != "lm_head.weight");
    write(&scene.path("model"), &tensors, Kind::F32, 1);
    fault(&scene, "score_without_head", INPUT);
}

#[test]
fn a_model_that_sees_the_future_cannot_score() {
    fault(&Scene::of("bert", SCORE), "score_of_an_encoder", INPUT);
}

#[test]
fn more_logits_are_wanted_than_there_are() {
    let scene = Scene::of("llama", "[[stage]]\nuses  = \"logits\"\ntop_k = 4096\n");
    fault(&scene, "top_k_too_large", INPUT);
}
