//! Plugins that are not there, broken, or not what they are used as.

use sli_tests::scene::Scene;

use crate::install;

const FILTER: &str = "[[stage]]\nuses = \"plugin:length-filter\"\nwith = { min = 1 }\n[[stage]]\nuses = \"score\"\n";

fn refused(scene: &Scene, args: &[&str], words: &[&str]) {
    let ended = scene.run(&[&["plan", "p.toml", "--set", "output.overwrite=true"], args].concat());
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
    let checked = scene.run(&[&["check", "p.toml"], args].concat());
    assert_eq!(checked.code, 2, "check says the same");
    assert!(checked.stderr.contains(words[0]), "{}", checked.stderr);
}

#[test]
fn a_stage_names_a_plugin_that_can_be_used() {
    let scene = Scene::with_tokenizer("llama", FILTER);
    scene.rows(&[serde_json::json!({"text": "words"})]);
    refused(
        &scene,
        &[],
        &["there is no plugin `length-filter`", "p.toml:", "plugins list"],
    );
    install(&scene, "csv");
    scene.edit("p.toml", "length-filter", "cvs");
    refused(&scene, &[], &["there is no plugin `cvs`", "did you mean `csv`?"]);
    install(&scene, "mixtral-twin");
    scene.edit("p.toml", "plugin:cvs", "plugin:mixtral-twin");
    refused(
        &scene,
        &[],
        &["the plugin `mixtral-twin` is of kind `family`, which is no stage"],
    );
}

#[test]
fn a_grant_to_nobody_is_an_error() {
    let scene = Scene::with_tokenizer("llama", &format!("[plugin.lenght-filter]\nlog = true\n{FILTER}"));
    scene.rows(&[serde_json::json!({"text": "words"})]);
    install(&scene, "length-filter");
    refused(
        &scene,
        &[],
        &["`lenght-filter` is granted something", "did you mean `length-filter`?"],
    );
}

#[test]
fn options_are_held_against_the_plugins_schema_at_their_place() {
    let scene = Scene::with_tokenizer("llama", FILTER);
    scene.rows(&[serde_json::json!({"text": "words"})]);
    install(&scene, "length-filter");
    scene.run(&["plan", "p.toml"]).success();
    scene.edit("p.toml", "min = 1", "mni = 1");
    refused(
        &scene,
        &[],
        &["'mni' was unexpected", "did you mean `min`?", "p.toml:19:"],
    );
    scene.edit("p.toml", "mni = 1", "min = -1");
    refused(&scene, &[], &["-1 is less than the minimum of 0", "p.toml:19:16"]);
}

#[test]
fn a_broken_file_breaks_only_what_needs_it() {
    let scene = Scene::with_tokenizer("llama", FILTER);
    scene.rows(&[serde_json::json!({"text": "words"})]);
    install(&scene, "length-filter");
    scene.write("plugins/other.wasm", b"\0asm\x01\0\0\0");
    scene.write("plugins/rubbish.wasm", b"rubbish");
    scene.run(&["run", "p.toml"]).success();
    let whole = std::fs::read(scene.path("plugins/length-filter.wasm")).unwrap();
    scene.write("plugins/length-filter.wasm", &whole[..whole.len() / 2]);
    refused(&scene, &[], &["length-filter.wasm", "p.toml:"]);
    // A folder given by hand wins over the usual one.
    scene.write("mine/length-filter.wasm", &whole);
    let again = "output.overwrite=true";
    scene
        .run(&["plan", "p.toml", "--plugins", "mine", "--set", again])
        .success();
    let ended = scene.run(&["plan", "p.toml", "--plugins", "yours"]);
    assert!(
        ended
            .stderr
            .contains("the folder `yours` given with `--plugins` does not exist"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_a_plugin_logs_is_shown_only_if_that_is_granted() {
    let scene = Scene::with_tokenizer("llama", FILTER);
    scene.rows(&[serde_json::json!({"text": "words"}), serde_json::json!({"text": ""})]);
    install(&scene, "length-filter");
    let silent = scene.run(&["run", "p.toml"]).success();
    assert!(!silent.stderr.contains("plugin `length-filter`:"), "{}", silent.stderr);
    for grant in ["plugin.length-filter.log=true", "settings"] {
        let args = match grant {
            "settings" => {
                scene.write(".config/sli-pipe/plugins.toml", "[length-filter]\nlog = true\n");
                vec!["run", "p.toml", "--set", "output.overwrite=true"]
            }
            grant => vec!["run", "p.toml", "--set", "output.overwrite=true", "--set", grant],
        };
        let told = scene.run(&args).success();
        assert!(
            told.stderr.contains("plugin `length-filter`:"),
            "{grant}: {}",
            told.stderr
        );
    }
}
