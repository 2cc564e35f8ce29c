//! How a checkpoint lies in its files: which tensors in which shard, the headers, the parts that threads make.

use serde_json::{Map, json};

use super::shapes::{Shape, TensorSpec};

/// Largest shard in bytes, a tensor larger than that apart.
pub(super) const SHARD_BYTES: u64 = 1_000_000_000;

/// Elements that one thread makes and writes at a time: 8 MiB of bf16.
pub(super) const BLOCK: u64 = 4 << 20;

/// One file of a checkpoint: its tensors in order, back to back behind the header.
#[derive(Debug)]
pub(super) struct Shard {
    /// Its name.
    pub(super) file: String,
    /// What it holds.
    pub(super) tensors: Vec<TensorSpec>,
    /// Its first bytes, up to the first tensor.
    pub(super) header: Vec<u8>,
}

impl Shard {
    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.header.len() as u64 + self.tensors.iter().map(TensorSpec::bytes).sum::<u64>()
    }

    /// All its tensors in parts.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut offset) = (Vec::new(), self.header.len() as u64);
        for (tensor, spec) in self.tensors.iter().enumerate() {
            for start in (0..spec.elements()).step_by(BLOCK as usize) {
                blocks.push(Block {
                    tensor,
                    start,
                    elements: BLOCK.min(spec.elements() - start),
                    offset: offset + 2 * start,
                });
            }
            offset += spec.bytes();
        }
        blocks
    }
}

/// A part of one tensor that one thread makes.
pub(super) struct Block {
    /// The number of the tensor in its shard.
    pub(super) tensor: usize,
    /// Its first element.
    pub(super) start: u64,
    /// How many elements.
    pub(super) elements: u64,
    /// Where it starts in the file, in bytes.
    pub(super) offset: u64,
}

/// The tensors in files of at most `limit` bytes each.
pub(super) fn shards(shape: &Shape, limit: u64) -> Vec<Shard> {
    let mut groups: Vec<Vec<TensorSpec>> = Vec::new();
    let mut room = 0;
    for tensor in shape.tensors() {
        match groups.last_mut() {
            Some(group) if tensor.bytes() <= room => {
                room -= tensor.bytes();
                group.push(tensor);
            }
            _ => {
                room = limit.saturating_sub(tensor.bytes());
                groups.push(vec![tensor]);
            }
        }
    }
    let count = groups.len();
    let shard = |(at, tensors): (usize, Vec<TensorSpec>)| Shard {
        file: format!("model-{:05}-of-{count:05}.safetensors", at + 1),
        header: header(&tensors),
        tensors,
    };
    groups.into_iter().enumerate().map(shard).collect()
}

/// The head of a safetensors file: the length of the JSON in 8 bytes, the JSON, spaces up to a multiple of 8.
fn header(tensors: &[TensorSpec]) -> Vec<u8> {
    let mut fields = Map::new();
    fields.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes();
        let field = json!({"dtype": "BF16", "shape": tensor.dims, "data_offsets": [at, end]});
        fields.insert(tensor.name.clone(), field);
        at = end;
    }
    let mut text = serde_json::Value::Object(fields).to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn shards_keep_to_their_limit_and_lose_nothing() {
        let shape = Shape::load(&Workspace::find(), "llama-1l").unwrap();
        let shards = shards(&shape, 20_000_000);
        assert!(shards.len() > 2 && shards.iter().all(|shard| shard.header.len() % 8 == 0));
        let size = |shard: &Shard| shard.tensors.iter().map(TensorSpec::bytes).sum::<u64>();
        assert!(
            shards
                .iter()
                .all(|shard| size(shard) <= 20_000_000 || shard.tensors.len() == 1)
        );
        let kept: Vec<TensorSpec> = shards.into_iter().flat_map(|shard| shard.tensors).collect();
        assert_eq!(kept, shape.tensors());
    }
}
