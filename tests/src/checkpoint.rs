//! Checkpoints in safetensors, written for tests.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Elements in f32, row-major.
    pub values: Vec<f32>,
}

/// Element types that tests store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
}

fn bytes(values: &[f32], kind: Kind) -> Vec<u8> {
    match kind {
        Kind::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Kind::F16 => values
            .iter()
            .flat_map(|v| half::f16::from_f32(*v).to_le_bytes())
            .collect(),
        Kind::Bf16 => values
            .iter()
            .flat_map(|v| half::bf16::from_f32(*v).to_le_bytes())
            .collect(),
    }
}

/// Writes tensors as one `model.safetensors`, or as that many shards with an index.
pub fn write(dir: &Path, tensors: &[Stored], kind: Kind, shards: usize) {
    let dtype = match kind {
        Kind::F32 => Dtype::F32,
        Kind::F16 => Dtype::F16,
        Kind::Bf16 => Dtype::BF16,
    };
    let mut index = BTreeMap::new();
    let per_shard = tensors.len().div_ceil(shards);
    for (k, group) in tensors.chunks(per_shard.max(1)).enumerate() {
        let file = if shards == 1 {
            "model.safetensors".to_owned()
        } else {
            format!("model-{:05}-of-{shards:05}.safetensors", k + 1)
        };
        let data: Vec<Vec<u8>> = group.iter().map(|t| bytes(&t.values, kind)).collect();
        let views = group
            .iter()
            .zip(&data)
            .map(|(t, d)| (t.name.clone(), TensorView::new(dtype, t.shape.clone(), d).unwrap()));
        serialize_to_file(views, None, &dir.join(&file)).unwrap();
        index.extend(group.iter().map(|t| (t.name.clone(), file.clone())));
    }
    if shards > 1 {
        let text = serde_json::json!({ "metadata": {}, "weight_map": index }).to_string();
        std::fs::write(dir.join("model.safetensors.index.json"), text).unwrap();
    }
}
