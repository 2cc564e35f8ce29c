//! Graphs of a plan: indices, names, and sizes within what can be computed.

use std::collections::HashSet;

use super::Check;
use super::names::shown;
use crate::infer::check_structure;
use crate::{Graph, Op, Origin, ParamForm, Sizes};

/// Most nodes of one graph.
const MAX_NODES: usize = 1 << 16;
/// Most nodes of all graphs together.
const MAX_ALL_NODES: usize = 1 << 22;
/// Largest number that an attribute may hold: sizes, counts, distances.
const MAX_NUMBER: u64 = 1 << 31;
/// Largest window; configs say "no window" by numbers that no sequence reaches.
const MAX_WINDOW: u64 = 1 << 53;
/// Most tensors that one numbered parameter stands for.
const MAX_NUMBERED: u64 = 1 << 16;
/// Most tensors that all numbered parameters stand for together.
const MAX_ALL_NUMBERED: u64 = 1 << 22;
/// Most dims in which a parameter is read.
const MAX_RANK: usize = 8;

impl Check {
    /// A graph of the plan, which must have the outputs `wanted`.
    pub(super) fn graph(&mut self, what: &str, graph: &Graph, wanted: &[&str]) {
        if let Err(error) = check_structure(graph) {
            return self.error(format!("{what}: {}", error.message), error.origin);
        }
        let before = self.errors.len();
        for name in wanted {
            if graph.output(name).is_none() {
                self.say(format!("{what} has no output `{name}`"));
            }
        }
        self.inside(graph, 1);
        for error in &mut self.errors[before..] {
            if !error.message.starts_with(what) {
                error.message = format!("{what}: {}", error.message);
            }
        }
    }

    /// What holds for graphs and for the bodies in them.
    fn inside(&mut self, graph: &Graph, experts: u64) {
        self.nodes += graph.nodes.len();
        if graph.nodes.len() > MAX_NODES || graph.params.len() > MAX_NODES || self.nodes > MAX_ALL_NODES {
            return self.say(format!(
                "{} nodes; at most {MAX_NODES} are possible in a graph, {MAX_ALL_NODES} in a plan",
                graph.nodes.len()
            ));
        }
        self.outputs_and_points(graph);
        for param in &graph.params {
            self.text("the name of a tensor", &param.name.path);
            self.origin(&param.origin);
            let count = match param.form {
                ParamForm::One | ParamForm::Slice => 1,
                ParamForm::Stack { count } => count,
                ParamForm::Expert => experts,
            };
            // One that is too many by itself says nothing of the others.
            if count <= MAX_NUMBERED {
                self.numbered = self.numbered.saturating_add(count);
            }
            if count > MAX_NUMBERED || self.numbered > MAX_ALL_NUMBERED {
                let path = shown(&param.name.path);
                self.error(
                    format!("parameter `{path}` stands for {count} tensors; at most {MAX_NUMBERED} are possible, {MAX_ALL_NUMBERED} in a plan"),
                    param.origin.clone(),
                );
                return;
            }
            if let Some(shape) = &param.shape
                && !is_shape(shape)
            {
                let path = shown(&param.name.path);
                self.error(format!("parameter `{path}` is read as {shape:?}"), param.origin.clone());
            }
        }
        for node in &graph.nodes {
            self.origin(&node.origin);
            let most = if matches!(node.op, Op::Attend(_)) {
                MAX_WINDOW
            } else {
                MAX_NUMBER
            };
            if let Some(number) = numbers(&node.op).into_iter().find(|n| *n > most) {
                let op = node.op.name();
                self.error(
                    format!("`{op}` with the number {number}; at most {most} is possible"),
                    node.origin.clone(),
                );
            }
            match &node.op {
                Op::Experts(options) => self.inside(&options.body, options.count),
                Op::PairBias(pair) => self.inside(&pair.body, 1),
                Op::Foreign(call) => {
                    for text in [&call.plugin, &call.function, &call.digest] {
                        self.text("the name of a function", text);
                    }
                }
                _ => {}
            }
        }
    }

    fn outputs_and_points(&mut self, graph: &Graph) {
        let mut seen = HashSet::new();
        for (name, _) in &graph.outputs {
            self.text("the name of an output", name);
            if name.is_empty() || !seen.insert(name) {
                self.say(format!("two outputs are called `{}`, or one has no name", shown(name)));
            }
        }
        let mut seen = HashSet::new();
        for point in &graph.points {
            self.text("the name of a point", &point.name);
            if !seen.insert(&point.name) {
                self.say(format!("two points are called `{}`", shown(&point.name)));
            }
        }
    }

    fn origin(&mut self, origin: &Origin) {
        for text in [&origin.chain, &origin.file, &origin.equation] {
            self.text("the origin of a node", text);
        }
    }
}

fn is_shape(shape: &[u64]) -> bool {
    let elements = shape.iter().try_fold(1u64, |n, size| n.checked_mul(*size));
    shape.len() <= MAX_RANK && elements.is_some()
}

/// The sizes, counts and distances that an op states.
fn numbers(op: &Op) -> Vec<u64> {
    match op {
        Op::Range(n) | Op::TopKeys(n) | Op::ByBlock(n) | Op::BlockSums(n) | Op::TopK(n) => vec![*n],
        Op::SparseMixer { k, .. } => vec![*k],
        Op::LayerNorm { groups, .. } | Op::RmsNorm { groups, .. } => vec![*groups],
        Op::SplitHeads { heads, dim } => heads.iter().chain(dim).copied().collect(),
        Op::RepeatHeads { n, .. } => vec![*n],
        Op::Split(Sizes::Each(sizes)) => sizes.clone(),
        Op::Split(Sizes::Equal(n)) => vec![*n],
        Op::Slice { start, end } => start.iter().chain(end).map(|n| n.unsigned_abs()).collect(),
        Op::Shift(n) => vec![n.unsigned_abs()],
        Op::Attend(options) => options.window.iter().chain(&options.chunk).copied().collect(),
        Op::Alibi { heads, .. } => vec![*heads],
        Op::RelativeBias {
            buckets,
            max_distance,
            ahead,
            ..
        } => vec![*buckets, *max_distance, ahead.unsigned_abs()],
        Op::RelativeScores(options) => options.buckets.iter().flat_map(|(n, max)| [*n, *max]).collect(),
        Op::GroupLimit { groups, keep, top } => vec![*groups, *keep, *top],
        Op::PairBias(pair) => pair.heads.iter().copied().collect(),
        Op::Experts(options) => [options.count, options.identity]
            .into_iter()
            .chain(options.capacity)
            .collect(),
        Op::Rotary(rope) => vec![rope.width],
        Op::RowConv {
            stride,
            padding,
            groups,
            dilation,
        } => vec![*stride, padding.0, padding.1, *groups, *dilation],
        _ => vec![],
    }
}
