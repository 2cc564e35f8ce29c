//! The map of crates in `docs/ARCHITECTURE.md`, enforced as far as a test can.

use std::path::{Path, PathBuf};

fn engine() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine")
}

/// All Rust sources of a crate with their text, support for its own tests left out.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![engine().join(krate).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("testing.rs")
                && !path.ends_with("tests.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{krate} has no sources");
    found
}

const CRATES: [&str; 11] = [
    "model",
    "config",
    "family",
    "checkpoint",
    "pack",
    "plugin",
    "torch",
    "runtime",
    "watch",
    "cli",
    "xtask",
];

#[test]
fn crates_depend_only_in_the_direction_of_the_map() {
    let allowed = [
        ("model", vec![]),
        ("config", vec!["sli-model"]),
        ("family", vec!["sli-model", "sli-config"]),
        ("pack", vec!["sli-config"]),
        ("plugin", vec!["sli-model", "sli-config", "sli-family", "sli-pack"]),
        ("checkpoint", vec!["sli-model"]),
        ("watch", vec!["sli-config"]),
        ("torch", vec!["sli-model"]),
        (
            "runtime",
            vec!["sli-model", "sli-config", "sli-checkpoint", "sli-torch"],
        ),
        ("xtask", vec!["sli-config", "sli-family", "sli-pack"]),
    ];
    for (krate, may) in allowed {
        let manifest = std::fs::read_to_string(engine().join(krate).join("Cargo.toml")).unwrap();
        let named = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("sli-"));
        for name in named {
            assert!(may.contains(&name), "sli-{krate} must not depend on {name}");
        }
        assert_eq!(
            manifest.lines().any(|line| line.starts_with("tch")),
            krate == "torch",
            "only sli-torch depends on tch"
        );
        assert_eq!(
            manifest.lines().any(|line| line.starts_with("wasmtime")),
            krate == "plugin",
            "only sli-plugin depends on wasmtime"
        );
    }
}

#[test]
fn plain_data_crates_open_no_files() {
    for krate in ["model", "config"] {
        for (path, text) in sources(krate) {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            assert!(
                !code.contains("std::fs") && !code.contains("File::open"),
                "{} opens a file",
                path.display()
            );
        }
    }
}

#[test]
fn the_engine_names_no_family() {
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("../families");
    let ids: Vec<String> = (std::fs::read_dir(families).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    assert!(ids.len() > 100);
    for krate in CRATES {
        for (path, text) in sources(krate) {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for id in &ids {
                    assert!(
                        !line.contains(&format!("\"{id}\"")),
                        "{} names the family {id}: {line}",
                        path.display()
                    );
                }
            }
        }
    }
}

/// Plugins are made for a version of the contract: its files stay as they were released. A change is a new folder.
#[test]
fn the_contract_with_plugins_is_frozen_by_version() {
    let wit = engine().join("../plugins/wit");
    let stated = std::fs::read_to_string(wit.join("digests.txt")).unwrap();
    let mut versions = 0;
    for line in stated.lines() {
        let (version, digest) = line.split_once(' ').unwrap();
        let mut files: Vec<PathBuf> = std::fs::read_dir(wit.join(version))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let text: String = files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        let found = sli_tests::rundir::sha256(text.as_bytes());
        assert_eq!(found, digest, "plugins/wit/{version} has changed since its release");
        versions += 1;
    }
    let folders = std::fs::read_dir(&wit)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(versions, folders.count(), "every version has its digest");
}
