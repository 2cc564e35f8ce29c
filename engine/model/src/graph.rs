//! The tensor graph: nodes in topological order, parameters by name, points.

use crate::{Num, Op, ParamName};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// Index of a parameter in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ParamId(pub u32);

/// One result of a node. Every result but those of `Split`, `TopK`, `SparseMixer` and `Attend` is output 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Index of the node in `Graph::nodes`.
    pub node: u32,
    /// Which of its results.
    #[serde(default)]
    pub out: u16,
}

/// An operation with its inputs, all of nodes before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What to compute.
    pub op: Op,
    /// Inputs in the order the op documents; `None` is an optional one that is not given.
    pub inputs: Vec<Option<Value>>,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Origin::is_unknown")]
    pub origin: Origin,
}

/// Where a node was written, for messages. It takes no part in comparisons: two families that say the
/// same in different files have equal plans.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// The calls that led here: `decoder.1 > attention(self_attn) > norm(q_norm)`.
    pub chain: String,
    /// File that states the equation.
    pub file: String,
    /// Byte range of the expression in that file.
    pub span: (u32, u32),
    /// Table and key: `[block.norm] out`.
    pub equation: String,
}

impl Origin {
    /// True if nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.chain.is_empty() && self.file.is_empty() && self.equation.is_empty()
    }

    /// What stands before a message: `decoder.1 > norm(q_norm): `, empty if nothing is known.
    pub fn lead(&self) -> String {
        if self.chain.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.chain)
        }
    }

    /// What stands behind a message: `; [block.norm] out in llama.toml`, empty if nothing is known.
    pub fn trail(&self) -> String {
        match (self.equation.is_empty(), self.file.is_empty()) {
            (true, true) => String::new(),
            (true, false) => format!("; in {}", self.file),
            (false, true) => format!("; {}", self.equation),
            (false, false) => format!("; {} in {}", self.equation, self.file),
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Origin) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A tensor of the checkpoint that a graph reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Its name, before root, renames and ties are applied.
    pub name: ParamName,
    /// Read in this shape (the same elements).
    #[serde(default)]
    pub shape: Option<Vec<u64>>,
    /// It may be missing (biases).
    #[serde(default)]
    pub optional: bool,
    /// One tensor or several.
    #[serde(default)]
    pub form: ParamForm,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Origin::is_unknown")]
    pub origin: Origin,
}

/// How a parameter is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ParamForm {
    /// One tensor.
    #[default]
    One,
    /// `{n}` in the name is 0 .. count-1; stacked on a new dim 0.
    Stack {
        /// Number of tensors.
        count: u64,
    },
    /// Inside `experts`: `{e}` in the name is the expert.
    Expert,
    /// Inside `experts`: dim 0 of one tensor is cut in as many equal parts as there are experts; a
    /// tensor `[E, a, b]` gives `[a, b]`, `[E*a, b]` gives `[a, b]`.
    Slice,
}

/// A value that comes from outside the graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GraphInput {
    /// The residual stream (`[N, hidden]`), or the input of an expert.
    X,
    /// Token ids of the stack's token set, `[N]` i64.
    Tokens,
    /// Position of each token in its sequence, `[N]` i64.
    Positions,
    /// Token type ids of the row, zeros where it has none, `[N]` i64.
    TokenTypes,
    /// Another field of the rows (`input.<name>`).
    Field(String),
    /// A leaf of the stack's `let` values, by path.
    Let(String),
    /// A leaf of the values carried from layer to layer, by path.
    Carry(String),
    /// A value of a finished stack.
    Stack {
        /// Name of the stack.
        stack: String,
        /// Which of its values.
        value: StackValue,
    },
    /// An index in the body of `pair_bias`, f32.
    Pair(PairIndex),
}

/// The indices that a score bias is an equation of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PairIndex {
    /// `[1, queries, 1]`: index of the query in its sequence.
    Query,
    /// `[1, 1, keys]`: index of the key in its sequence.
    Key,
    /// `[H, 1, 1]`: number of the head.
    Head,
}

impl PairIndex {
    /// The member of `x` in the block of `pair_bias`.
    pub fn name(self) -> &'static str {
        match self {
            PairIndex::Query => "q",
            PairIndex::Key => "k",
            PairIndex::Head => "h",
        }
    }
}

/// The values of a finished stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StackValue {
    /// After the equation `final`.
    Final,
    /// The output of the last layer.
    Out,
    /// The output of layer k - 1; 0 is the input.
    Hidden(u32),
}

/// A named value that stages can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Name below the graph's own: `attention.q`; empty for the output of a layer.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// A graph of operations. Nodes stand in topological order; it is plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Operations, inputs before users.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Tensors read.
    #[serde(default)]
    pub params: Vec<Param>,
    /// Results by name: `out` (a block, a layer), `x`, `let.<leaf>`, `carry.<leaf>`, names of heads.
    #[serde(default)]
    pub outputs: Vec<(String, Value)>,
    /// Named values in between.
    #[serde(default)]
    pub points: Vec<Point>,
}

impl Graph {
    /// The output called `name`.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|o| o.0 == name).map(|o| o.1)
    }

    /// Appends a node and returns its first result.
    pub fn push(&mut self, op: Op, inputs: Vec<Option<Value>>, origin: Origin) -> Value {
        self.nodes.push(Node { op, inputs, origin });
        Value {
            node: self.nodes.len() as u32 - 1,
            out: 0,
        }
    }

    /// Marks the nodes that `wanted` needs, by index.
    pub fn needed(&self, wanted: impl IntoIterator<Item = Value>) -> Vec<bool> {
        self.needed_beside(wanted, &|_| false)
    }

    /// Marks the nodes that `wanted` needs where the values of `known` are there already.
    pub fn needed_beside(&self, wanted: impl IntoIterator<Item = Value>, known: &dyn Fn(Value) -> bool) -> Vec<bool> {
        let mut need = vec![false; self.nodes.len()];
        for value in wanted {
            need[value.node as usize] |= !known(value);
        }
        for index in (0..self.nodes.len()).rev() {
            if need[index] {
                for input in self.nodes[index].inputs.iter().flatten() {
                    need[input.node as usize] |= !known(*input);
                }
            }
        }
        need
    }

    /// The parameters that the marked nodes read.
    pub fn params_of(&self, need: &[bool]) -> Vec<ParamId> {
        let mut ids: Vec<ParamId> = (self.nodes.iter().zip(need))
            .filter_map(|(node, needed)| match node.op {
                Op::Param(id) if *needed => Some(id),
                _ => None,
            })
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// The number that `value` is, if it is a constant.
    pub fn constant(&self, value: Value) -> Option<Num> {
        match self.nodes[value.node as usize].op {
            Op::Const(scalar) => Some(Num(scalar.as_f64())),
            _ => None,
        }
    }
}
