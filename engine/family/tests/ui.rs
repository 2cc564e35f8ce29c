//! Golden pairs: a broken descriptor `x.toml` and what is said about it, `x.err`. Each is laid over the
//! shipped families and planned for `x.json`, or for `default.json`. `UPDATE_GOLDEN=1` rewrites the texts.

use std::path::{Path, PathBuf};

use sli_config::{SourceFile, render};
use sli_family::Registry;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

fn said(path: &Path) -> String {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let own = path.with_extension("json");
    let config = if own.exists() {
        own
    } else {
        folder().join("default.json")
    };
    let config = serde_json::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
    let mut registry = Registry::shipped();
    let name = format!("families/{stem}.toml");
    registry.add(
        &format!("{stem}.toml"),
        SourceFile::new(name, std::fs::read_to_string(path).unwrap()),
    );
    match registry.get(stem).and_then(|family| family.plan(&config)) {
        Ok(_) => "no error\n".to_owned(),
        Err(errors) => render(&errors, false),
    }
}

#[test]
fn broken_descriptors_are_explained() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        count += 1;
        let found = said(&path);
        let golden = path.with_extension("err");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            wrong.push(format!(
                "{}\n--- found\n{found}\n--- expected\n{expected}",
                path.display()
            ));
        }
    }
    assert!(count >= 20, "only {count} cases found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
