use super::*;
use crate::bind::{Binding, bind};
use crate::testing::{Builder, HIDDEN, MIDDLE, VOCAB, llama, llama_tensors};
use crate::{GraphInput, ModelPlan, Op};

fn bound() -> (ModelPlan, Binding) {
    let plan = llama(1);
    let result = bind(&plan, &llama_tensors(1));
    (plan, result.binding.unwrap_or_else(|| panic!("{}", result.report)))
}

#[test]
fn flops_of_a_layer_are_those_of_its_matrices_and_little_more() {
    let (plan, binding) = bound();
    let graph = &plan.stacks[0].layers[0].graph;
    let layer = &binding.stacks[0].layers[0];
    let out = graph.output("out").unwrap();
    let matrices = 2 * (HIDDEN * HIDDEN * 2 + HIDDEN * 4 * 2 + 3 * HIDDEN * MIDDLE);
    let elementwise = 2 * HIDDEN /* norms */ + (HIDDEN + 4) /* rotary */ + 2 * HIDDEN /* sums */ + 2 * MIDDLE;
    assert_eq!(flops_per_row(graph, layer, &[out]), matrices + elementwise);
    assert_eq!(flops_per_pair(graph, layer, &[out]), 2 * (HIDDEN + HIDDEN));
}

#[test]
fn memory_peaks_at_the_logits() {
    let (plan, binding) = bound();
    let logits = plan.head.output("logits").unwrap();
    assert_eq!(
        peak_row_bytes(&plan.head, &binding.head, &[logits], 4),
        4 * (HIDDEN + VOCAB)
    );
    let last = plan.head.output("final").unwrap();
    let norm = 4 * HIDDEN + 8 * HIDDEN;
    assert_eq!(peak_row_bytes(&plan.head, &binding.head, &[last], 4), norm);
    assert_eq!(
        peak_row_bytes(&plan.head, &binding.head, &[last, logits], 4),
        norm.max(4 * (HIDDEN + VOCAB))
    );
}

#[test]
fn values_are_freed_at_their_last_use_and_views_are_free() {
    // x -> exp -> exp -> exp: two live at once, however long the chain; views change nothing.
    let mut b = Builder::new("chain");
    let x = b.input(GraphInput::X);
    let mut y = x;
    for _ in 0..5 {
        y = b.exp(y);
        y = b.heads(y, 2, 4);
        y = b.op(Op::MergeHeads, &[y]);
    }
    let graph = b.output("out", y);
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph = graph;
    let tensors: Vec<_> = llama_tensors(0);
    let result = bind(&plan, &tensors);
    let binding = result.binding.unwrap_or_else(|| panic!("{}", result.report));
    let layer = &plan.stacks[0].layers[0].graph;
    assert_eq!(
        peak_row_bytes(layer, &binding.stacks[0].layers[0], &[y], 2),
        2 * 2 * HIDDEN
    );
    let first = crate::Value { node: 1, out: 0 };
    assert_eq!(
        peak_row_bytes(layer, &binding.stacks[0].layers[0], &[first, y], 2),
        3 * 2 * HIDDEN
    );
}

#[test]
fn heads_are_row_wise_and_attention_is_not() {
    let plan = llama(1);
    let logits = plan.head.output("logits").unwrap();
    assert!(is_row_wise(&plan.head, &[logits]));
    let layer = &plan.stacks[0].layers[0].graph;
    assert!(!is_row_wise(layer, &[layer.output("out").unwrap()]));
    let normed = crate::Value { node: 2, out: 0 };
    assert!(is_row_wise(layer, &[normed]), "only what is needed counts");
}
