//! Types of values: dims, token sets, element kinds.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// A token set of a plan: stack k has set k, unless an earlier stack reads the same row field (then it
/// shares that one's set). Ops that make new rows get further ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetId(pub u16);

/// The extent of one axis of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dim {
    /// A fixed number.
    Size(u64),
    /// One per token of a set. Only dim 0 can be that: it is the token-set label of the value.
    Rows(SetId),
    /// One per sequence of a set. Only dim 0 can be that.
    Seqs(SetId),
    /// 2L + 1, L the longest sequence of the set.
    Span(SetId),
}

impl Dim {
    /// The number, if it is fixed.
    pub fn size(self) -> Option<u64> {
        match self {
            Dim::Size(size) => Some(size),
            _ => None,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, set) = match self {
            Dim::Size(size) => return write!(f, "{size}"),
            Dim::Rows(set) => ("tokens", set),
            Dim::Seqs(set) => ("sequences", set),
            Dim::Span(set) => ("distances", set),
        };
        f.write_str(word)?;
        if set.0 > 0 { write!(f, "#{}", set.0) } else { Ok(()) }
    }
}

/// What the elements of a tensor are. Floats have the compute dtype of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Floating point.
    Float,
    /// i64.
    Int,
}

/// The type of a value of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValueType {
    /// A tensor.
    Tensor {
        /// Its shape.
        dims: Vec<Dim>,
        /// Its elements.
        kind: Kind,
    },
    /// A score bias: a function of query and key index.
    Bias {
        /// Number of heads it is made for; `None` fits any.
        heads: Option<u64>,
        /// Token set of the queries, if it belongs to one.
        query: Option<SetId>,
        /// Token set of the keys, if it belongs to one.
        key: Option<SetId>,
    },
    /// A number.
    Scalar,
}

impl ValueType {
    /// A float tensor of these dims.
    pub fn float(dims: Vec<Dim>) -> ValueType {
        ValueType::Tensor {
            dims,
            kind: Kind::Float,
        }
    }

    /// An integer tensor of these dims.
    pub fn int(dims: Vec<Dim>) -> ValueType {
        ValueType::Tensor { dims, kind: Kind::Int }
    }

    /// The dims, if it is a tensor.
    pub fn dims(&self) -> Option<&[Dim]> {
        match self {
            ValueType::Tensor { dims, .. } => Some(dims),
            _ => None,
        }
    }

    /// The token set of its rows, if it is a tensor with one row per token.
    pub fn rows(&self) -> Option<SetId> {
        self.dims().and_then(rows_of)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueType::Tensor { dims, kind } => {
                f.write_str(&show(dims))?;
                if *kind == Kind::Int {
                    f.write_str(" int")
                } else {
                    Ok(())
                }
            }
            ValueType::Bias { heads: Some(heads), .. } => write!(f, "score bias of {heads} heads"),
            ValueType::Bias { heads: None, .. } => f.write_str("score bias"),
            ValueType::Scalar => f.write_str("number"),
        }
    }
}

/// The set of a tensor's rows.
pub(crate) fn rows_of(dims: &[Dim]) -> Option<SetId> {
    match dims.first() {
        Some(Dim::Rows(set)) => Some(*set),
        _ => None,
    }
}

/// `[tokens, 64]`.
pub(crate) fn show(dims: &[Dim]) -> String {
    let parts: Vec<String> = dims.iter().map(Dim::to_string).collect();
    format!("[{}]", parts.join(", "))
}

/// Names of the token sets of a plan, and the sets that ops derive from others. The same op on the same
/// set gives the same set wherever it stands, since rows depend on the lengths of sequences only.
#[derive(Clone, Debug, Default)]
pub struct Sets {
    names: Vec<String>,
    derived: HashMap<(SetId, String), SetId>,
}

impl Sets {
    /// One set per name, with the ids 0, 1, ….
    pub fn new(names: Vec<String>) -> Sets {
        Sets {
            names,
            derived: HashMap::new(),
        }
    }

    /// The name of a set for messages.
    pub fn name(&self, set: SetId) -> &str {
        self.names
            .get(set.0 as usize)
            .map_or("another token set", String::as_str)
    }

    /// The set that `op` (with its numbers) makes of `parent`; `None` when a plan has too many sets.
    pub fn derive(&mut self, parent: SetId, op: &str) -> Option<SetId> {
        let key = (parent, op.to_string());
        if let Some(set) = self.derived.get(&key) {
            return Some(*set);
        }
        let set = SetId(u16::try_from(self.names.len()).ok()?);
        self.names
            .push(format!("the rows that `{op}` makes of {}", self.name(parent)));
        self.derived.insert(key, set);
        Some(set)
    }
}
