//! Removes what no output of a graph needs.

use std::collections::HashMap;

use sli_model::{Graph, Op, ParamId, Value};

/// The graph with only the nodes and parameters that its outputs need; points on other nodes go too.
pub(crate) fn prune(graph: Graph) -> Graph {
    let need = graph.needed(graph.outputs.iter().map(|o| o.1));
    let mut nodes = HashMap::new();
    let mut params = HashMap::new();
    let mut kept = Graph::default();
    for (index, mut node) in graph.nodes.into_iter().enumerate() {
        if !need[index] {
            continue;
        }
        if let Op::Param(id) = &mut node.op {
            let next = ParamId(kept.params.len() as u32);
            *id = *params.entry(*id).or_insert_with(|| {
                kept.params.push(graph.params[id.0 as usize].clone());
                next
            });
        }
        for input in node.inputs.iter_mut().flatten() {
            input.node = nodes[&input.node];
        }
        nodes.insert(index as u32, kept.nodes.len() as u32);
        kept.nodes.push(node);
    }
    let renumber = |value: Value| {
        nodes.get(&value.node).map(|node| Value {
            node: *node,
            out: value.out,
        })
    };
    kept.outputs = graph
        .outputs
        .into_iter()
        .filter_map(|(name, v)| Some((name, renumber(v)?)))
        .collect();
    kept.points = (graph.points.into_iter())
        .filter_map(|mut point| {
            point.value = renumber(point.value)?;
            Some(point)
        })
        .collect();
    kept
}
