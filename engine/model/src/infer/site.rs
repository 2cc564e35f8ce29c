//! What one node sees of its inputs, and the words for messages about them.

use super::types::{rows_of, show};
use super::{Dim, Fault, Kind, SetId, Sets, Slot, ValueType};
use crate::{Graph, Node, Op, Scalar, Value};

/// A tensor input.
#[derive(Clone, Copy)]
pub(super) struct Tensor<'a> {
    pub(super) dims: &'a [Dim],
    pub(super) kind: Kind,
}

impl Tensor<'_> {
    /// Number of dims.
    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The size of a dim, if it is fixed.
    pub(super) fn size(&self, dim: usize) -> Option<u64> {
        self.dims.get(dim).and_then(|d| d.size())
    }

    /// The shape as text.
    pub(super) fn show(&self) -> String {
        show(self.dims)
    }

    /// This tensor's type with other dims.
    pub(super) fn with(&self, dims: Vec<Dim>) -> ValueType {
        ValueType::Tensor { dims, kind: self.kind }
    }

    /// All dims, if all are fixed.
    pub(super) fn sizes(&self) -> Option<Vec<u64>> {
        self.dims.iter().map(|d| d.size()).collect()
    }
}

/// A node with the types of its inputs.
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph,
    pub(super) node: &'a Node,
    slots: &'a [Slot],
}

impl<'a> Site<'a> {
    /// Fails silently if an input is in error.
    pub(super) fn new(graph: &'a Graph, index: usize, slots: &'a [Slot]) -> Result<Site<'a>, Fault> {
        let site = Site {
            graph,
            node: &graph.nodes[index],
            slots,
        };
        for input in site.node.inputs.iter().flatten() {
            match &slots[input.node as usize] {
                Slot::Unknown => return Err(Fault::Silent),
                Slot::Known(types) if types.len() <= input.out as usize => {
                    return Err(format!(
                        "{} reads output {} of a node that has {}",
                        site.op(),
                        input.out,
                        types.len()
                    )
                    .into());
                }
                _ => {}
            }
        }
        Ok(site)
    }

    /// The op in back-ticks.
    pub(super) fn op(&self) -> String {
        format!("`{}`", self.node.op.name())
    }

    /// The type of input `i`; `None` if it is not given or not there.
    pub(super) fn value(&self, i: usize) -> Option<&'a ValueType> {
        self.node
            .inputs
            .get(i)
            .copied()
            .flatten()
            .and_then(|value| self.type_of(value))
    }

    /// The type of a value of an earlier node.
    pub(super) fn type_of(&self, value: Value) -> Option<&'a ValueType> {
        match &self.slots[value.node as usize] {
            Slot::Known(types) => types.get(value.out as usize),
            _ => None,
        }
    }

    /// Input `i`, which must be a tensor.
    pub(super) fn tensor(&self, i: usize, role: &str) -> Result<Tensor<'a>, String> {
        match self.value(i) {
            Some(ValueType::Tensor { dims, kind }) => Ok(Tensor { dims, kind: *kind }),
            Some(other) => Err(format!("{} needs a tensor as {role}, but it is a {other}", self.op())),
            None => match self.param_path(i) {
                Some(path) => Err(format!("{} needs the tensor `{path}`, which is not there", self.op())),
                None => Err(format!("{} needs {role}, which is not given", self.op())),
            },
        }
    }

    /// Input `i`, which may be missing.
    pub(super) fn optional(&self, i: usize, role: &str) -> Result<Option<Tensor<'a>>, String> {
        if self.value(i).is_some() {
            self.tensor(i, role).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Input `i`: a tensor of exactly `rank` dims, described by `shape` in messages.
    pub(super) fn ranked(&self, i: usize, role: &str, rank: usize, shape: &str) -> Result<Tensor<'a>, String> {
        let tensor = self.tensor(i, role)?;
        if tensor.rank() == rank {
            return Ok(tensor);
        }
        Err(format!(
            "{} expects {role} {shape}, but {} has {} dims",
            self.op(),
            self.named(i, role),
            tensor.rank()
        ))
    }

    /// The token set of the rows of input `i`.
    pub(super) fn rows(&self, i: usize, role: &str) -> Result<SetId, String> {
        let tensor = self.tensor(i, role)?;
        rows_of(tensor.dims).ok_or_else(|| {
            format!(
                "{} needs one row per token, but {} has none",
                self.op(),
                self.named(i, role)
            )
        })
    }

    /// Checks that the rows of input `i` are those of `set`.
    pub(super) fn same_rows(&self, i: usize, role: &str, set: SetId, sets: &Sets) -> Result<(), String> {
        let other = self.rows(i, role)?;
        if other == set {
            Ok(())
        } else {
            Err(self.mixed(set, other, sets))
        }
    }

    /// The message about two token sets that meet.
    pub(super) fn mixed(&self, a: SetId, b: SetId, sets: &Sets) -> String {
        format!(
            "{} mixes two token sets: {} and {}",
            self.op(),
            sets.name(a),
            sets.name(b)
        )
    }

    /// The last dim of a tensor, which must be a number.
    pub(super) fn last(&self, tensor: Tensor<'_>, role: &str) -> Result<u64, String> {
        tensor.dims.last().and_then(|d| d.size()).ok_or_else(|| {
            format!(
                "{} works along the last dim, but {role} {} has none beside its rows",
                self.op(),
                tensor.show()
            )
        })
    }

    /// Input `i` for messages: a tensor of the checkpoint by its name, others by their role, with the shape.
    pub(super) fn named(&self, i: usize, role: &str) -> String {
        let shape = self.value(i).map(|value| value.to_string()).unwrap_or_default();
        match self.param_path(i) {
            Some(path) => format!("`{path}` {shape}"),
            None => format!("{role} {shape}"),
        }
    }

    /// True if input `i` is integer: an integer tensor, or a whole number.
    pub(super) fn is_int(&self, i: usize) -> bool {
        self.node
            .inputs
            .get(i)
            .copied()
            .flatten()
            .is_some_and(|value| self.value_is_int(value))
    }

    fn value_is_int(&self, value: Value) -> bool {
        match self.type_of(value) {
            Some(ValueType::Tensor { kind, .. }) => *kind == Kind::Int,
            Some(ValueType::Scalar) => {
                matches!(self.graph.nodes[value.node as usize].op, Op::Const(Scalar::Int(_)))
            }
            _ => false,
        }
    }

    /// True if input `i` is a tensor of the checkpoint.
    pub(super) fn is_param(&self, i: usize) -> bool {
        self.param_path(i).is_some()
    }

    fn param_path(&self, i: usize) -> Option<&'a str> {
        let value = self.node.inputs.get(i).copied().flatten()?;
        match self.graph.nodes[value.node as usize].op {
            Op::Param(id) => Some(&self.graph.params[id.0 as usize].name.path),
            _ => None,
        }
    }
}
