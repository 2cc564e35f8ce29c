use super::*;
use crate::infer::{Dim, SetId, ValueType};
use crate::testing::{Builder, HIDDEN, attend, encoder_out, llama, llama_layer, llama_tensors, tensor, two_stacks};
use crate::{Graph, GraphInput, Op, Scalar, StackValue, Value};

/// A llama with one layer, replaced by what `make` builds from x.
fn layer(make: impl Fn(&mut Builder, Value) -> Value) -> ModelPlan {
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph = graph(make);
    plan
}

fn graph(make: impl Fn(&mut Builder, Value) -> Value) -> Graph {
    let mut b = Builder::new("decoder.0");
    let x = b.input(GraphInput::X);
    let out = make(&mut b, x);
    b.output("out", out)
}

const TRAIL: &str = "; [layer.decoder] out in test.toml";

#[test]
fn a_config_that_disagrees_with_the_weights_is_found_at_split_heads() {
    let plan = layer(|b, x| b.heads(x, 4, 3));
    let expected = "decoder.0: `split_heads` expects the last dim 12 = 4 heads x 3, but x is [tokens, 8]; config and weights disagree";
    assert_eq!(mismatch(&plan, &llama_tensors(0)), format!("{expected}{TRAIL}"));
}

#[test]
fn a_weight_of_another_width_is_named() {
    let mut tensors = llama_tensors(1);
    tensors
        .iter_mut()
        .find(|t| t.name.ends_with("up_proj.weight"))
        .unwrap()
        .shape = vec![12, 6];
    let expected = "decoder.0: `linear` expects the last dim of x to be 6, the inputs of `layers.0.mlp.up_proj.weight` [12, 6], \
                    but x is [tokens, 8]; config and weights disagree";
    assert_eq!(mismatch(&llama(1), &tensors), format!("{expected}{TRAIL}"));
}

#[test]
fn a_layer_keeps_the_stream() {
    let plan = layer(|b, x| b.linear(x, "wide"));
    let mut tensors = llama_tensors(0);
    tensors.push(tensor("model.wide.weight", &[16, HIDDEN]));
    // The head reads the stream as it entered, so there is one error.
    let expected = "decoder.0: layer 0 of `decoder` gives [tokens, 16], but [tokens, 8] enters it: a layer must keep the stream as it is";
    assert_eq!(mismatch(&plan, &tensors), format!("{expected}{TRAIL}"));
}

#[test]
fn token_columns_broadcast() {
    let plan = layer(|b, x| {
        let positions = b.input(GraphInput::Positions);
        let range = b.op(Op::Range(HIDDEN), &[]);
        let table = b.mul(positions, range);
        let scaled = b.mul(x, positions);
        b.add(scaled, table)
    });
    let (_, binding) = must_bind(&plan, &llama_tensors(0));
    let expected = ValueType::float(vec![Dim::Rows(SetId(0)), Dim::Size(HIDDEN)]);
    assert_eq!(binding.stacks[0].layers[0].types[3], [expected]);
}

#[test]
fn integers_stay_integers_where_the_language_says_so() {
    let plan = layer(|b, x| {
        let positions = b.input(GraphInput::Positions);
        let two = b.op(Op::Const(Scalar::Int(2)), &[]);
        let at = b.add(positions, two);
        let table = b.param("wpe.weight");
        let p = b.op(Op::Embedding, &[at, table]);
        b.add(x, p)
    });
    let mut tensors = llama_tensors(0);
    tensors.push(tensor("model.wpe.weight", &[16, HIDDEN]));
    must_bind(&plan, &tensors);
}

#[test]
fn cross_attention_may_read_another_set_but_rows_do_not_mix() {
    let cross = graph(|b, x| {
        let memory = b.input(encoder_out());
        let (q, kv) = (b.heads(x, 2, 4), b.heads(memory, 2, 4));
        let a = b.op(Op::Attend(attend()), &[q, kv, kv]);
        b.op(Op::MergeHeads, &[a])
    });
    let mixed = graph(|b, x| {
        let memory = b.input(encoder_out());
        b.add(x, memory)
    });
    let mut plan = two_stacks();
    plan.stacks[1].layers[0].graph = cross;
    let (_, binding) = must_bind(&plan, &llama_tensors(1));
    assert_eq!(binding.stacks[1].layers[0].types[0][0].rows(), Some(SetId(1)));
    plan.stacks[1].layers[0].graph = mixed;
    let expected = "decoder.0: `add` mixes two token sets: the tokens of `decoder` and the tokens of `encoder`";
    assert_eq!(mismatch(&plan, &llama_tensors(1)), format!("{expected}{TRAIL}"));
}

#[test]
fn k_and_v_of_different_sets_are_refused() {
    let mut plan = two_stacks();
    plan.stacks[1].layers[0].graph = graph(|b, x| {
        let memory = b.input(encoder_out());
        let (q, k) = (b.heads(x, 2, 4), b.heads(memory, 2, 4));
        let a = b.op(Op::Attend(attend()), &[q, k, q]);
        b.op(Op::MergeHeads, &[a])
    });
    let expected = "decoder.0: `attend` mixes two token sets: the tokens of `encoder` and the tokens of `decoder`";
    assert_eq!(mismatch(&plan, &llama_tensors(1)), format!("{expected}{TRAIL}"));
}

