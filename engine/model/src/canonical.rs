//! One form for graphs that compute the same values in the same way.
//!
//! The order of nodes and parameters in a graph says only in which order somebody wrote them down. In the canonical
//! form outputs are sorted by name, nodes stand in depth-first order from them, parameters in the order of their first
//! use, points by value and name; what no output needs is gone. Plans from two sources are then equal exactly if they say the same.

use std::collections::HashMap;

use crate::{Graph, LayerPlan, ModelPlan, Op, ParamId, StackPlan, Value};

impl ModelPlan {
    /// The plan with every graph in canonical form.
    pub fn canonical(&self) -> ModelPlan {
        let stack = |stack: &StackPlan| StackPlan {
            enter: stack.enter.canonical(),
            layers: stack.layers.iter().map(layer).collect(),
            last: stack.last.as_ref().map(Graph::canonical),
            name: stack.name.clone(),
            tokens: stack.tokens.clone(),
        };
        ModelPlan {
            stacks: self.stacks.iter().map(stack).collect(),
            head: self.head.canonical(),
            family: self.family.clone(),
            names: self.names.clone(),
            unavailable: self.unavailable.clone(),
            inputs: self.inputs.clone(),
        }
    }
}

fn layer(layer: &LayerPlan) -> LayerPlan {
    LayerPlan {
        class: layer.class.clone(),
        graph: layer.graph.canonical(),
    }
}

impl Graph {
    /// The graph in canonical form, the bodies of `experts` and `pair_bias` too.
    pub fn canonical(&self) -> Graph {
        let mut order = Order {
            graph: self,
            places: HashMap::new(),
            params: HashMap::new(),
            kept: Graph::default(),
        };
        let mut outputs = self.outputs.clone();
        outputs.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, value) in &outputs {
            order.visit(value.node);
        }
        let place = |value: Value| {
            let node = *order.places.get(&value.node)?;
            Some(Value { node, ..value })
        };
        let outputs = outputs
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), place(*value)?)));
        let points = self.points.iter().filter_map(|point| {
            let value = place(point.value)?;
            let name = point.name.clone();
            Some(crate::Point { name, value })
        });
        let (outputs, mut points): (Vec<_>, Vec<_>) = (outputs.collect(), points.collect());
        points.sort_by(|a, b| a.value.cmp(&b.value).then_with(|| a.name.cmp(&b.name)));
        Graph {
            outputs,
            points,
            ..order.kept
        }
    }
}

/// A graph being written down again.
struct Order<'a> {
    graph: &'a Graph,
    /// Old number of a node to the new one.
    places: HashMap<u32, u32>,
    params: HashMap<ParamId, ParamId>,
    kept: Graph,
}

impl Order<'_> {
    /// Writes down a node after what it needs. A stack of its own: graphs are deeper than that of the program.
    fn visit(&mut self, node: u32) {
        let mut pending = vec![(node, 0)];
        while let Some((node, next)) = pending.pop() {
            if self.places.contains_key(&node) {
                continue;
            }
            let inputs = &self.graph.nodes[node as usize].inputs;
            match inputs.get(next) {
                Some(input) => {
                    pending.push((node, next + 1));
                    pending.extend(input.map(|value| (value.node, 0)));
                }
                None => self.write(node),
            }
        }
    }

    fn write(&mut self, number: u32) {
        let mut node = self.graph.nodes[number as usize].clone();
        for input in node.inputs.iter_mut().flatten() {
            input.node = self.places[&input.node];
        }
        match &mut node.op {
            Op::Param(id) => {
                let next = ParamId(self.kept.params.len() as u32);
                let param = &self.graph.params[id.0 as usize];
                *id = *self.params.entry(*id).or_insert_with(|| {
                    self.kept.params.push(param.clone());
                    next
                });
            }
            Op::Experts(experts) => experts.body = experts.body.canonical(),
            Op::PairBias(bias) => bias.body = bias.body.canonical(),
            _ => {}
        }
        self.places.insert(number, self.kept.nodes.len() as u32);
        self.kept.nodes.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BinaryOp, GraphInput, Origin, Param, ParamForm, ParamName, Point};

    fn param(name: &str) -> Param {
        Param {
            name: ParamName::root(name),
            shape: None,
            optional: false,
            form: ParamForm::One,
            origin: Origin::default(),
        }
    }

    /// x * a - x * b, its nodes written down in the given order of the parts.
    fn difference(b_first: bool) -> Graph {
        let mut graph = Graph {
            params: vec![
                param(if b_first { "b" } else { "a" }),
                param(if b_first { "a" } else { "b" }),
            ],
            ..Graph::default()
        };
        let unused = b_first.then(|| graph.push(Op::Range(3), Vec::new(), Origin::default()));
        let x = graph.push(Op::Input(GraphInput::X), Vec::new(), Origin::default());
        let mut product = |id: u32| {
            let weight = graph.push(Op::Param(ParamId(id)), Vec::new(), Origin::default());
            let inputs = vec![Some(x), Some(weight)];
            graph.push(Op::Binary(BinaryOp::Mul), inputs, Origin::default())
        };
        let (first, second) = (product(0), product(1));
        let (a, b) = if b_first { (second, first) } else { (first, second) };
        let out = graph.push(Op::Binary(BinaryOp::Sub), vec![Some(a), Some(b)], Origin::default());
        graph.outputs.push(("out".to_owned(), out));
        for (name, value) in [("b", Some(b)), ("gone", unused), ("a", Some(a))] {
            let name = name.to_owned();
            graph.points.extend(value.map(|value| Point { name, value }));
        }
        graph
    }

    #[test]
    fn the_order_of_writing_down_does_not_matter() {
        let (one, other) = (difference(false), difference(true));
        assert_ne!(one, other);
        assert_eq!(one.canonical(), other.canonical());
        assert_eq!(one.canonical().canonical(), one.canonical());
        assert_eq!(other.canonical().points.len(), 2, "a point on nothing goes");
    }

    #[test]
    fn what_is_computed_does_matter() {
        let mut swapped = difference(false);
        swapped.nodes.last_mut().unwrap().inputs.reverse();
        assert_ne!(swapped.canonical(), difference(false).canonical());
        let mut renamed = difference(false);
        renamed.params[1] = param("c");
        assert_ne!(renamed.canonical(), difference(false).canonical());
    }

    #[test]
    fn a_deep_graph_needs_no_deep_stack() {
        let mut graph = Graph::default();
        let mut x = graph.push(Op::Input(GraphInput::X), Vec::new(), Origin::default());
        for _ in 0..200_000 {
            x = graph.push(Op::Softmax, vec![Some(x)], Origin::default());
        }
        graph.outputs.push(("out".to_owned(), x));
        assert_eq!(graph.canonical(), graph);
    }
}
