//! Checks that a graph is well formed, whoever made it: indices in range, inputs before users.

use super::{TypeError, check_pair_bias};
use crate::{Graph, GraphInput, Op, Origin, ParamForm, Value};

/// Deepest nesting of `experts` bodies.
const MAX_DEPTH: usize = 4;

/// Checks every index of a graph and of the bodies inside it.
///
/// Everything else in this crate relies on it: a graph that passes can be walked without bounds errors.
/// Attributes that would divide by zero or ask for nothing are refused here too.
pub fn check_structure(graph: &Graph) -> Result<(), TypeError> {
    check(graph, 0)
}

fn check(graph: &Graph, depth: usize) -> Result<(), TypeError> {
    for (index, node) in graph.nodes.iter().enumerate() {
        let fail = |message: String| {
            Err(TypeError {
                message,
                origin: node.origin.clone(),
            })
        };
        let name = node.op.name();
        if let Some(bad) = node.inputs.iter().flatten().find(|value| value.node as usize >= index) {
            return fail(format!(
                "node {index} (`{name}`) reads node {}, which does not come before it",
                bad.node
            ));
        }
        if let Some(why) = bad_attribute(&node.op, graph, depth) {
            return fail(format!("`{name}` {why}"));
        }
        if let Op::Experts(options) = &node.op {
            if depth + 1 > MAX_DEPTH {
                return fail(format!("`experts` are nested more than {MAX_DEPTH} deep"));
            }
            check(&options.body, depth + 1)?;
        }
        if let Op::PairBias(pair) = &node.op {
            check(&pair.body, depth + 1)?;
            check_pair_bias(pair)?;
        }
    }
    let known = |value: &Value| (value.node as usize) < graph.nodes.len();
    let outputs = graph.outputs.iter().map(|output| (&output.0, &output.1));
    let points = graph.points.iter().map(|point| (&point.name, &point.value));
    if let Some((name, value)) = outputs.chain(points).find(|(_, value)| !known(value)) {
        let message = format!(
            "`{name}` is node {}, but the graph has {} nodes",
            value.node,
            graph.nodes.len()
        );
        return Err(TypeError {
            message,
            origin: Origin::default(),
        });
    }
    params(graph, depth)
}

fn params(graph: &Graph, depth: usize) -> Result<(), TypeError> {
    for param in &graph.params {
        let path = &param.name.path;
        let problem = match param.form {
            ParamForm::Stack { count: 0 } => "asks for no tensor at all: the count is 0",
            ParamForm::Stack { count } if count > 1 && !path.contains("{n}") => "needs `{n}` in its name",
            ParamForm::Expert if !path.contains("{e}") => "needs `{e}` in its name",
            ParamForm::Expert | ParamForm::Slice if depth == 0 => "belongs to an expert, but stands outside `experts`",
            _ => continue,
        };
        return Err(TypeError {
            message: format!("parameter `{path}` {problem}"),
            origin: param.origin.clone(),
        });
    }
    Ok(())
}

fn bad_attribute(op: &Op, graph: &Graph, depth: usize) -> Option<String> {
    let zero = |what: &str, n: u64| (n == 0).then(|| format!("needs {what} of at least 1, not 0"));
    match op {
        Op::Param(id) if id.0 as usize >= graph.params.len() => Some(format!(
            "{} is beyond the {} parameters of its graph",
            id.0,
            graph.params.len()
        )),
        Op::Input(input) if depth > 0 && !matches!(input, GraphInput::X | GraphInput::Pair(_)) => {
            Some("is read inside `experts` or `pair_bias`; a body sees its own x only".to_string())
        }
        Op::Foreign(_) if depth > 0 => Some("cannot stand inside `experts` or `pair_bias`".to_string()),
        Op::Foreign(call) if call.outputs == 0 => Some("must have a result".to_string()),
        Op::LayerNorm { groups, .. } | Op::RmsNorm { groups, .. } => zero("`groups`", *groups),
        Op::RepeatHeads { n, .. } => zero("`n`", *n),
        Op::Split(sizes) if sizes.parts() == 0 || sizes.parts() > usize::from(u16::MAX) => {
            Some(format!("cuts in 1 to {} parts, not {}", u16::MAX, sizes.parts()))
        }
        Op::Alibi { heads, .. } => zero("`heads`", *heads),
        Op::RelativeBias { buckets, .. } => zero("`buckets`", *buckets),
        Op::BlockSums(n) | Op::ByBlock(n) => zero("`n`", *n),
        Op::TopK(k) | Op::SparseMixer { k, .. } | Op::TopKeys(k) => zero("`k`", *k),
        Op::GroupLimit { groups, keep, top } => zero("`groups`", *groups)
            .or_else(|| zero("`keep`", *keep))
            .or_else(|| zero("`top`", *top)),
        Op::PairBias(pair) => zero("`heads`", pair.heads.unwrap_or(1)),
        Op::Experts(options) => zero("`count`", options.count),
        Op::RowConv {
            stride,
            groups,
            dilation,
            ..
        } => zero("`stride`", *stride)
            .or_else(|| zero("`groups`", *groups))
            .or_else(|| zero("`dilation`", *dilation)),
        _ => None,
    }
}
