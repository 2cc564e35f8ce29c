//! A family applied to one config.json.

use crate::{Graph, NameRules};
use serde::{Deserialize, Serialize};

/// The plan of a model: what to compute and which tensors to read, before any checkpoint is seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// Id of the family.
    pub family: String,
    /// How names meet a checkpoint.
    pub names: NameRules,
    /// Stacks in the order they run.
    pub stacks: Vec<StackPlan>,
    /// After the last stack: one output per head value, each available on its own.
    pub head: Graph,
    /// Head values that this config has no stack for: (name, reason).
    pub unavailable: Vec<(String, String)>,
    /// Declared inputs other than token ids.
    pub inputs: Vec<(String, InputKind)>,
}

/// A named run of layers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StackPlan {
    /// Its name: `decoder`.
    pub name: String,
    /// Row field with the ids of its token set.
    pub tokens: String,
    /// What enters: output `x` (the residual stream), `let.<leaf>`, `carry.<leaf>`.
    pub enter: Graph,
    /// Layers in order.
    pub layers: Vec<LayerPlan>,
    /// After the last layer: output `final`.
    pub last: Option<Graph>,
}

/// One layer of a stack: input `X`, outputs `out` and `carry.<leaf>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LayerPlan {
    /// Class of the layer.
    pub class: String,
    /// What it computes.
    pub graph: Graph,
}

/// Kinds of the inputs a family may declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum InputKind {
    /// `[C, H, W]` each.
    Images,
    /// `[mel, T]` each.
    Frames,
    /// Audio samples.
    Samples,
    /// Ready rows.
    Rows,
    /// Lists of `[t, h, w]`.
    Grid,
    /// Integers.
    Ids,
    /// One number per token.
    PerToken,
}
