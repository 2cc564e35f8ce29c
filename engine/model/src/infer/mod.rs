//! Shape inference: from the types of parameters and graph inputs to those of every node.
//!
//! After binding every dim but the row dims is a known number, so each op is checked with the actual
//! sizes: a config that disagrees with the weights is found here, not in a kernel.

mod attention;
mod broadcast;
mod experts;
mod foreign;
mod matrices;
mod mixers;
mod norms;
mod op;
mod pair_bias;
mod pointwise;
mod reshape;
mod rows;
mod site;
mod structure;
#[cfg(test)]
mod tests;
mod types;

pub use pair_bias::check_pair_bias;
pub use structure::check_structure;
pub use types::{Dim, Kind, SetId, Sets, ValueType};

use crate::{Graph, GraphInput, Node, Op, Origin};
use serde::{Deserialize, Serialize};
use site::Site;

/// Most elements of a value beside its rows.
const MAX_ELEMENTS: u64 = 1 << 40;

/// A node whose inputs do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeError {
    /// What does not fit, with the actual sizes.
    pub message: String,
    /// Where the node was written.
    pub origin: Origin,
}

impl std::fmt::Display for TypeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin.lead())?;
        f.write_str(&self.message)?;
        f.write_str(&self.origin.trail())
    }
}

impl std::error::Error for TypeError {}

/// What is known of a parameter before inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// It is optional and the checkpoint does not have it.
    Absent,
    /// It was reported elsewhere (missing, of a shape that does not fit): nodes that need it are skipped.
    Unknown,
    /// A tensor, in the shape the graph sees: cut, stacked and reshaped.
    Tensor {
        /// Its shape.
        shape: Vec<u64>,
        /// Its elements.
        kind: Kind,
    },
}

/// What is known of a graph input before inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputType {
    /// A value of that type.
    Known(ValueType),
    /// The cause was reported elsewhere: nodes that need it are skipped.
    Unknown,
    /// There is no such value; the text says why.
    Missing(String),
}

/// Types of the parameters of a graph and of the bodies of its `experts` nodes.
#[derive(Clone, Debug, Default)]
pub struct ParamTypes {
    /// One per parameter of the graph.
    pub params: Vec<ParamType>,
    /// By node, the parameters of that node's body as one expert sees them.
    pub experts: Vec<(u32, ParamTypes)>,
}

/// What surrounds a graph.
pub struct Env<'a> {
    /// Types of the values from outside.
    pub inputs: &'a dyn Fn(&GraphInput) -> InputType,
    /// The graph's own token set.
    pub set: SetId,
    /// All token sets of the plan.
    pub sets: &'a mut Sets,
}

/// Types of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Inferred {
    /// Node -> outputs; empty for a node that is not needed, absent or in error.
    pub types: Vec<Vec<ValueType>>,
    /// Types in the bodies of `experts` nodes, by node.
    pub experts: Vec<(u32, Inferred)>,
    /// Nodes that do not fit. Nodes that depend on one of them are not reported again.
    pub errors: Vec<TypeError>,
}

/// State of a node during inference.
enum Slot {
    Known(Vec<ValueType>),
    /// An optional parameter that is not there.
    Absent,
    /// In error, or depending on one that is, or not needed.
    Unknown,
}

/// Why a node has no type.
enum Fault {
    Message(String),
    /// The cause was reported elsewhere.
    Silent,
    /// It is an optional value that is not there.
    Absent,
}

impl From<String> for Fault {
    fn from(message: String) -> Fault {
        Fault::Message(message)
    }
}

type Outputs = Result<Vec<ValueType>, Fault>;

/// Infers the types of the nodes marked in `need`.
///
/// The graph must have passed [`check_structure`]. Errors are in the result; inference goes on behind
/// them as far as it can.
pub fn infer(graph: &Graph, need: &[bool], params: &ParamTypes, env: &mut Env<'_>) -> Inferred {
    let mut slots: Vec<Slot> = Vec::with_capacity(graph.nodes.len());
    let mut found = Inferred::default();
    for (index, node) in graph.nodes.iter().enumerate() {
        let result = if need[index] {
            node_type(graph, index, &slots, params, env, &mut found)
        } else {
            Err(Fault::Silent)
        };
        slots.push(match result.and_then(|types| possible(node, types)) {
            Ok(types) => Slot::Known(types),
            Err(Fault::Absent) => Slot::Absent,
            Err(Fault::Silent) => Slot::Unknown,
            Err(Fault::Message(message)) => {
                found.errors.push(TypeError {
                    message,
                    origin: node.origin.clone(),
                });
                Slot::Unknown
            }
        });
    }
    found.types = slots
        .into_iter()
        .map(|slot| if let Slot::Known(types) = slot { types } else { vec![] })
        .collect();
    found
}

/// The types, if memory could hold what they say of one row.
fn possible(node: &Node, types: Vec<ValueType>) -> Outputs {
    for value in &types {
        let sizes = value.dims().into_iter().flatten().filter_map(|dim| dim.size());
        let elements = sizes.fold(1u64, u64::saturating_mul);
        if elements > MAX_ELEMENTS {
            return Err(format!("`{}` gives {value}, which is larger than any memory", node.op.name()).into());
        }
    }
    Ok(types)
}

fn node_type(
    graph: &Graph,
    index: usize,
    slots: &[Slot],
    params: &ParamTypes,
    env: &mut Env<'_>,
    found: &mut Inferred,
) -> Outputs {
    let node = &graph.nodes[index];
    match &node.op {
        Op::Input(input) => match (env.inputs)(input) {
            InputType::Known(value) => Ok(vec![value]),
            InputType::Unknown => Err(Fault::Silent),
            InputType::Missing(why) => Err(Fault::Message(why)),
        },
        Op::Param(id) => match &params.params[id.0 as usize] {
            ParamType::Absent => Err(Fault::Absent),
            ParamType::Unknown => Err(Fault::Silent),
            ParamType::Tensor { shape, kind } => {
                let dims = shape.iter().map(|size| Dim::Size(*size)).collect();
                Ok(vec![ValueType::Tensor { dims, kind: *kind }])
            }
        },
        Op::Experts(options) => {
            let site = Site::new(graph, index, slots)?;
            let none = ParamTypes::default();
            let body = params
                .experts
                .iter()
                .find(|e| e.0 == index as u32)
                .map_or(&none, |e| &e.1);
            let (outputs, mut inferred) = experts::experts(&site, options, body, env)?;
            found.errors.append(&mut inferred.errors);
            found.experts.push((index as u32, inferred));
            outputs
        }
        op => op::infer(&Site::new(graph, index, slots)?, op, env),
    }
}
