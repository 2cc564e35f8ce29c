//! What `inspect` counts.

use serde::Serialize;
use serde_json::Value;
use sli_checkpoint::{Checkpoint, TensorId};
use sli_model::ModelPlan;
use sli_model::bind::{Binding, BoundGraph};

/// Keys of config.json worth showing, in the order shown; those of older models beside the newer names.
const KEYS: [&str; 22] = [
    "model_type",
    "architectures",
    "torch_dtype",
    "dtype",
    "num_hidden_layers",
    "n_layer",
    "hidden_size",
    "n_embd",
    "intermediate_size",
    "n_inner",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "head_dim",
    "num_local_experts",
    "num_experts_per_tok",
    "sliding_window",
    "vocab_size",
    "max_position_embeddings",
    "n_positions",
    "tie_word_embeddings",
    "transformers_version",
];

/// The keys that this config.json has, nulls left out.
pub(super) fn summary(config: &Value) -> Vec<(&'static str, Value)> {
    let value = |key: &&'static str| Some((*key, config.get(*key).filter(|value| !value.is_null())?.clone()));
    KEYS.iter().filter_map(value).collect()
}

/// The tensors of one dtype.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct DtypeRow {
    /// As the header spells it.
    pub(super) dtype: String,
    /// How many tensors.
    pub(super) tensors: u64,
    /// How many elements they have together.
    pub(super) elements: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// The dtypes of a checkpoint, most bytes first; those that cannot be read too.
pub(super) fn dtypes(checkpoint: &Checkpoint) -> Vec<DtypeRow> {
    let known = checkpoint
        .tensors()
        .iter()
        .map(|tensor| (tensor.dtype.to_string(), &tensor.shape, tensor.len));
    let other = checkpoint
        .unsupported()
        .iter()
        .map(|tensor| (tensor.dtype.clone(), &tensor.shape, tensor.len));
    let mut rows: Vec<DtypeRow> = Vec::new();
    for (dtype, shape, bytes) in known.chain(other) {
        let index = rows.iter().position(|row| row.dtype == dtype).unwrap_or_else(|| {
            rows.push(DtypeRow {
                dtype,
                tensors: 0,
                elements: 0,
                bytes: 0,
            });
            rows.len() - 1
        });
        rows[index].tensors += 1;
        rows[index].elements += shape.iter().product::<u64>();
        rows[index].bytes += bytes;
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    rows
}

/// One graph of the model and what it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Layer {
    /// `embed`, `decoder.3`, `decoder.final`, `head`.
    pub(super) name: String,
    /// Class of a layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    /// How many tensors it reads.
    pub(super) tensors: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// Everything that reads weights, in the order it runs. A tensor that two of them read counts in both.
pub(super) fn layers(plan: &ModelPlan, binding: &Binding, checkpoint: &Checkpoint) -> Vec<Layer> {
    let layer = |name: String, class: Option<&str>, graph: &BoundGraph| {
        let tensors = graph.tensors();
        let bytes = tensors
            .iter()
            .map(|tensor| checkpoint.tensor(TensorId(*tensor)).len)
            .sum();
        Layer {
            name,
            class: class.map(str::to_owned),
            tensors: tensors.len() as u64,
            bytes,
        }
    };
    let mut layers = Vec::new();
    for (stack, bound) in plan.stacks.iter().zip(&binding.stacks) {
        let enter = if plan.stacks.len() == 1 {
            "embed".to_owned()
        } else {
            format!("{}.embed", stack.name)
        };
        layers.push(layer(enter, None, &bound.enter));
        for (index, (written, bound)) in stack.layers.iter().zip(&bound.layers).enumerate() {
            layers.push(layer(format!("{}.{index}", stack.name), Some(&written.class), bound));
        }
        layers.extend(
            bound
                .last
                .as_ref()
                .map(|last| layer(format!("{}.final", stack.name), None, last)),
        );
    }
    layers.push(layer("head".to_owned(), None, &binding.head));
    layers.retain(|layer| layer.tensors > 0);
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_summary_shows_what_is_there() {
        let config = json!({"hidden_size": 8, "model_type": "llama", "head_dim": null, "other": 1});
        assert_eq!(
            summary(&config),
            [("model_type", json!("llama")), ("hidden_size", json!(8))]
        );
    }
}
