//! `check`: everything that is wrong with files, at once.

use serde_json::Value;
use sli_tests::golden;
use sli_tests::rundir::files;
use sli_tests::scene::{Scene, root};

use crate::scene;

/// The shipped files of a folder, with its name in front.
fn shipped(folder: &str) -> Vec<String> {
    let found = files(&root().join(folder))
        .into_iter()
        .filter(|file| file.ends_with(".toml"));
    found.map(|file| format!("{folder}/{file}")).collect()
}

#[test]
fn every_shipped_file_is_fine_and_names_its_schema() {
    let all = [shipped("pipelines"), shipped("families")].concat();
    assert!(all.len() >= 9, "{all:?}");
    let args: Vec<&str> = ["check"].into_iter().chain(all.iter().map(String::as_str)).collect();
    let ended = sli_tests::binary::run(&root(), &args).success();
    assert_eq!(
        (ended.stdout, ended.stderr),
        (format!("all {} files are fine\n", all.len()), String::new())
    );
    for file in all {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let first = text.lines().next().unwrap();
        let schema = first
            .strip_prefix("#:schema ")
            .unwrap_or_else(|| panic!("{file} names no schema"));
        let folder = root().join(&file).parent().unwrap().to_owned();
        assert!(
            folder.join(schema).is_file(),
            "{file} names {schema}, which is not there"
        );
    }
}

#[test]
fn folders_are_checked_whole() {
    let ended = sli_tests::binary::run(&root(), &["check", "pipelines", "families", "--json"]).success();
    let value: Value = serde_json::from_str(&ended.stdout).unwrap();
    let all = shipped("pipelines").len() + shipped("families").len();
    assert_eq!(
        (value["fine"].as_u64(), value["files"].as_array().map(Vec::len)),
        (Some(all as u64), Some(all))
    );
}

#[test]
fn all_errors_of_all_files_are_told() {
    let scene = scene();
    scene.edit("p.toml", "dtype   = \"f32\"", "dtype   = \"f31\"");
    scene.edit("p.toml", "\"512MiB\"", "\"much\"");
    scene.edit("p.toml", "uses = \"profile\"", "uses = \"profil\"");
    scene.write(
        "mine/mine.toml",
        "schema = 1\nid = \"mine\"\ntitle = \"Mine\"\nextends = \"llama\"\n\n[match]\nmodel_types = [\"mine\"]\n\n\
         [layer.decoder]\nh = \"x + atention(norm(x, 'input_layernorm'), 'self_attn')\"\nout = \"h + mpl(h, 'mlp')\"\n",
    );
    scene.write("notes.toml", "[package]\nname = \"x\"\n");
    scene.write(
        "good.toml",
        "[model]\nsource = \"m\"\n[data]\nsource = \"d.jsonl\"\n[[stage]]\nuses = \"score\"\n",
    );
    let args = ["check", "p.toml", "mine", "notes.toml", "good.toml", "none.toml"];
    let ended = scene.run(&args);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, "1 of 5 files are fine\n"));
    golden::check("cli/check.txt", &golden::normalise(&ended.stderr, scene.dir()));
    let ended = scene.run(&[&args[..], &["--json"]].concat());
    assert_eq!(ended.code, 2);
    let value: Value = serde_json::from_str(&ended.stdout).unwrap();
    let errors: Vec<usize> = value["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["diagnostics"].as_array().unwrap().len())
        .collect();
    assert!(
        errors[0] >= 3 && errors[1] >= 2 && errors[2..] == [1, 0, 1],
        "{errors:?}"
    );
}

#[test]
fn one_good_file_is_fine() {
    let ended = scene().run(&["check", "p.toml"]).success();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("the file is fine\n", "")
    );
    assert_eq!(
        Scene::empty().run(&["check", "."]).code,
        2,
        "an empty folder has nothing to check"
    );
}