#[test]
fn attend_and_biases_must_agree() {
    let with_bias = |bias: Op| {
        layer(move |b, x| {
            let q = b.heads(x, 2, 4);
            let bias = b.op(bias.clone(), &[]);
            let a = b.op(Op::Attend(attend()), &[q, q, q, bias]);
            b.op(Op::MergeHeads, &[a])
        })
    };
    let alibi = |heads| Op::Alibi {
        heads,
        scale: crate::Num(1.0),
        max: crate::Num(8.0),
        symmetric: false,
    };
    must_bind(&with_bias(alibi(2)), &llama_tensors(0));
    let expected = "decoder.0: `attend` has 2 heads, but its `bias` is a score bias of 3 heads";
    assert_eq!(
        mismatch(&with_bias(alibi(3)), &llama_tensors(0)),
        format!("{expected}{TRAIL}")
    );
    let expected = "decoder.0: `attend` expects `bias` to be a score bias, but it is [4]";
    assert_eq!(
        mismatch(&with_bias(Op::Range(4)), &llama_tensors(0)),
        format!("{expected}{TRAIL}")
    );
}

#[test]
fn rows_that_an_op_makes_are_the_same_set_wherever_it_stands() {
    let blocks = |n: u64, m: u64| {
        layer(move |b, x| {
            let q = b.heads(x, 2, 4);
            let (k, v) = (b.op(Op::BlockSums(n), &[x]), b.op(Op::BlockSums(m), &[x]));
            let (k, v) = (b.heads(k, 2, 4), b.heads(v, 2, 4));
            let a = b.op(Op::Attend(attend()), &[q, k, v]);
            b.op(Op::MergeHeads, &[a])
        })
    };
    must_bind(&blocks(4, 4), &llama_tensors(0));
    let expected = "decoder.0: `attend` mixes two token sets: the rows that `block_sums(x, 4)` makes of the tokens of `decoder` \
                    and the rows that `block_sums(x, 8)` makes of the tokens of `decoder`";
    assert_eq!(mismatch(&blocks(4, 8), &llama_tensors(0)), format!("{expected}{TRAIL}"));
}

#[test]
fn heads_need_their_stacks_and_inputs() {
    let mut plan = llama(1);
    let mut b = Builder {
        graph: plan.head.clone(),
        chain: "head".into(),
    };
    let encoded = b.input(GraphInput::Stack {
        stack: "encoder".into(),
        value: StackValue::Final,
    });
    let beyond = b.input(GraphInput::Stack {
        stack: "decoder".into(),
        value: StackValue::Hidden(2),
    });
    b.graph.outputs.push(("memory".into(), encoded));
    plan.head = b.output("deep", beyond);
    plan.unavailable.push(("seen".into(), "stack `vision` is off".into()));
    let (report, binding) = must_bind(&plan, &llama_tensors(1));
    let reason = |text: &str| Some(text.to_string());
    assert_eq!(
        binding.heads[2].reason,
        reason("this model has no stack `encoder`, or it runs later")
    );
    assert_eq!(
        binding.heads[3].reason,
        reason("`decoder.hidden[2]` is beyond the 1 layers of the stack")
    );
    assert_eq!(binding.heads[4].reason, reason("stack `vision` is off"));
    assert_eq!(report.unavailable.len(), 3);
    assert!(binding.heads[1].value.is_some());
}

#[test]
fn tensors_of_unavailable_heads_are_unused() {
    let mut plan = llama(1);
    let mut b = Builder {
        graph: plan.head.clone(),
        chain: "head".into(),
    };
    let x = b.input(GraphInput::X);
    let dense = b.linear(x, "cls.dense");
    let scores = b.linear(dense, "cls.decoder");
    plan.head = b.output("scores", scores);
    must_bind(&plan, &llama_tensors(1));
    let mut tensors = llama_tensors(1);
    tensors.push(tensor("model.cls.dense.weight", &[HIDDEN, HIDDEN]));
    let report = must_fail(&plan, &tensors);
    assert_eq!(report.unused, ["model.cls.dense.weight"]);
    assert_eq!(
        report.unavailable[0].1,
        "the checkpoint has no tensor `model.cls.decoder.weight`"
    );
}

#[test]
fn carried_values_flow_from_layer_to_layer() {
    let mut plan = llama(2);
    let keep = |b: &mut Builder, x: Value| {
        b.graph.outputs.push(("carry.v0".into(), x));
        b.exp(x)
    };
    plan.stacks[0].layers[0].graph = graph(keep);
    plan.stacks[0].layers[1].graph = graph(|b, x| {
        let v0 = b.input(GraphInput::Carry("v0".into()));
        b.add(x, v0)
    });
    must_bind(&plan, &llama_tensors(0));
    plan.stacks[0].layers.swap(0, 1);
    let expected = "decoder.0: there is no `carry` value `v0` here";
    assert_eq!(mismatch(&plan, &llama_tensors(0)), format!("{expected}{TRAIL}"));
}

#[test]
fn graphs_with_wrong_indices_are_refused_before_anything_else() {
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph.nodes[2].inputs[0] = Some(Value { node: 9, out: 0 });
    let text = mismatch(&plan, &llama_tensors(1));
    assert_eq!(
        text,
        format!("decoder.0: node 2 (`rms_norm`) reads node 9, which does not come before it{TRAIL}")
    );
    let mut plan = llama(1);
    plan.head.outputs[0].1 = Value { node: 99, out: 0 };
    assert_eq!(
        mismatch(&plan, &llama_tensors(1)),
        "`final` is node 99, but the graph has 5 nodes"
    );
}

#[test]
fn the_same_mistake_in_many_layers_is_one_line() {
    let mut plan = llama(4);
    for i in 0..4 {
        plan.stacks[0].layers[i].graph = llama_layer(i);
    }
    let mut tensors = llama_tensors(4);
    tensors
        .iter_mut()
        .filter(|t| t.name.contains("o_proj"))
        .for_each(|t| t.shape = vec![HIDDEN, 6]);
    let report = must_fail(&plan, &tensors);
    assert_eq!(report.mismatched.len(), 4);
    let text = report.to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.ends_with("(and 3 more of that kind)\n"), "{text}");
}
