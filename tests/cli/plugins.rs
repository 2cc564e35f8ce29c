//! `plugins list`, `check`, `new`, `pack`.

use serde_json::Value;
use sli_tests::scene::Scene;

/// A core module without anything in it.
const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

const MANIFEST: &str = "schema = 1\nid = \"mine\"\nversion = \"0.1.0\"\ntitle = \"Mine\"\nkind = \"filter\"\n";

#[test]
fn files_that_are_no_plugins_are_explained() {
    let scene = Scene::empty();
    scene.write("core.wasm", EMPTY);
    scene.write("text.wasm", "no plugin");
    let ended = scene.run(&["plugins", "check", "core.wasm", "text.wasm"]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.stdout, "0 of 2 plugins fine\n");
    for words in [
        "`core.wasm` is a core module, not a component",
        "`sli-pipe plugins pack` makes a plugin of it",
        "`text.wasm` is no WebAssembly component",
    ] {
        assert!(ended.stderr.contains(words), "{words}:\n{}", ended.stderr);
    }
    let nothing = scene.run(&["plugins", "check", "."]);
    assert_eq!(nothing.code, 2);
    scene.write("empty/readme", "");
    assert!(
        scene
            .run(&["plugins", "check", "empty"])
            .stderr
            .contains("holds no `.wasm` file")
    );
}

#[test]
fn broken_plugins_are_listed_with_a_warning() {
    let scene = Scene::empty();
    assert!(
        scene
            .run(&["plugins", "list"])
            .success()
            .stdout
            .contains("there are no plugins")
    );
    scene.write("plugins/mine.wasm", EMPTY);
    let ended = scene.run(&["plugins", "list"]).success();
    assert!(
        ended.stdout.contains("broken") && ended.stdout.contains("plugins/mine.wasm"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("the plugin `mine` cannot be used"),
        "{}",
        ended.stderr
    );
    let json: Value = serde_json::from_str(&scene.run(&["plugins", "list", "--json"]).success().stdout).unwrap();
    assert_eq!(json["plugins"][0]["id"], "mine");
    assert!(!json["plugins"][0]["diagnostics"].as_array().unwrap().is_empty());
}

#[test]
fn a_module_that_exports_nothing_cannot_be_packed() {
    let scene = Scene::empty();
    scene.write("core.wasm", EMPTY);
    scene.write("plugin.toml", MANIFEST);
    let ended = scene.run(&["plugins", "pack", "core.wasm"]);
    assert_eq!(ended.code, 2);
    let words = "`core.wasm` cannot be made a plugin of kind `filter`";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(!scene.path("plugins").exists());
}

#[test]
fn new_plugins_are_written_once_and_only_with_good_names() {
    let scene = Scene::empty();
    let bad = scene.run(&["plugins", "new", "../x", "--kind", "filter"]);
    assert_eq!(bad.code, 2);
    assert!(bad.stderr.contains("`../x` is no id of a plugin"), "{}", bad.stderr);
    let new = [
        "plugins",
        "new",
        "my-filter",
        "--kind",
        "filter",
        "--title",
        "Drops \"x\"",
    ];
    let ended = scene.run(&new).success();
    assert!(ended.stdout.contains("my-filter/plugin.toml"), "{}", ended.stdout);
    let manifest = std::fs::read_to_string(scene.path("my-filter/plugin.toml")).unwrap();
    assert!(
        manifest.contains("\"my-filter\"") && !manifest.contains("{{"),
        "{manifest}"
    );
    let again = scene.run(&new);
    assert_eq!(again.code, 2);
    assert!(
        again.stderr.contains("`./my-filter` is there already"),
        "{}",
        again.stderr
    );
}
