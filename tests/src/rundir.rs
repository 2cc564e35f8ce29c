//! What a run leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fixture::{Array, captured};
use crate::tables::{Row, rows};

/// The folder of a finished run.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Its path.
    pub dir: PathBuf,
    /// `report.json`.
    pub report: Value,
    /// `manifest.json`.
    pub manifest: Value,
}

impl RunDir {
    /// Opens a folder and checks that the manifest is true: every output is there with its length and hash, and there is
    /// no other file.
    #[track_caller]
    pub fn open(dir: &Path) -> RunDir {
        let json = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap() };
        let run = RunDir {
            dir: dir.to_owned(),
            report: json("report.json"),
            manifest: json("manifest.json"),
        };
        let mut listed = vec!["manifest.json".to_owned(), "report.json".to_owned()];
        for output in run.outputs() {
            let name = output["file"].as_str().unwrap();
            let bytes = std::fs::read(dir.join(name)).unwrap();
            assert_eq!(output["bytes"].as_u64(), Some(bytes.len() as u64), "{name}");
            assert_eq!(output["sha256"].as_str(), Some(sha256(&bytes).as_str()), "{name}");
            assert!(
                ["stage", "kind"]
                    .iter()
                    .all(|key| output[*key].as_str().is_some_and(|v| !v.is_empty())),
                "{output}"
            );
            listed.push(name.to_owned());
        }
        listed.sort();
        assert_eq!(files(dir), listed);
        run
    }

    /// The outputs that the manifest lists.
    pub fn outputs(&self) -> &[Value] {
        self.manifest["outputs"].as_array().expect("a list of outputs")
    }

    /// Names of the outputs of a stage.
    pub fn outputs_of(&self, stage: &str) -> Vec<&str> {
        self.outputs()
            .iter()
            .filter(|output| output["stage"] == stage)
            .map(|output| output["file"].as_str().unwrap())
            .collect()
    }

    /// The rows of a table.
    pub fn table(&self, name: &str) -> Vec<Row> {
        rows(&self.dir.join(name))
    }

    /// A JSON file.
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.dir.join(name)).unwrap()).unwrap()
    }

    /// All tensors of all shards.
    pub fn tensors(&self) -> BTreeMap<String, Array> {
        captured(&self.dir)
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names of all files in a folder and below it, sorted; none if it does not exist.
pub fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}
