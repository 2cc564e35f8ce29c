//! Small model folders for the tests.

use safetensors::tensor::{Dtype, TensorView, serialize};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that goes away with the test.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// An empty folder.
    pub(crate) fn empty() -> Folder {
        Folder {
            dir: TempDir::new().unwrap(),
        }
    }

    /// A folder with a `config.json`.
    pub(crate) fn new() -> Folder {
        let folder = Folder::empty();
        folder.write("config.json", br#"{"model_type": "llama"}"#);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
    }

    /// Writes a shard of U8 tensors, each a name and a length, filled with [`byte`].
    pub(crate) fn shard(&self, name: &str, tensors: &[(&str, usize)]) {
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(name, len)| (0..*len).map(|i| byte(name, i)).collect())
            .collect();
        let views = tensors
            .iter()
            .zip(&data)
            .map(|((name, len), data)| (*name, TensorView::new(Dtype::U8, vec![*len], data).unwrap()));
        self.write(name, &serialize(views, None).unwrap());
    }

    /// Writes an index from (tensor, shard) pairs.
    pub(crate) fn index(&self, pairs: &[(&str, &str)]) {
        let map: Vec<_> = pairs
            .iter()
            .map(|(tensor, shard)| format!(r#""{tensor}": "{shard}""#))
            .collect();
        let text = format!(
            r#"{{"metadata": {{"total_size": 1}}, "weight_map": {{{}}}}}"#,
            map.join(", ")
        );
        self.write("model.safetensors.index.json", text.as_bytes());
    }

    /// Cuts `bytes` off the end of a file.
    pub(crate) fn truncate(&self, name: &str, bytes: u64) {
        let file = fs::File::options().write(true).open(self.file(name)).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len - bytes).unwrap();
    }
}

/// A byte that tells which tensor and place it belongs to.
pub(crate) fn byte(name: &str, at: usize) -> u8 {
    let seed = name
        .bytes()
        .fold(7_usize, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    (seed.wrapping_add(at).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8
}
