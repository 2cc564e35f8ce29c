//! Which files of a model folder hold its weights, in transformers' order of preference.

use crate::config_json::{json_error, read_text};
use crate::error::CheckpointError;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most bytes an index may have; that of a model with 90 000 tensors has 9 MB.
const MAX_INDEX: u64 = 100 << 20;

/// Endings of weight files that this release does not read, to be named in the error.
const OTHER_FORMATS: [&str; 8] = ["bin", "pt", "pth", "ckpt", "gguf", "h5", "msgpack", "onnx"];

/// The weight files of a folder.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    /// File names, sorted: the order of [`crate::FileId`].
    pub(crate) names: Vec<String>,
    /// The index that listed them, where there is one.
    pub(crate) index: Option<Index>,
}

/// A parsed `*.safetensors.index.json`.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) path: PathBuf,
    /// Tensor name to shard name.
    pub(crate) weight_map: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object with `weight_map`")]
struct RawIndex {
    weight_map: BTreeMap<String, String>,
}

/// True for `name` and `org/name` as the hub spells them. Says nothing about whether such a folder exists.
pub fn looks_like_hub_id(source: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match source.split_once('/') {
        Some((org, name)) => part(org) && part(name),
        None => part(source),
    }
}

/// Refuses what is no folder, with the reason that fits.
pub(crate) fn check_folder(dir: &Path) -> Result<(), CheckpointError> {
    let path = dir.to_owned();
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(CheckpointError::NotAFolder { path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match dir.to_str() {
            Some(id) if id.contains('/') && looks_like_hub_id(id) => Err(CheckpointError::HubId { id: id.to_owned() }),
            _ => Err(CheckpointError::NoFolder { path }),
        },
        Err(source) => Err(CheckpointError::Io {
            action: "open",
            path,
            source,
        }),
    }
}

/// Finds the weight files of `dir`: `model.safetensors`; else the shards of an index; else every `*.safetensors`.
pub(crate) fn weight_files(dir: &Path) -> Result<WeightFiles, CheckpointError> {
    let names = list(dir)?;
    if names.iter().any(|name| name == "model.safetensors") {
        return Ok(WeightFiles {
            names: vec!["model.safetensors".to_owned()],
            index: None,
        });
    }
    let is_index = |name: &&String| name.ends_with(".safetensors.index.json");
    let standard = names.iter().find(|name| *name == "model.safetensors.index.json");
    if let Some(name) = standard.or_else(|| names.iter().find(is_index)) {
        return by_index(dir, name, &names);
    }
    let weights: Vec<String> = names
        .iter()
        .filter(|name| name.ends_with(".safetensors"))
        .cloned()
        .collect();
    if weights.is_empty() {
        return Err(no_weights(dir, &names));
    }
    Ok(WeightFiles {
        names: weights,
        index: None,
    })
}

/// File names in the folder, sorted. Names that are no UTF-8 cannot be asked for and are left out.
fn list(dir: &Path) -> Result<Vec<String>, CheckpointError> {
    let io = |source| CheckpointError::Io {
        action: "list",
        path: dir.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        names.extend(entry.map_err(io)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn by_index(dir: &Path, name: &str, present: &[String]) -> Result<WeightFiles, CheckpointError> {
    let path = dir.join(name);
    let text = read_text(&path, MAX_INDEX)?;
    let raw: RawIndex = serde_json::from_str(&text).map_err(|error| json_error(&path, &error, &[]))?;
    let index = Index {
        path,
        weight_map: raw.weight_map,
    };
    let mut names = BTreeSet::new();
    for (tensor, shard) in &index.weight_map {
        if !names.insert(shard.clone()) {
            continue;
        }
        // A foreign file must not point this program at files elsewhere.
        if shard.contains('/') || matches!(shard.as_str(), "" | "." | "..") {
            return Err(CheckpointError::ShardOutside {
                index: index.path,
                shard: shard.clone(),
            });
        }
        if present.binary_search(shard).is_err() {
            let (shard, tensor) = (shard.clone(), tensor.clone());
            return Err(CheckpointError::ShardMissing {
                index: index.path,
                shard,
                tensor,
            });
        }
    }
    if names.is_empty() {
        return Err(CheckpointError::NoWeights { dir: dir.to_owned() });
    }
    Ok(WeightFiles {
        names: names.into_iter().collect(),
        index: Some(index),
    })
}

fn no_weights(dir: &Path, names: &[String]) -> CheckpointError {
    let other = |name: &&String| {
        Path::new(name)
            .extension()
            .is_some_and(|ending| OTHER_FORMATS.iter().any(|other| ending == *other))
    };
    let dir = dir.to_owned();
    match names.iter().find(other) {
        Some(file) => CheckpointError::OtherFormat {
            dir,
            file: file.clone(),
        },
        None => CheckpointError::NoWeights { dir },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_are_told_from_paths() {
        for id in ["gpt2", "mistralai/Mixtral-8x7B-v0.1", "a_b/c.d"] {
            assert!(looks_like_hub_id(id), "{id}");
        }
        for path in [
            "",
            "./model",
            "/abs/path",
            "a/b/c",
            "../up/x",
            "org/",
            "a b/c",
            "org/.hidden",
        ] {
            assert!(!looks_like_hub_id(path), "{path}");
        }
    }
}
