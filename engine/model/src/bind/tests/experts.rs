use super::*;
use crate::bind::BoundParam;
use crate::cost::{flops_per_row, peak_row_bytes};
use crate::testing::{Builder, HIDDEN, MIDDLE, llama, llama_tensors, tensor};
use crate::{Experts, Graph, GraphInput, Op, ParamForm, ParamName};

const COUNT: u64 = 4;

/// One matrix up and one down, by `form`.
fn body(form: ParamForm) -> Graph {
    let path = |name: &str| match form {
        ParamForm::Expert => ParamName::root(format!("layers.0.experts.{{e}}.{name}.weight")),
        _ => ParamName::root(format!("layers.0.experts.{name}")),
    };
    let mut b = Builder::new("decoder.0 > experts");
    let x = b.input(GraphInput::X);
    let up = b.param_as(path("up"), form, false);
    let h = b.op(Op::Linear { transposed: false }, &[x, up]);
    let h = b.exp(h);
    let down = b.param_as(path("down"), form, false);
    let out = b.op(Op::Linear { transposed: false }, &[h, down]);
    b.output("out", out)
}

fn plan(form: ParamForm, count: u64, k: u64) -> ModelPlan {
    let mut b = Builder::new("decoder.0");
    let x = b.input(GraphInput::X);
    let scores = b.linear(x, "layers.0.gate");
    let index = b.op(Op::TopK(k), &[scores]);
    let weight = crate::Value { out: 1, ..index };
    let options = Experts {
        body: body(form),
        count,
        identity: 0,
        scale_input: false,
        keep: false,
        capacity: None,
    };
    let out = b.op(Op::Experts(Box::new(options)), &[x, index, weight]);
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph = b.output("out", out);
    plan
}

fn with_gate() -> Vec<TensorInfo> {
    let mut tensors = llama_tensors(0);
    tensors.push(tensor("model.layers.0.gate.weight", &[COUNT, HIDDEN]));
    tensors
}

fn per_expert() -> Vec<TensorInfo> {
    let mut tensors = with_gate();
    for e in 0..COUNT {
        tensors.push(tensor(
            &format!("model.layers.0.experts.{e}.up.weight"),
            &[MIDDLE, HIDDEN],
        ));
        tensors.push(tensor(
            &format!("model.layers.0.experts.{e}.down.weight"),
            &[HIDDEN, MIDDLE],
        ));
    }
    tensors
}

#[test]
fn one_tensor_per_expert_binds_in_the_order_of_experts() {
    let plan = plan(ParamForm::Expert, COUNT, 2);
    let (_, binding) = must_bind(&plan, &per_expert());
    let layer = &binding.stacks[0].layers[0];
    let (node, body) = &layer.experts[0];
    assert_eq!(body.params[0], BoundParam::Many([4, 6, 8, 10].map(Into::into).to_vec()));
    assert_eq!(layer.tensors(), (3..12).collect::<Vec<u32>>());
    assert_eq!(body.types[2][0].to_string(), "[tokens, 12]");
    let graph = &plan.stacks[0].layers[0].graph;
    let out = graph.output("out").unwrap();
    assert_eq!(out.node, *node);
    let router = 2 * HIDDEN * COUNT + 2 /* top_k */;
    assert_eq!(
        flops_per_row(graph, layer, &[out]),
        router + 2 * (4 * HIDDEN * MIDDLE + MIDDLE)
    );
    // Choice, result, the rows of one expert, its two inner values, the sum.
    let expected = 2 * 8 + 2 * 2 + 2 * HIDDEN + (2 * HIDDEN + 2 * 2 * MIDDLE + 4 * HIDDEN);
    assert_eq!(peak_row_bytes(graph, layer, &[out], 2), expected);
}

#[test]
fn packed_experts_are_cut_in_both_layouts() {
    for lead in [vec![COUNT], vec![]] {
        let shape = |a: u64, b: u64| {
            if lead.is_empty() {
                vec![COUNT * a, b]
            } else {
                vec![COUNT, a, b]
            }
        };
        let mut tensors = with_gate();
        tensors.push(tensor("model.layers.0.experts.up", &shape(MIDDLE, HIDDEN)));
        tensors.push(tensor("model.layers.0.experts.down", &shape(HIDDEN, MIDDLE)));
        let (_, binding) = must_bind(&plan(ParamForm::Slice, COUNT, 2), &tensors);
        assert_eq!(
            binding.stacks[0].layers[0].experts[0].1.params[1],
            BoundParam::One(5.into())
        );
    }
}

#[test]
fn a_packed_tensor_that_does_not_divide_is_refused() {
    let mut tensors = with_gate();
    tensors.push(tensor("model.layers.0.experts.up", &[4 * MIDDLE + 1, HIDDEN]));
    tensors.push(tensor("model.layers.0.experts.down", &[4 * HIDDEN, MIDDLE]));
    let expected =
        "decoder.0 > experts: `model.layers.0.experts.up` [49, 8] cannot be cut in 4 equal parts, one per expert";
    assert_eq!(mismatch(&plan(ParamForm::Slice, COUNT, 2), &tensors), expected);
}

