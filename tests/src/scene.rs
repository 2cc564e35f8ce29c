//! A folder of its own for a test: a model, documents, a pipeline.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::binary::{self, Ended};
use crate::checkpoint::Kind;
use crate::fixture::{Fixture, named};

/// The pipeline of a scene, before its stages.
const PIPELINE: &str = "name = \"p\"

[model]
source = \"model\"

[data]
source = \"rows.jsonl\"

[engine]
dtype   = \"f32\"
memory  = \"512MiB\"
threads = 1

[output]
dir = \"out\"
";

/// A folder that is removed at the end of the test. `model/` holds a checkpoint, `rows.jsonl` documents, `p.toml` a
/// pipeline that writes into `out/`.
#[derive(Debug)]
pub struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// An empty folder.
    pub fn empty() -> Scene {
        Scene {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The model, the documents and a pipeline of the fixture called `fixture`, weights in one f32 file.
    pub fn of(fixture: &str, stages: &str) -> Scene {
        let fixture = named(fixture);
        let scene = Scene::empty();
        fixture.materialize(&scene.path("model"), Kind::F32, 1);
        scene.rows(&fixture.rows());
        scene.pipeline(stages);
        scene
    }

    /// As [`Scene::of`], with a vocabulary of `rows` and the tokenizer of the quickstart model.
    pub fn with_tokenizer(fixture: &str, stages: &str) -> Scene {
        let scene = Scene::empty();
        named(fixture)
            .with_vocabulary(1024)
            .materialize(&scene.path("model"), Kind::F32, 1);
        std::fs::copy(
            root().join("pipelines/quickstart/tokenizer.json"),
            scene.path("model/tokenizer.json"),
        )
        .unwrap();
        scene.pipeline(stages);
        scene
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Writes `rows.jsonl`.
    pub fn rows(&self, rows: &[Value]) {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.write("rows.jsonl", lines);
    }

    /// Writes `p.toml` with these stages.
    pub fn pipeline(&self, stages: &str) {
        self.write("p.toml", format!("{PIPELINE}\n{stages}"));
    }

    /// Replaces a piece of a text file that must be there.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`:\n{text}");
        self.write(name, text.replacen(from, to, 1));
    }

    /// Changes a JSON file.
    pub fn edit_json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap();
        change(&mut value);
        self.write(name, format!("{value:#}\n"));
    }

    /// Runs the binary in the folder.
    pub fn run(&self, args: &[&str]) -> Ended {
        binary::run(self.dir(), args)
    }

    /// Runs `p.toml`, which must succeed, and opens the folder `out` that it leaves.
    #[track_caller]
    pub fn finish(&self, args: &[&str]) -> crate::rundir::RunDir {
        self.run(&[&["run", "p.toml"], args].concat()).success();
        crate::rundir::RunDir::open(&self.path("out"))
    }

    /// As [`Scene::finish`], with `out` removed first.
    #[track_caller]
    pub fn finish_again(&self, args: &[&str]) -> crate::rundir::RunDir {
        std::fs::remove_dir_all(self.path("out")).unwrap();
        self.finish(args)
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// `count` documents of 1 to `longest` ids below `vocabulary`, made by a rule; their ids are `d0`, `d1`, and so on.
pub fn documents(count: usize, longest: u64, vocabulary: u64) -> Vec<Value> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let document = |k: usize| {
        let len = 1 + next(longest);
        let ids: Vec<u64> = (0..len).map(|_| next(vocabulary)).collect();
        serde_json::json!({ "id": format!("d{k}"), "input_ids": ids })
    };
    (0..count).map(document).collect()
}

/// The fixture's vocabulary and most positions.
pub fn sizes(fixture: &Fixture) -> (u64, u64) {
    let config = fixture.config();
    let positions = config["max_position_embeddings"]
        .as_u64()
        .or(config["n_positions"].as_u64());
    (
        config["vocab_size"].as_u64().expect("a vocabulary"),
        positions.expect("positions"),
    )
}
