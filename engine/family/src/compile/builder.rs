//! A graph under construction. Equal operations on equal inputs are one node.

use std::collections::HashMap;

use sli_model::{Graph, Op, Origin, Param, ParamId, Value};

/// A graph with the index that finds equal nodes.
pub(crate) struct Builder {
    pub(crate) graph: Graph,
    /// Distinguishes values of different graphs.
    pub(crate) serial: u32,
    /// Inside `experts`: the module has `{e}` (`Some(true)`), or its tensors are packed (`Some(false)`).
    pub(crate) expert: Option<bool>,
    nodes: HashMap<(Op, Vec<Option<Value>>), u32>,
    params: HashMap<Param, ParamId>,
}

impl Builder {
    pub(crate) fn new(serial: u32, expert: Option<bool>) -> Builder {
        Builder {
            graph: Graph::default(),
            serial,
            expert,
            nodes: HashMap::new(),
            params: HashMap::new(),
        }
    }

    /// The first result of this operation.
    pub(crate) fn push(&mut self, op: Op, inputs: Vec<Option<Value>>, origin: Origin) -> Value {
        let key = (op, inputs);
        if let Some(node) = self.nodes.get(&key) {
            return Value { node: *node, out: 0 };
        }
        let value = self.graph.push(key.0.clone(), key.1.clone(), origin);
        self.nodes.insert(key, value.node);
        value
    }

    /// The value of a parameter.
    pub(crate) fn param(&mut self, param: Param) -> Value {
        let origin = param.origin.clone();
        let next = ParamId(self.graph.params.len() as u32);
        let id = *self.params.entry(param).or_insert_with_key(|param| {
            self.graph.params.push(param.clone());
            next
        });
        self.push(Op::Param(id), Vec::new(), origin)
    }
}
