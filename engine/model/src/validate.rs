//! What every plan must be, whoever made it: names that can be shown, graphs that are whole, sizes that memory can hold.
//!
//! Binding, planning and running rely on it. A plan that passes may still not fit a checkpoint; it cannot make the
//! engine index out of bounds, loop without end or ask for memory without end.

mod graphs;
mod names;

use std::collections::HashSet;

use crate::infer::TypeError;
use crate::{Graph, GraphInput, ModelPlan, Op, Origin, StackPlan};

/// Most stacks of a plan.
const MAX_STACKS: usize = 64;
/// Most layers of all stacks together.
const MAX_LAYERS: usize = 4096;
/// Errors that are collected.
const MAX_ERRORS: usize = 20;

impl ModelPlan {
    /// Checks the whole plan.
    ///
    /// # Errors
    /// What is wrong, the first error of each graph.
    pub fn check(&self) -> Result<(), Vec<TypeError>> {
        let mut check = Check::default();
        check.names_of(self);
        check.stacks(self);
        check.head(self);
        let errors = check.errors;
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// The errors found so far, and what plans may have only so much of in all.
#[derive(Default)]
struct Check {
    errors: Vec<TypeError>,
    nodes: usize,
    numbered: u64,
}

impl Check {
    fn error(&mut self, message: String, origin: Origin) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(TypeError { message, origin });
        }
    }

    /// An error without a place in an equation.
    fn say(&mut self, message: String) {
        self.error(message, Origin::default());
    }

    fn stacks(&mut self, plan: &ModelPlan) {
        let layers: usize = plan.stacks.iter().map(|stack| stack.layers.len()).sum();
        if plan.stacks.is_empty() || plan.stacks.len() > MAX_STACKS {
            return self.say(format!(
                "the plan has {} stacks; 1 to {MAX_STACKS} are possible",
                plan.stacks.len()
            ));
        }
        if layers > MAX_LAYERS {
            return self.say(format!(
                "the plan has {layers} layers; at most {MAX_LAYERS} are possible"
            ));
        }
        let mut seen = HashSet::new();
        for stack in &plan.stacks {
            if !seen.insert(stack.name.as_str()) {
                self.say(format!("two stacks are called `{}`", stack.name));
            }
            self.stack(stack);
        }
    }

    fn stack(&mut self, stack: &StackPlan) {
        let name = names::shown(&stack.name);
        self.simple_name("a stack", &stack.name);
        self.simple_name("the tokens of a stack", &stack.tokens);
        self.graph(&format!("what enters stack `{name}`"), &stack.enter, &["x"]);
        let mut carried: HashSet<&str> = carries(&stack.enter).collect();
        for (i, layer) in stack.layers.iter().enumerate() {
            self.text("the class of a layer", &layer.class);
            self.graph(&format!("layer {i} of `{name}`"), &layer.graph, &["out"]);
            for leaf in carried_in(&layer.graph).filter(|leaf| !carried.contains(leaf)) {
                let leaf = names::shown(leaf);
                self.say(format!(
                    "layer {i} of `{name}` reads `carry.{leaf}`, which neither enters the stack nor comes from a layer before"
                ));
            }
            carried.extend(carries(&layer.graph));
        }
        if let Some(last) = &stack.last {
            self.graph(&format!("the end of stack `{name}`"), last, &["final"]);
        }
    }

    fn head(&mut self, plan: &ModelPlan) {
        self.graph("the head", &plan.head, &[]);
        for (name, reason) in &plan.unavailable {
            self.text("a head value", name);
            self.text("the reason why a head value is missing", reason);
        }
        let mut seen = HashSet::new();
        for (name, _) in &plan.inputs {
            self.simple_name("an input", name);
            if !seen.insert(name) {
                self.say(format!("two inputs are called `{}`", names::shown(name)));
            }
        }
    }
}

/// Leaves that a graph gives to the next layer.
fn carries(graph: &Graph) -> impl Iterator<Item = &str> {
    graph.outputs.iter().filter_map(|(name, _)| name.strip_prefix("carry."))
}

/// Leaves that a graph takes from the layer before.
fn carried_in(graph: &Graph) -> impl Iterator<Item = &str> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        Op::Input(GraphInput::Carry(leaf)) => Some(leaf.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
