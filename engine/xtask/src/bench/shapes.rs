//! Shapes of models: the `config.json` of each in `tests/bench/shapes/`, and the tensors that follow from it, under the
//! names that published checkpoints use.

use std::fs;

use serde_json::Value as Json;

use crate::{failure::Failure, workspace::Workspace};

/// Where the shapes lie in the repository; a file there is a shape, by its name.
pub(super) const FOLDER: &str = "tests/bench/shapes";

/// What a tensor is filled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fill {
    /// Ones, as a new norm has.
    Ones,
    /// Normal numbers around 0 with this standard deviation.
    Normal(f64),
}

/// One bf16 tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorSpec {
    /// Its published name.
    pub(super) name: String,
    /// Its dimensions, outermost first.
    pub(super) dims: Vec<u64>,
    /// What stands in it.
    pub(super) fill: Fill,
}

impl TensorSpec {
    /// How many numbers it holds.
    pub(super) fn elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        2 * self.elements()
    }
}

/// The shape of a decoder with gated feed-forward layers, dense or with experts.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The name it was asked for by; also that of its folder.
    pub(super) name: String,
    /// Its `config.json`.
    pub(super) config: Json,
    /// Width of the residual stream.
    pub(super) hidden: u64,
    /// Width inside a feed-forward layer, or inside one expert.
    pub(super) intermediate: u64,
    /// Number of layers.
    pub(super) layers: u64,
    /// Number of query heads.
    pub(super) heads: u64,
    /// Number of key heads.
    pub(super) kv_heads: u64,
    /// Number of tokens in the vocabulary.
    pub(super) vocab: u64,
    /// Number of experts a layer; 0 in a dense model.
    pub(super) experts: u64,
}

impl Shape {
    /// Reads the shape `name`; an ending `-4l` stands for that many layers instead of the file's.
    ///
    /// # Errors
    /// [`Failure::Shape`] with the names there are.
    pub(super) fn load(workspace: &Workspace, name: &str) -> Result<Self, Failure> {
        let read = |stem: &str| fs::read_to_string(workspace.root().join(FOLDER).join(format!("{stem}.json"))).ok();
        let shortened = name.strip_suffix('l').and_then(|name| name.rsplit_once('-'));
        let shortened = shortened.and_then(|(stem, layers)| Some((read(stem)?, layers.parse::<u64>().ok()?)));
        let refuse = |problem: String| Failure::Shape {
            name: name.to_owned(),
            problem,
        };
        let (text, layers) = match (read(name), shortened) {
            (Some(text), _) => (text, None),
            (None, Some((text, layers))) => (text, Some(layers)),
            (None, None) => return Err(refuse(format!("there is no such file; there are {}", names(workspace)))),
        };
        let mut config: Json = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        if let Some(layers) = layers {
            config["num_hidden_layers"] = layers.into();
        }
        Self::of(name, config).map_err(refuse)
    }

    /// The shape that `config` states, or what is missing in it.
    fn of(name: &str, config: Json) -> Result<Self, String> {
        let number = |key: &str| match config[key].as_u64() {
            Some(0) | None => Err(format!("its `{key}` is not a number above 0")),
            Some(number) => Ok(number),
        };
        let shape = Self {
            name: name.to_owned(),
            hidden: number("hidden_size")?,
            intermediate: number("intermediate_size")?,
            layers: number("num_hidden_layers")?,
            heads: number("num_attention_heads")?,
            kv_heads: number("num_key_value_heads")?,
            vocab: number("vocab_size")?,
            experts: config["num_local_experts"].as_u64().unwrap_or(0),
            config,
        };
        if !shape.hidden.is_multiple_of(shape.heads) {
            return Err("its `hidden_size` is not a multiple of `num_attention_heads`".into());
        }
        Ok(shape)
    }

    /// Width of one head.
    pub(super) fn head_dim(&self) -> u64 {
        self.hidden / self.heads
    }

    /// Every tensor, in the order of the files: layer by layer, inside a layer by name.
    ///
    /// Deviations are 1 over the root of what is summed, so that numbers stay near 1; what a branch adds is smaller by
    /// the root of twice the number of layers, so that the residual stream ends as large as it began.
    pub(super) fn tensors(&self) -> Vec<TensorSpec> {
        let wide = (self.hidden as f64).powf(-0.5);
        let mut tensors = vec![matrix("model.embed_tokens.weight", self.vocab, self.hidden, 1.0)];
        for layer in 0..self.layers {
            let at = format!("model.layers.{layer}");
            let mut inside = self.attention(&at);
            inside.extend(self.feed_forward(&at));
            inside.sort_by(|a, b| a.name.cmp(&b.name));
            tensors.extend(inside);
        }
        tensors.push(norm("model.norm.weight", self.hidden));
        tensors.push(matrix("lm_head.weight", self.vocab, self.hidden, wide));
        tensors
    }

