//! What only bound plans tell: shapes, and which stored tensors are read.

use std::collections::BTreeMap;

use super::group::without_numbers;
use super::{Place, graphs, tensor};
use crate::bind::{Binding, BoundGraph, Source};
use crate::{Graph, ModelPlan};

/// Shapes of named values and sources of parameters that differ.
pub(super) fn diff(
    old: (&ModelPlan, &Binding),
    new: (&ModelPlan, &Binding),
    name: &dyn Fn(u32) -> String,
) -> Vec<String> {
    let mut texts = BTreeMap::new();
    let mut count = |text: String| *texts.entry(without_numbers(&text)).or_insert(0_usize) += 1;
    let (before, after) = (facts(old, name), facts(new, name));
    for (what, value) in &after {
        match before.get(what) {
            Some(other) if other != value => count(format!("{what}: {other} -> {value}")),
            _ => {}
        }
    }
    if old.1.root != new.1.root {
        count(format!("root of names: `{}` -> `{}`", old.1.root, new.1.root));
    }
    let line = |(text, count): (String, usize)| match count {
        1 => text,
        count => format!("{text} ({count})"),
    };
    texts.into_iter().map(line).collect()
}

/// Shapes by name of the value, stored tensors by name of the parameter.
fn facts((plan, binding): (&ModelPlan, &Binding), name: &dyn Fn(u32) -> String) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for ((place, graph), bound) in graphs(plan).into_iter().zip(bound_graphs(binding)) {
        shapes(&place, graph, bound, &mut facts);
        for (param, bound) in graph.params.iter().zip(&bound.params) {
            let sources: Vec<String> = bound.sources().iter().map(|source| of(source, name)).collect();
            facts.insert(format!("tensor {}", tensor(param)), sources.join(", "));
        }
    }
    facts
}

fn shapes(place: &Place, graph: &Graph, bound: &BoundGraph, facts: &mut BTreeMap<String, String>) {
    let points = graph.points.iter().map(|point| (&point.name, point.value));
    let outputs = graph.outputs.iter().map(|(name, value)| (name, *value));
    for (name, value) in points.chain(outputs) {
        if let Some(found) = bound.value_type(value) {
            let prefix = place.prefix();
            let parts: Vec<&str> = [prefix.as_str(), name]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            facts.insert(format!("shape of {}", parts.join(".")), found.to_string());
        }
    }
}

/// In the order of [`graphs`].
fn bound_graphs(binding: &Binding) -> Vec<&BoundGraph> {
    let stacks = binding.stacks.iter().flat_map(|stack| {
        std::iter::once(&stack.enter)
            .chain(&stack.layers)
            .chain(stack.last.as_ref())
    });
    stacks.chain([&binding.head]).collect()
}

fn of(source: &Source, name: &dyn Fn(u32) -> String) -> String {
    let names: Vec<String> = source.tensors().iter().map(|tensor| name(*tensor)).collect();
    match source {
        Source::Whole(_) => names.concat(),
        Source::Joined(_) => names.join(" + "),
        Source::Piece(piece) => format!(
            "a piece {:?} of {}{}",
            piece.shape,
            names.concat(),
            piece
                .rows
                .map_or_else(String::new, |rows| format!(" from row {}", rows.start))
        ),
    }
}
