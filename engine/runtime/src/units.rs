//! The units of a sweep: the graphs of a plan in the order they run, each with what it needs to know.

use std::collections::BTreeSet;

use sli_model::bind::{Binding, BoundGraph, Source};
use sli_model::infer::ValueType;
use sli_model::{Graph, GraphInput, ModelPlan, Op, Value};

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// What enters a stack.
    Enter {
        /// Which stack.
        stack: usize,
    },
    /// A layer.
    Layer {
        /// Of which stack.
        stack: usize,
        /// Which layer.
        layer: usize,
    },
    /// After the last layer of a stack.
    Last {
        /// Which stack.
        stack: usize,
    },
    /// The heads.
    Head,
}

/// One graph of the plan with its tensors and types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a> {
    /// What it is.
    pub(crate) role: Role,
    /// The graph.
    pub(crate) graph: &'a Graph,
    /// Its tensors and types.
    pub(crate) bound: &'a BoundGraph,
}

/// All units of a plan, in the order they run.
pub(crate) fn units<'a>(plan: &'a ModelPlan, binding: &'a Binding) -> Vec<Unit<'a>> {
    let mut units = Vec::new();
    for (stack, (written, bound)) in plan.stacks.iter().zip(&binding.stacks).enumerate() {
        units.push(Unit {
            role: Role::Enter { stack },
            graph: &written.enter,
            bound: &bound.enter,
        });
        for (layer, (written, bound)) in written.layers.iter().zip(&bound.layers).enumerate() {
            units.push(Unit {
                role: Role::Layer { stack, layer },
                graph: &written.graph,
                bound,
            });
        }
        if let (Some(graph), Some(bound)) = (&written.last, &bound.last) {
            units.push(Unit {
                role: Role::Last { stack },
                graph,
                bound,
            });
        }
    }
    units.push(Unit {
        role: Role::Head,
        graph: &plan.head,
        bound: &binding.head,
    });
    units
}

impl Role {
    /// The stack it belongs to; the head belongs to the last one.
    pub(crate) fn stack(self, plan: &ModelPlan) -> usize {
        match self {
            Role::Enter { stack } | Role::Layer { stack, .. } | Role::Last { stack } => stack,
            Role::Head => plan.stacks.len() - 1,
        }
    }

    /// What messages and reports call it: `embed`, `decoder.3`, `decoder.final`, `head`.
    pub(crate) fn name(self, plan: &ModelPlan) -> String {
        match self {
            Role::Enter { .. } if plan.stacks.len() == 1 => "embed".into(),
            Role::Enter { stack } => format!("{}.embed", plan.stacks[stack].name),
            Role::Layer { stack, layer } => format!("{}.{layer}", plan.stacks[stack].name),
            Role::Last { stack } => format!("{}.final", plan.stacks[stack].name),
            Role::Head => "head".into(),
        }
    }
}

impl Unit<'_> {
    /// What the sweep itself needs of it: the residual stream, `let`, `carry`, `final`.
    pub(crate) fn results(&self) -> Vec<(&str, Value)> {
        let wanted = |name: &str| match self.role {
            Role::Enter { .. } => name == "x" || name.starts_with("let.") || name.starts_with("carry."),
            Role::Layer { .. } => name == "out" || name.starts_with("carry."),
            Role::Last { .. } => name == "final",
            Role::Head => false,
        };
        self.graph
            .outputs
            .iter()
            .filter(|output| wanted(&output.0))
            .map(|output| (output.0.as_str(), output.1))
            .collect()
    }

    /// The tensors that these values need, sorted, each once; without those of nodes that are read `apart`.
    pub(crate) fn tensors(&self, wanted: &[Value], apart: &dyn Fn(u32) -> bool) -> Vec<u32> {
        let made = |value: Value| apart(value.node) && !self.bound.experts.iter().any(|(node, _)| *node == value.node);
        let need = self.graph.needed_beside(wanted.iter().copied(), &made);
        let mut tensors = BTreeSet::new();
        for id in self.graph.params_of(&need) {
            let sources = self.bound.params[id.0 as usize].sources();
            tensors.extend(sources.iter().flat_map(Source::tensors));
        }
        let with_unit = |node: u32| need[node as usize] && !apart(node);
        for (node, body) in self.bound.experts.iter().filter(|(node, _)| with_unit(*node)) {
            debug_assert!(matches!(self.graph.nodes[*node as usize].op, Op::Experts(_)));
            tensors.extend(body.tensors());
        }
        tensors.into_iter().collect()
    }

    /// Tensors that outlive the unit: what `let` and `carry` values without a row per token may look into.
    /// They stay in memory, so that an arena is free as soon as its unit is done.
    pub(crate) fn lasting_tensors(&self) -> Vec<u32> {
        let lasting = |name: &str, value: Value| {
            let rows = self.bound.value_type(value).is_some_and(|kind| kind.rows().is_some());
            (name.starts_with("let.") || name.starts_with("carry.")) && !rows
        };
        let values: Vec<Value> = self
            .results()
            .into_iter()
            .filter(|(name, value)| lasting(name, *value))
            .map(|r| r.1)
            .collect();
        if values.is_empty() {
            Vec::new()
        } else {
            self.tensors(&values, &|_| false)
        }
    }

    /// Whether the nodes that `wanted` needs read that input.
    pub(crate) fn reads(&self, wanted: &[Value], is: impl Fn(&GraphInput) -> bool) -> bool {
        let need = self.graph.needed(wanted.iter().copied());
        let reads = |op: &Op| matches!(op, Op::Input(input) if is(input));
        self.graph
            .nodes
            .iter()
            .zip(&need)
            .any(|(node, need)| *need && reads(&node.op))
    }

    /// The type of a value.
    pub(crate) fn value_type(&self, value: Value) -> Option<&ValueType> {
        self.bound.value_type(value)
    }
}
