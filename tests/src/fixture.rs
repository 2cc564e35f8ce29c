//! Parity fixtures: small models with what transformers computed for them (`parity/README.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use serde_json::Value;

use crate::checkpoint::{Kind, Stored, write};
use crate::weights::filled;

/// A value of the reference or of a capture, f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// `[tokens, width]`.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// One fixture.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Name of its folder.
    pub name: String,
    dir: PathBuf,
    /// Another size of the vocabulary than its own.
    vocabulary: Option<u64>,
}

/// The folder of the fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/fixtures")
}

/// All fixtures, by name.
pub fn all() -> Vec<Fixture> {
    let mut names: Vec<String> = (std::fs::read_dir(folder()).unwrap())
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("config.json").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.iter().map(|name| named(name)).collect()
}

/// The fixture called `name`.
pub fn named(name: &str) -> Fixture {
    Fixture {
        name: name.to_owned(),
        dir: folder().join(name),
        vocabulary: None,
    }
}

impl Fixture {
    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&strict(&self.text(file))).unwrap_or_else(|error| panic!("{}/{file}: {error}", self.name))
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join(file)).unwrap()
    }

    /// The rows, as lines of a `.jsonl` source.
    pub fn rows(&self) -> Vec<Value> {
        self.json("inputs.json").as_array().unwrap().clone()
    }

    /// The same model with a vocabulary of `rows`; the reference does not belong to it.
    pub fn with_vocabulary(mut self, rows: u64) -> Fixture {
        self.vocabulary = Some(rows);
        self
    }

    /// The config.
    pub fn config(&self) -> Value {
        let mut config = self.json("config.json");
        if let Some(rows) = self.vocabulary {
            config["vocab_size"] = rows.into();
        }
        config
    }

    /// The tensors of the checkpoint, in file order, filled from the hash.
    pub fn tensors(&self) -> Vec<Stored> {
        let described = self.json("tensors.json");
        let own = self.json("config.json")["vocab_size"].as_u64();
        let size = |dim: u64| self.vocabulary.filter(|_| Some(dim) == own).unwrap_or(dim);
        let fill = self.fill();
        let described = described.as_object().unwrap().iter();
        described
            .map(|(name, about)| {
                let shape: Vec<u64> = about["shape"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|d| size(d.as_u64().unwrap()))
                    .collect();
                let values = filled(name, &shape, &fill);
                Stored {
                    name: name.clone(),
                    shape: shape.iter().map(|d| *d as usize).collect(),
                    values,
                }
            })
            .collect()
    }

    /// What made the reference: `transformers 5.23.0`, `transcription`.
    pub fn made_with(&self) -> String {
        self.json("about.json")["reference"].as_str().unwrap().to_owned()
    }

    /// Globs of names with the offset and scale of their weights.
    fn fill(&self) -> Vec<(String, f32, f32)> {
        let about = self.json("about.json");
        let entries = about["fill"].as_object().into_iter().flatten();
        let number = |v: &Value| v.as_f64().unwrap() as f32;
        entries
            .map(|(glob, v)| (glob.clone(), number(&v[0]), number(&v[1])))
            .collect()
    }

    /// Writes the fixture as a checkpoint folder.
    pub fn materialize(&self, dir: &Path, kind: Kind, shards: usize) {
        std::fs::create_dir_all(dir).unwrap();
        let config = match self.vocabulary {
            None => self.text("config.json"),
            Some(_) => format!("{:#}\n", self.config()),
        };
        std::fs::write(dir.join("config.json"), config).unwrap();
        write(dir, &self.tensors(), kind, shards);
    }

    /// `<row id>/<point>` -> what transformers computed.
    pub fn reference(&self) -> BTreeMap<String, Array> {
        arrays(&self.dir.join("reference.safetensors"))
    }
}

/// JSON as Python writes it, with its bare `Infinity` in the form that transformers 5 gives it.
pub fn strict(text: &str) -> String {
    let line = |line: &str| match line.trim_end_matches(',').strip_suffix("Infinity") {
        Some(start) if !start.ends_with(['"', '-']) => line.replace("Infinity", "{\"__float__\": \"Infinity\"}"),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// The tensors of a safetensors file, whatever their type, as f32.
pub fn arrays(path: &Path) -> BTreeMap<String, Array> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            (
                name,
                Array {
                    shape: view.shape().to_vec(),
                    values: floats(&view),
                },
            )
        })
        .collect()
}

fn floats(view: &safetensors::tensor::TensorView<'_>) -> Vec<f32> {
    let data = view.data();
    let halves = || data.chunks_exact(2).map(|b| [b[0], b[1]]);
    let words = || data.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
    match view.dtype() {
        Dtype::F32 => words().map(f32::from_le_bytes).collect(),
        Dtype::F16 => halves().map(|b| half::f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => halves().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect(),
        Dtype::I32 => words().map(|b| i32::from_le_bytes(b) as f32).collect(),
        Dtype::I64 => data
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
            .collect(),
        other => panic!("no test expects tensors of {other:?}"),
    }
}

/// All captured tensors of a run directory; a key that occurs twice is a defect.
pub fn captured(dir: &Path) -> BTreeMap<String, Array> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "safetensors") {
                for (name, array) in arrays(&path) {
                    assert!(found.insert(name.clone(), array).is_none(), "`{name}` is in two shards");
                }
            }
        }
    }
    found
}
