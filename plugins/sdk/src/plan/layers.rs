//! The plan: names, stacks, head.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::text::{Json, Text, json, object};

use super::graph::{Graph, Sheet};
use super::module::Path;
use super::points::Frame;
use super::{Module, Names, Stack, Tensor};

/// The plan of a model: what to compute and which tensors to read.
#[derive(Default)]
pub struct Plan {
    names: Names,
    stacks: Vec<StackPlan>,
    head: Graph,
    unavailable: Vec<(String, String)>,
    inputs: Vec<(String, String)>,
}

/// A stack in the form of the plan.
pub(crate) struct StackPlan {
    pub(crate) name: String,
    pub(crate) tokens: String,
    pub(crate) enter: Graph,
    pub(crate) layers: Vec<LayerPlan>,
    pub(crate) last: Option<Graph>,
}

impl Json for StackPlan {
    fn write(&self, out: &mut String) {
        object!(
            out,
            "name": self.name,
            "tokens": self.tokens,
            "enter": self.enter,
            "layers": self.layers,
            "last": self.last,
        );
    }
}

/// A layer in the form of the plan.
pub(crate) struct LayerPlan {
    pub(crate) class: String,
    pub(crate) graph: Graph,
}

impl Json for LayerPlan {
    fn write(&self, out: &mut String) {
        object!(out, "class": self.class, "graph": self.graph);
    }
}

/// A value of a finished stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackValue {
    /// After what follows the last layer.
    Final,
    /// The output of the last layer.
    Out,
    /// The output of layer k - 1; 0 is the input.
    Hidden(u32),
}

impl StackValue {
    pub(crate) fn json(self) -> Text {
        match self {
            StackValue::Final => json!("final"),
            StackValue::Out => json!("out"),
            StackValue::Hidden(k) => json!({ "hidden": k }),
        }
    }
}

impl Plan {
    /// A plan with nothing in it.
    pub fn new() -> Plan {
        Plan::default()
    }

    /// How names meet a checkpoint.
    pub fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Declares an input other than token ids, of the kind `images`, `frames`, `samples`, `rows`, `grid`, `ids` or
    /// `per_token`. [`Module::field`] reads it.
    pub fn input(&mut self, name: &str, kind: &str) {
        self.inputs.push((name.to_owned(), kind.to_owned()));
    }

    /// Says why a head value does not exist for this config.
    pub fn unavailable(&mut self, name: &str, why: &str) {
        self.unavailable.push((name.to_owned(), why.to_owned()));
    }

    /// Adds a stack of layers; stacks run in the order in which they are added.
    ///
    /// # Panics
    /// Nothing enters the stack.
    pub fn stack(&mut self, name: &str, build: impl FnOnce(&mut Stack)) {
        let mut stack = Stack::new(name, self.stacks.is_empty());
        build(&mut stack);
        self.stacks.push(stack.finish());
    }

    /// What follows the last stack: the closure gets its output and names the head values by [`Module::output`].
    pub fn head<F>(&mut self, build: F)
    where
        F: for<'g> FnOnce(&Module<'g>, Tensor<'g>),
    {
        let carried = self.stacks.last().map(StackPlan::carried).unwrap_or_default();
        let sheet = Sheet::new(None, carried);
        {
            let module = Module::new(&sheet, Path::root(), Rc::new(Frame::default()));
            let x = module.input(json!("x"));
            build(&module, x);
        }
        self.head = sheet.finish(Vec::new(), Vec::new()).prune();
        // As a descriptor has them.
        self.head.outputs.sort_by(|a, b| a.0.cmp(&b.0));
    }

    /// The plan as JSON text, in the form that the program reads.
    ///
    /// # Panics
    /// A layer reads a `let` that the stack does not define.
    pub(crate) fn finish(mut self, family: &str) -> String {
        let last = self.stacks.len().saturating_sub(1);
        for (k, stack) in self.stacks.iter_mut().enumerate() {
            stack.drop_unused_lets((k == last).then_some(&self.head));
        }
        let plan = json!({
            "family": family,
            "names": self.names.json(),
            "stacks": self.stacks,
            "head": self.head,
            "unavailable": self.unavailable,
            "inputs": self.inputs,
        });
        plan.0
    }
}

impl StackPlan {
    /// Names of the values that are carried out of the last layer.
    fn carried(&self) -> BTreeSet<String> {
        let graphs = std::iter::once(&self.enter).chain(self.layers.iter().map(|layer| &layer.graph));
        let outputs = graphs.flat_map(|graph| &graph.outputs);
        outputs
            .filter_map(|(name, _)| Some(name.strip_prefix("carry.")?.to_owned()))
            .collect()
    }

    /// `let` values that nothing reads need not be computed nor bound.
    fn drop_unused_lets(&mut self, head: Option<&Graph>) {
        let graphs = self.layers.iter().map(|layer| &layer.graph);
        let graphs = graphs.chain(&self.last).chain(head);
        let used: BTreeSet<String> = graphs.flat_map(Graph::lets).map(|leaf| format!("let.{leaf}")).collect();
        for name in &used {
            let defined = self.enter.outputs.iter().any(|output| output.0 == *name);
            assert!(defined, "the stack `{}` reads `{name}`, which nothing puts", self.name);
        }
        let keep = |name: &str| !name.starts_with("let.") || used.contains(name);
        self.enter.outputs.retain(|(name, _)| keep(name));
        self.enter = std::mem::take(&mut self.enter).prune();
    }
}
