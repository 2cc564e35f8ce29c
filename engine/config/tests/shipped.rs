//! Every file of this repository satisfies its schema, and so do the good files of the tests.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sli_config::{SourceFile, parse_plugin, schema};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files of a folder whose name ends in `.toml`.
fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    found.sort();
    found
}

/// Manifests among the sources of plugins: `plugins/<group>/<name>/plugin.toml`. Those of templates hold marks instead of
/// names.
fn manifests() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("plugins")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir()
                && path
                    .file_name()
                    .is_some_and(|name| name != "target" && name != "templates")
            {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name == "plugin.toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn assert_valid(schema: &Value, paths: &[PathBuf]) {
    let validator = jsonschema::draft7::options().build(schema).unwrap();
    let mut wrong = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).unwrap();
        let value = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
        for error in validator.iter_errors(&value) {
            wrong.push(format!("{}: {}: {error}", path.display(), error.instance_path()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn schemas_are_draft_7() {
    for (name, schema) in schema::files() {
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#", "{name}");
        assert!(jsonschema::draft7::meta::is_valid(&schema), "{name}");
    }
}

#[test]
fn all_families_satisfy_the_schema() {
    let mut families = toml_files(&root().join("families"));
    assert!(families.len() > 200, "only {} families", families.len());
    families.push(root().join("engine/config/tests/good/everything.toml"));
    assert_valid(&schema::family(), &families);
    let mut shared = toml_files(&root().join("families/std"));
    assert!(shared.len() > 5);
    shared.push(root().join("engine/config/tests/good/std.toml"));
    assert_valid(&schema::family_std(), &shared);
}

#[test]
fn all_pipelines_satisfy_the_schema() {
    let mut pipelines = toml_files(&root().join("pipelines"));
    assert!(!pipelines.is_empty());
    pipelines.push(root().join("engine/config/tests/good/mixtral.toml"));
    assert_valid(&schema::pipeline(), &pipelines);
}

#[test]
fn all_manifests_are_read_and_satisfy_the_schema() {
    let mut files = manifests();
    for name in ["swirls.toml", "length-filter.toml"] {
        files.push(root().join("engine/config/tests/good").join(name));
    }
    for path in &files {
        let name = path.to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        parse_plugin(SourceFile::new(name, text))
            .unwrap_or_else(|errors| panic!("{}", sli_config::render(&errors, false)));
    }
    assert_valid(&schema::plugin(), &files);
    assert_valid(
        &schema::grants_file(),
        &[root().join("engine/config/tests/good/plugins.toml")],
    );
}

/// An editor finds the schema of a file by its first line or by `.taplo.toml`; both must name one that exists.
#[test]
fn the_schema_that_a_file_names_is_there() {
    let folders = ["families", "families/std", "pipelines"];
    let files: Vec<_> = folders
        .iter()
        .flat_map(|folder| toml_files(&root().join(folder)))
        .collect();
    for path in files.iter().chain(&manifests()) {
        let text = fs::read_to_string(path).unwrap();
        let Some(named) = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")) else {
            continue;
        };
        assert!(
            path.parent().unwrap().join(named.trim()).is_file(),
            "{}: {named}",
            path.display()
        );
    }
}
