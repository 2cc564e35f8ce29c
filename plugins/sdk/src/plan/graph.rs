//! A graph under construction. Equal operations on equal inputs are one node.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::{Value as Json, json};

/// One result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct Value {
    pub(crate) node: u32,
    pub(crate) out: u16,
}

/// An operation with its inputs; the operation is its JSON.
#[derive(Serialize)]
struct Node {
    op: Json,
    inputs: Vec<Option<Value>>,
}

/// A named value that stages can ask for.
#[derive(Serialize)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// A finished graph, in the form of the plan.
#[derive(Default, Serialize)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    params: Vec<Json>,
    pub(crate) outputs: Vec<(String, Value)>,
    pub(crate) points: Vec<Point>,
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
    nodes: HashMap<(String, Vec<Option<Value>>), u32>,
    params: HashMap<String, u32>,
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
    pub(crate) fn push(&self, op: Json, inputs: Vec<Option<Value>>) -> Value {
        let state = &mut *self.state.borrow_mut();
        let next = state.graph.nodes.len() as u32;
        let node = *state.nodes.entry((op.to_string(), inputs.clone())).or_insert_with(|| {
            state.graph.nodes.push(Node { op, inputs });
            next
        });
        Value { node, out: 0 }
    }

    /// A parameter of the checkpoint. `path` holds `{n}` if `stacked` tensors are stacked.
    pub(crate) fn param(
        &self,
        name: Json,
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
            *state.params.entry(param.to_string()).or_insert_with(|| {
                state.graph.params.push(param);
                next
            })
        };
        self.push(json!({ "param": id }), Vec::new())
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
            if let Some(id) = node.op.get("param").and_then(Json::as_u64) {
                let next = kept.params.len();
                let id = *params.entry(id).or_insert_with(|| {
                    kept.params.push(self.params[id as usize].clone());
                    next
                });
                node.op = json!({ "param": id });
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
        let leaf = |node: &Node| node.op.get("input")?.get("let")?.as_str().map(|_| ());
        let read = self.nodes.iter().filter(move |node| leaf(node).is_some());
        read.filter_map(|node| node.op["input"]["let"].as_str())
    }
}

/// A number in a plan. JSON has no infinities: they are text there.
pub(crate) fn num(x: f64) -> Json {
    match x {
        x if x.is_finite() => json!(x),
        x if x.is_nan() => json!("NaN"),
        x if x > 0.0 => json!("inf"),
        _ => json!("-inf"),
    }
}

/// An optional number in a plan.
pub(crate) fn num_or_null(x: Option<f64>) -> Json {
    x.map_or(Json::Null, num)
}