    fn attention(&self, at: &str) -> Vec<TensorSpec> {
        let (wide, kv) = ((self.hidden as f64).powf(-0.5), self.head_dim() * self.kv_heads);
        let project =
            |name: &str, rows, std| matrix(format!("{at}.self_attn.{name}_proj.weight"), rows, self.hidden, std);
        vec![
            norm(format!("{at}.input_layernorm.weight"), self.hidden),
            project("q", self.hidden, wide),
            project("k", kv, wide),
            project("v", kv, wide),
            project("o", self.hidden, wide * self.quiet()),
        ]
    }

    fn feed_forward(&self, at: &str) -> Vec<TensorSpec> {
        let (wide, inner) = ((self.hidden as f64).powf(-0.5), (self.intermediate as f64).powf(-0.5));
        let gated = |into: String, [gate, up, down]: [&str; 3]| {
            [
                matrix(format!("{into}.{gate}.weight"), self.intermediate, self.hidden, wide),
                matrix(format!("{into}.{up}.weight"), self.intermediate, self.hidden, wide),
                matrix(
                    format!("{into}.{down}.weight"),
                    self.hidden,
                    self.intermediate,
                    inner * self.quiet(),
                ),
            ]
        };
        let mut tensors = vec![norm(format!("{at}.post_attention_layernorm.weight"), self.hidden)];
        if self.experts == 0 {
            tensors.extend(gated(format!("{at}.mlp"), ["gate_proj", "up_proj", "down_proj"]));
            return tensors;
        }
        let mixture = format!("{at}.block_sparse_moe");
        tensors.push(matrix(
            format!("{mixture}.gate.weight"),
            self.experts,
            self.hidden,
            wide,
        ));
        for expert in 0..self.experts {
            tensors.extend(gated(format!("{mixture}.experts.{expert}"), ["w1", "w3", "w2"]));
        }
        tensors
    }

    fn quiet(&self) -> f64 {
        (2.0 * self.layers as f64).powf(-0.5)
    }
}

fn matrix(name: impl Into<String>, rows: u64, columns: u64, std: f64) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dims: vec![rows, columns],
        fill: Fill::Normal(std),
    }
}

fn norm(name: impl Into<String>, width: u64) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dims: vec![width],
        fill: Fill::Ones,
    }
}

fn names(workspace: &Workspace) -> String {
    let entries = fs::read_dir(workspace.root().join(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(name: &str) -> u64 {
        let shape = Shape::load(&Workspace::find(), name).unwrap();
        shape.tensors().iter().map(TensorSpec::elements).sum()
    }

    #[test]
    fn the_published_models_have_these_numbers_of_parameters() {
        assert_eq!(parameters("tinyllama-1.1b"), 1_100_048_384);
        assert_eq!(parameters("llama-2-7b"), 6_738_415_616);
    }

    #[test]
    fn an_ending_says_how_many_layers() {
        let step = parameters("llama-8l") - parameters("llama-4l");
        assert_eq!(parameters("llama-16l") - parameters("llama-8l"), 2 * step);
    }

    #[test]
    fn a_mixture_has_a_router_and_its_experts() {
        let shape = Shape::load(&Workspace::find(), "mixtral-32").unwrap();
        let names: Vec<String> = shape.tensors().into_iter().map(|tensor| tensor.name).collect();
        assert!(names.contains(&"model.layers.11.block_sparse_moe.gate.weight".to_owned()));
        assert!(names.contains(&"model.layers.11.block_sparse_moe.experts.31.w2.weight".to_owned()));
        assert_eq!(
            names.iter().filter(|name| name.contains(".experts.")).count(),
            12 * 32 * 3
        );
    }

    #[test]
    fn an_unknown_shape_is_refused_with_the_known_ones() {
        let message = Shape::load(&Workspace::find(), "gpt-9").unwrap_err().to_string();
        assert!(
            message.contains("`gpt-9`") && message.contains("tinyllama-1.1b"),
            "{message}"
        );
    }
}
