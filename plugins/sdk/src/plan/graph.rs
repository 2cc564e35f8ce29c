//! A graph under construction. Equal operations on equal inputs are one node.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use super::text::{Json, Text, json, object};

/// One result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Value {
    pub(crate) node: u32,
    pub(crate) out: u16,
}

impl Json for Value {
    fn write(&self, out: &mut String) {
        object!(out, "node": self.node, "out": self.out);
    }
}

/// An operation: its text, or what the graph itself must know of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// Any operation.
    Text(Text),
    /// The parameter with this number.
    Param(u32),
    /// The input that is a leaf of `let`.
    Let(String),
}

impl From<Text> for Op {
    fn from(text: Text) -> Op {
        Op::Text(text)
    }
}

impl Json for Op {
    fn write(&self, out: &mut String) {
        match self {
            Op::Text(text) => text.write(out),
            Op::Param(id) => object!(out, "param": id),
            Op::Let(leaf) => object!(out, "input": {"let": leaf}),
        }
    }
}

/// An operation with its inputs.
struct Node {
    op: Op,
    inputs: Vec<Option<Value>>,
}

impl Json for Node {
    fn write(&self, out: &mut String) {
        object!(out, "op": self.op, "inputs": self.inputs);
    }
}

/// A named value that stages can ask for.
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) value: Value,
}

impl Json for Point {
    fn write(&self, out: &mut String) {
        object!(out, "name": self.name, "value": self.value);
    }
}

/// A finished graph, in the form of the plan.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    params: Vec<Text>,
    pub(crate) outputs: Vec<(String, Value)>,
    pub(crate) points: Vec<Point>,
}

impl Json for Graph {
    fn write(&self, out: &mut String) {
        object!(
            out,
            "nodes": self.nodes,
            "params": self.params,
            "outputs": self.outputs,
            "points": self.points,
        );
    }
}

/// Inside `experts`: how the tensors of one expert are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Each expert has its own modules: `{e}` in the name.
    Each,
    /// Dim 0 of one tensor is cut in as many parts as there are experts.
    Packed,
}

/// The graph that a closure is building.
pub(crate) struct Sheet {
    /// Set in the body of `experts`.
    storage: Option<Storage>,
    /// Names of the values carried into this graph.
    pub(crate) carried: BTreeSet<String>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    graph: Graph,
    nodes: HashMap<(Op, Vec<Option<Value>>), u32>,
    params: HashMap<Text, u32>,
}

impl Sheet {
    pub(crate) fn new(storage: Option<Storage>, carried: BTreeSet<String>) -> Sheet {
        Sheet {
            storage,
            carried,
            state: RefCell::default(),
        }
    }

    /// The first result of this operation.
    pub(crate) fn push(&self, op: impl Into<Op>, inputs: Vec<Option<Value>>) -> Value {
        self.node(op.into(), inputs)
    }

    fn node(&self, op: Op, inputs: Vec<Option<Value>>) -> Value {
        let state = &mut *self.state.borrow_mut();
        let next = state.graph.nodes.len() as u32;
        let node = *state.nodes.entry((op.clone(), inputs.clone())).or_insert_with(|| {
            state.graph.nodes.push(Node { op, inputs });
            next
        });
        Value { node, out: 0 }
    }

    /// A parameter of the checkpoint. `path` holds `{n}` if `stacked` tensors are stacked.
    pub(crate) fn param(
        &self,
        name: Text,
        path: &str,
        shape: Option<&[u64]>,
        optional: bool,
        stacked: Option<u64>,
    ) -> Value {
        let form = match (stacked, self.storage) {
            (Some(count), _) => json!({"stack": {"count": count}}),
            (None, Some(Storage::Each)) if path.contains("{e}") => json!("expert"),
            (None, Some(Storage::Packed)) => json!("slice"),
            (None, _) => json!("one"),
        };
        let param = json!({"name": name, "shape": shape, "optional": optional, "form": form});
        let id = {
            let state = &mut *self.state.borrow_mut();
            let next = state.graph.params.len() as u32;
            *state.params.entry(param.clone()).or_insert_with(|| {
                state.graph.params.push(param);
                next
            })
        };
        self.push(Op::Param(id), Vec::new())
    }

    /// Names a result of the graph; a name given twice means the later value.
    pub(crate) fn output(&self, name: String, value: Value) {
        let outputs = &mut self.state.borrow_mut().graph.outputs;
        match outputs.iter_mut().find(|output| output.0 == name) {
            Some(output) => output.1 = value,
            None => outputs.push((name, value)),
        }
    }

    /// The graph with these outputs before the named ones, and these points. Nothing is pruned yet.
    pub(crate) fn finish(self, first: Vec<(String, Value)>, points: Vec<Point>) -> Graph {
        let mut graph = self.state.into_inner().graph;
        graph.outputs.splice(0..0, first);
        graph.points = points;
        graph
    }
}

impl Graph {
    /// The graph with only the nodes and parameters that its outputs need; points on other nodes go too.
    pub(crate) fn prune(self) -> Graph {
        let mut need = vec![false; self.nodes.len()];
        for (_, value) in &self.outputs {
            need[value.node as usize] = true;
        }
        for index in (0..self.nodes.len()).rev() {
            if need[index] {
                for input in self.nodes[index].inputs.iter().flatten() {
                    need[input.node as usize] = true;
                }
            }
        }
        let (mut nodes, mut params) = (HashMap::new(), HashMap::new());
        let mut kept = Graph::default();
        for (index, mut node) in self.nodes.into_iter().enumerate().filter(|(index, _)| need[*index]) {
            if let Op::Param(id) = &mut node.op {
                let next = kept.params.len() as u32;
                *id = *params.entry(*id).or_insert_with(|| {
                    kept.params.push(self.params[*id as usize].clone());
                    next
                });
            }
            for input in node.inputs.iter_mut().flatten() {
                input.node = nodes[&input.node];
            }
            nodes.insert(index as u32, kept.nodes.len() as u32);
            kept.nodes.push(node);
        }
        let place = |value: Value| {
            let node = *nodes.get(&value.node)?;
            Some(Value { node, out: value.out })
        };
        let outputs = self.outputs.into_iter();
        kept.outputs = outputs
            .filter_map(|(name, value)| Some((name, place(value)?)))
            .collect();
        let points = self.points.into_iter();
        kept.points = points
            .filter_map(|point| {
                let value = place(point.value)?;
                Some(Point { value, ..point })
            })
            .collect();
        kept.points
            .sort_by(|a, b| a.value.cmp(&b.value).then_with(|| a.name.cmp(&b.name)));
        kept
    }

    /// The leaves of `let` that this graph reads.
    pub(crate) fn lets(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::Let(leaf) => Some(leaf.as_str()),
            _ => None,
        })
    }
}