#[test]
fn the_count_must_be_the_width_of_the_router() {
    let mut tensors = per_expert();
    tensors[3].shape = vec![COUNT + 2, HIDDEN];
    let expected = "decoder.0: `experts` has 4 experts, but the router chooses among 6; config and weights disagree\
                    ; [layer.decoder] out in test.toml";
    assert_eq!(mismatch(&plan(ParamForm::Expert, COUNT, 2), &tensors), expected);
}

#[test]
fn errors_inside_a_body_are_reported_once() {
    let mut tensors = per_expert();
    tensors
        .iter_mut()
        .filter(|t| t.name.ends_with("down.weight"))
        .for_each(|t| t.shape = vec![HIDDEN, 5]);
    let text = mismatch(&plan(ParamForm::Expert, COUNT, 2), &tensors);
    assert!(
        text.starts_with("decoder.0 > experts: `linear` expects the last dim of x to be 5"),
        "{text}"
    );
}

#[test]
fn bodies_work_on_rows_alone() {
    let mut plan = plan(ParamForm::Expert, COUNT, 2);
    let node = plan.stacks[0].layers[0].graph.nodes.last_mut().unwrap();
    let Op::Experts(options) = &mut node.op else {
        unreachable!()
    };
    let out = options.body.output("out").unwrap();
    let shifted = options.body.push(Op::Shift(1), vec![Some(out)], Default::default());
    options.body.outputs[0].1 = shifted;
    let text = mismatch(&plan, &per_expert());
    assert!(
        text.contains("the body of `experts` must compute each row by itself"),
        "{text}"
    );
}

#[test]
fn missing_experts_are_listed_and_a_wild_count_is_bounded() {
    let tensors = without(per_expert(), "model.layers.0.experts.2.up.weight");
    let report = must_fail(&plan(ParamForm::Expert, COUNT, 2), &tensors);
    assert_eq!(
        report.missing.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(),
        ["model.layers.0.experts.2.up.weight"]
    );
    assert!(report.unused.is_empty(), "{report}");
    let report = must_fail(&plan(ParamForm::Expert, u64::MAX, 2), &per_expert());
    assert_eq!(report.missing.len(), 32);
}

#[test]
fn fifty_thousand_tensors_bind_in_a_moment() {
    let (layers, count) = (61, 256);
    let mut tensors = llama_tensors(0);
    let mut plan = llama(0);
    plan.names.rename = (0..12)
        .map(|i| (format!("role_{i}.*"), vec![format!("other_{i}.*")]))
        .collect();
    plan.names
        .rename
        .push(("experts.*.gate".into(), vec!["experts.*.w1".into()]));
    for i in 0..layers {
        let mut b = Builder::new("decoder");
        let x = b.input(GraphInput::X);
        let scores = b.linear(x, &format!("layers.{i}.router"));
        let index = b.op(Op::TopK(8), &[scores]);
        let mut inner = Builder::new("expert");
        let y = inner.input(GraphInput::X);
        let mut at = y;
        for name in ["gate", "up", "down"] {
            let module = format!("layers.{i}.experts.{{e}}.{name}");
            let weight = inner.param_as(ParamName::root(format!("{module}.weight")), ParamForm::Expert, false);
            let bias = inner.param_as(ParamName::root(format!("{module}.bias")), ParamForm::Expert, true);
            at = inner.op(Op::Linear { transposed: false }, &[at, weight, bias]);
        }
        let body = inner.output("out", at);
        let options = Experts {
            body,
            count,
            identity: 0,
            scale_input: false,
            keep: false,
            capacity: None,
        };
        let out = b.op_with(Op::Experts(Box::new(options)), vec![Some(x), Some(index), None]);
        let layer = crate::LayerPlan {
            class: "decoder".into(),
            graph: b.output("out", out),
        };
        plan.stacks[0].layers.push(layer);
        tensors.push(tensor(&format!("model.layers.{i}.router.weight"), &[count, HIDDEN]));
        for e in 0..count {
            for name in ["w1", "up", "down"] {
                tensors.push(tensor(
                    &format!("model.layers.{i}.experts.{e}.{name}.weight"),
                    &[HIDDEN, HIDDEN],
                ));
            }
        }
    }
    assert_eq!(tensors.len(), 46_912);
    let start = std::time::Instant::now();
    let (report, _) = must_bind(&plan, &tensors);
    let took = start.elapsed();
    assert_eq!(report.bound, tensors.len());
    // About 0.3 s without optimisation; the bound leaves room for a busy machine and still fails if the
    // work is not linear in the number of tensors.
    assert!(took.as_secs_f64() < 5.0, "{took:?}");
}
