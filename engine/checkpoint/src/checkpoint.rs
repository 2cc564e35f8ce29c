//! A checkpoint: its configuration and the table of its tensors. Opening one reads no weight.

use crate::config_json;
use crate::discover::{self, Index};
use crate::error::{CheckpointError, More};
use crate::header::{self, HeaderTensor};
use serde_json::Value;
use sli_model::DType;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A weight file of one checkpoint: its place in [`Checkpoint::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A tensor of one checkpoint: its place in [`Checkpoint::tensors`], which is file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);

/// A weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes when its header was read.
    pub len: u64,
}

/// Where one tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape, outermost dimension first; empty for a scalar.
    pub shape: Vec<u64>,
    /// The file that holds it.
    pub file: FileId,
    /// Absolute offset of its first byte in that file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl TensorEntry {
    /// Whether its elements are aligned in the file. They are then aligned in an arena as well, because arenas keep
    /// the file's offsets modulo the page size; where not, a view as elements is impossible and a copy is needed.
    pub fn is_aligned(&self) -> bool {
        self.offset.is_multiple_of(self.dtype.size() as u64)
    }
}

/// A tensor whose dtype this project does not know. It cannot be loaded; a binding reports it by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedTensor {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its dtype as the header spells it, as `F4`.
    pub dtype: String,
    /// Its shape as the header gives it.
    pub shape: Vec<u64>,
    /// The file that holds it.
    pub file: FileId,
    /// Its length in bytes.
    pub len: u64,
}

/// A model folder whose headers have been read and proven.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    config: Value,
    config_text: String,
    files: Vec<CheckpointFile>,
    tensors: Vec<TensorEntry>,
    unsupported: Vec<UnsupportedTensor>,
    by_name: HashMap<String, TensorId>,
}

impl Checkpoint {
    /// Opens the model folder `dir`: reads `config.json` and every safetensors header, and no weight.
    ///
    /// # Errors
    /// Every way in which the folder, the configuration, a header or the index can be wrong; see
    /// [`CheckpointError`] and [`crate::HeaderProblem`].
    pub fn open(dir: &Path) -> Result<Checkpoint, CheckpointError> {
        discover::check_folder(dir)?;
        let (config, config_text) = config_json::read(dir)?;
        let weights = discover::weight_files(dir)?;
        let mut table = Table::default();
        for name in &weights.names {
            let path = dir.join(name);
            let header = header::read(&path)?;
            table.add_file(
                CheckpointFile {
                    path,
                    len: header.file_len,
                },
                header.tensors,
            );
        }
        let checkpoint = table.finish(dir.to_owned(), config, config_text)?;
        if let Some(index) = &weights.index {
            checkpoint.check_index(index)?;
        }
        tracing::debug!(dir = %dir.display(), files = checkpoint.files.len(), tensors = checkpoint.tensors.len(), "opened checkpoint");
        Ok(checkpoint)
    }

    /// Opens the `[model] source` of a pipeline: a directory, absolute or relative to `base` (the folder of the
    /// pipeline file).
    ///
    /// # Errors
    /// As [`Checkpoint::open`]; a source that is no folder and reads like a hub id is called one.
    pub fn open_source(source: &str, base: &Path) -> Result<Checkpoint, CheckpointError> {
        let dir = base.join(source);
        if !dir.exists() && discover::looks_like_hub_id(source) {
            return Err(CheckpointError::HubId { id: source.to_owned() });
        }
        Checkpoint::open(&dir)
    }

    /// A checkpoint from its parts, for tests and for planning without files. Tensors are sorted into file order.
    ///
    /// # Errors
    /// [`CheckpointError::Duplicate`] for two tensors of one name.
    ///
    /// # Panics
    /// If a tensor names a file that is not in `files`.
    pub fn from_parts(
        config: Value,
        files: Vec<CheckpointFile>,
        mut tensors: Vec<TensorEntry>,
    ) -> Result<Checkpoint, CheckpointError> {
        assert!(
            tensors.iter().all(|tensor| (tensor.file.0 as usize) < files.len()),
            "a tensor of an unknown file"
        );
        tensors.sort_by_key(|tensor| (tensor.file, tensor.offset, tensor.len));
        let config_text = config.to_string();
        Table {
            files,
            tensors,
            unsupported: Vec::new(),
        }
        .finish(PathBuf::new(), config, config_text)
    }

    /// The model folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `config.json`, with Python's non-finite literals as `{"__float__": "Infinity"}`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The text of `config.json` as it is on disk.
    pub fn config_text(&self) -> &str {
        &self.config_text
    }

    /// The weight files, sorted by name.
    pub fn files(&self) -> &[CheckpointFile] {
        &self.files
    }

    /// One weight file.
    ///
    /// # Panics
    /// If `id` is of another checkpoint and too large for this one.
    pub fn file(&self, id: FileId) -> &CheckpointFile {
        &self.files[id.0 as usize]
    }

    /// All tensors in file order: by file, then by offset.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    /// One tensor's entry.
    ///
    /// # Panics
    /// If `id` is of another checkpoint and too large for this one.
    pub fn tensor(&self, id: TensorId) -> &TensorEntry {
        &self.tensors[id.0 as usize]
    }

    /// All ids with their entries, in file order.
    pub fn iter(&self) -> impl Iterator<Item = (TensorId, &TensorEntry)> {
        (0..).map(TensorId).zip(&self.tensors)
    }

    /// The tensor called `name`.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.by_name.get(name).copied()
    }

    /// Tensors of dtypes that this project does not know, in file order. They are not among
    /// [`Checkpoint::tensors`]; strict binding must refuse or ignore them by name.
    pub fn unsupported(&self) -> &[UnsupportedTensor] {
        &self.unsupported
    }

    /// Bytes of all tensors, loadable or not; file headers are not counted.
    pub fn total_bytes(&self) -> u64 {
        let known: u64 = self.tensors.iter().map(|tensor| tensor.len).sum();
        known + self.unsupported.iter().map(|tensor| tensor.len).sum::<u64>()
    }

    /// `tokenizer.json` of the folder, if it is there.
    pub fn tokenizer_path(&self) -> Option<PathBuf> {
        Some(self.dir.join("tokenizer.json")).filter(|path| path.is_file())
    }

    /// The index must say of every tensor where it really is, and list every tensor there is.
    fn check_index(&self, index: &Index) -> Result<(), CheckpointError> {
        let shards: HashMap<&str, String> = self
            .names()
            .map(|(name, file)| (name, file_name(&self.file(file).path)))
            .collect();
        let mut wrong = index
            .weight_map
            .iter()
            .filter(|(name, shard)| shards.get(name.as_str()) != Some(*shard));
        if let Some((tensor, shard)) = wrong.next() {
            let found = match shards.get(tensor.as_str()) {
                Some(other) => format!("but it is in `{other}`"),
                None => "but no shard holds it".to_owned(),
            };
            let (tensor, shard, more) = (tensor.clone(), shard.clone(), More(wrong.count()));
            return Err(CheckpointError::NotInShard {
                index: index.path.clone(),
                tensor,
                shard,
                found,
                more,
            });
        }
        let mut unlisted = self.names().filter(|(name, _)| !index.weight_map.contains_key(*name));
        if let Some((tensor, _)) = unlisted.next() {
            let (tensor, shard, more) = (tensor.to_owned(), shards[tensor].clone(), More(unlisted.count()));
            return Err(CheckpointError::NotInIndex {
                index: index.path.clone(),
                tensor,
                shard,
                more,
            });
        }
        Ok(())
    }

    /// Names of all tensors, loadable or not, with their files.
    fn names(&self) -> impl Iterator<Item = (&str, FileId)> {
        let known = self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.file));
        known.chain(
            self.unsupported
                .iter()
                .map(|tensor| (tensor.name.as_str(), tensor.file)),
        )
    }
}

/// A checkpoint's table while files are added to it.
#[derive(Default)]
struct Table {
    files: Vec<CheckpointFile>,
    tensors: Vec<TensorEntry>,
    unsupported: Vec<UnsupportedTensor>,
}

impl Table {
    fn add_file(&mut self, file: CheckpointFile, tensors: Vec<HeaderTensor>) {
        let id = FileId(self.files.len() as u32);
        self.files.push(file);
        for HeaderTensor {
            name,
            dtype,
            shape,
            offset,
            len,
        } in tensors
        {
            match DType::parse(&dtype) {
                Some(dtype) => self.tensors.push(TensorEntry {
                    name,
                    dtype,
                    shape,
                    file: id,
                    offset,
                    len,
                }),
                None => self.unsupported.push(UnsupportedTensor {
                    name,
                    dtype,
                    shape,
                    file: id,
                    len,
                }),
            }
        }
    }

    fn finish(self, dir: PathBuf, config: Value, config_text: String) -> Result<Checkpoint, CheckpointError> {
        let Table {
            files,
            tensors,
            unsupported,
        } = self;
        let mut seen: HashMap<&str, FileId> = HashMap::with_capacity(tensors.len());
        let known = tensors.iter().map(|tensor| (&tensor.name, tensor.file));
        for (name, file) in known.chain(unsupported.iter().map(|tensor| (&tensor.name, tensor.file))) {
            if let Some(first) = seen.insert(name, file) {
                let [first, second] = [first, file].map(|id| file_name(&files[id.0 as usize].path));
                return Err(CheckpointError::Duplicate {
                    name: name.clone(),
                    first,
                    second,
                });
            }
        }
        let by_name = (0..)
            .map(TensorId)
            .zip(&tensors)
            .map(|(id, tensor)| (tensor.name.clone(), id))
            .collect();
        Ok(Checkpoint {
            dir,
            config,
            config_text,
            files,
            tensors,
            unsupported,
            by_name,
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
