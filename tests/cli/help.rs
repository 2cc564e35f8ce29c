//! Texts that say what there is.

use serde_json::Value;
use sli_tests::golden;
use sli_tests::scene::{Scene, root};

/// Runs a command that needs no files and compares its output.
#[track_caller]
fn snapshot(name: &str, args: &[&str]) {
    let ended = Scene::empty().run(args).success();
    assert_eq!(ended.stderr, "", "{args:?}");
    golden::check(&format!("cli/{name}.txt"), &ended.stdout);
}

#[test]
fn every_command_explains_itself() {
    snapshot("help", &["--help"]);
    for command in [
        "run",
        "plan",
        "dev",
        "check",
        "inspect",
        "families",
        "schema",
        "report",
        "completions",
    ] {
        snapshot(&format!("help-{command}"), &[command, "--help"]);
    }
}

#[test]
fn the_families() {
    snapshot("families", &["families"]);
    snapshot("families-show-mixtral", &["families", "show", "mixtral"]);
    snapshot("families-functions", &["families", "functions"]);
    snapshot("families-functions-one", &["families", "functions", "linear_scan"]);
}

#[test]
fn the_list_of_families_is_json_on_demand() {
    let ended = Scene::empty().run(&["families", "--json"]).success();
    let value: Value = serde_json::from_str(&ended.stdout).unwrap();
    let ids: Vec<&str> = value["families"]
        .as_array()
        .unwrap()
        .iter()
        .map(|family| family["id"].as_str().unwrap())
        .collect();
    for id in ["bert", "gpt2", "llama", "mistral", "mixtral", "qwen2", "qwen3"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
}

#[test]
fn schemas_are_printed_as_they_are_shipped() {
    for (kind, file) in [
        ("pipeline", "pipeline"),
        ("family", "family"),
        ("family-std", "family-std"),
        ("plugin", "plugin"),
        ("grants", "grants"),
        ("plan", "plan"),
    ] {
        let shipped = std::fs::read_to_string(root().join(format!("schemas/{file}.schema.json"))).unwrap();
        assert_eq!(
            Scene::empty().run(&["schema", kind]).success().stdout,
            shipped,
            "{kind}"
        );
    }
    assert!(Scene::empty().run(&["schema"]).success().stdout.contains("\"stage\""));
}

#[test]
fn completions_know_commands_and_options() {
    let script = Scene::empty().run(&["completions", "bash"]).success().stdout;
    for word in ["_sli__pipe()", "inspect", "--families", "--set", "complete -F"] {
        assert!(script.contains(word), "no `{word}` in the script");
    }
}

#[test]
fn mistakes_in_the_command_line_are_wrong_input() {
    for (name, args) in [
        ("usage-none", &[][..]),
        ("usage-command", &["runn"][..]),
        ("usage-option", &["run", "p.toml", "--sett", "a=b"][..]),
        ("usage-set", &["run", "p.toml", "--set", "engine.memory"][..]),
        ("usage-family", &["families", "show", "mixtrall"][..]),
        ("usage-function", &["families", "functions", "atend"][..]),
        ("usage-report", &["report", "nowhere"][..]),
    ] {
        let ended = Scene::empty().run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}");
        golden::check(&format!("cli/{name}.txt"), &ended.stderr);
    }
}
