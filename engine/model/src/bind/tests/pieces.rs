//! `packed` and `joined`: what binds, and each error with its exact words.

use super::*;
use crate::bind::{BoundParam, Index, Piece, Rows, Source};
use crate::testing::{Builder, HIDDEN, MIDDLE, llama, llama_tensors, tensor};
use crate::{DType, Experts, GraphInput, Op, Packed, ParamForm, ParamName, Part, Parts};

const COUNT: u64 = 4;

fn entry(written: &str, from: &str, part: Option<(u64, Parts)>) -> Packed {
    Packed {
        written: written.into(),
        from: from.into(),
        part: part.map(|(index, of)| Part { index, of }),
        transposed: false,
        interleaved: false,
    }
}

fn half(k: u64) -> Option<(u64, Parts)> {
    Some((k, Parts::Equal(2)))
}

/// Experts with the matrices gate, up and down, and the three entries that pack them.
fn experts() -> ModelPlan {
    let mut inner = Builder::new("decoder.0 > experts");
    let x = inner.input(GraphInput::X);
    let linear = |inner: &mut Builder, x, name: &str| {
        let path = ParamName::root(format!("layers.0.experts.{{e}}.{name}.weight"));
        let bias = ParamName::root(format!("layers.0.experts.{{e}}.{name}.bias"));
        let weight = inner.param_as(path, ParamForm::Expert, false);
        let bias = inner.param_as(bias, ParamForm::Expert, true);
        inner.op(Op::Linear { transposed: false }, &[x, weight, bias])
    };
    let gate = linear(&mut inner, x, "gate");
    let up = linear(&mut inner, x, "up");
    let h = inner.mul(gate, up);
    let down = linear(&mut inner, h, "down");
    let options = Experts {
        body: inner.output("out", down),
        count: COUNT,
        identity: 0,
        scale_input: false,
        keep: false,
        capacity: None,
    };
    let mut b = Builder::new("decoder.0");
    let x = b.input(GraphInput::X);
    let scores = b.linear(x, "layers.0.router");
    let index = b.op(Op::TopK(2), &[scores]);
    let out = b.op_with(Op::Experts(Box::new(options)), vec![Some(x), Some(index), None]);
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph = b.output("out", out);
    plan.names.packed = vec![
        entry("experts.{e}.gate.weight", "experts.gate_up", half(0)),
        entry("experts.{e}.up.weight", "experts.gate_up", half(1)),
        entry("experts.{e}.down.weight", "experts.down", None),
    ];
    plan
}

fn tensors(gate_up: &[u64], down: &[u64]) -> Vec<TensorInfo> {
    let mut tensors = llama_tensors(0);
    tensors.push(tensor("model.layers.0.router.weight", &[COUNT, HIDDEN]));
    tensors.push(tensor("model.layers.0.experts.gate_up", gate_up));
    tensors.push(tensor("model.layers.0.experts.down", down));
    tensors
}

fn of_expert(binding: &Binding, param: usize, expert: usize) -> Piece {
    match &binding.stacks[0].layers[0].experts[0].1.params[param] {
        BoundParam::Many(sources) => match &sources[expert] {
            Source::Piece(piece) => (**piece).clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn experts_are_pieces_of_packed_tensors_in_both_layouts() {
    for flat in [false, true] {
        let shape = |a: u64, b: u64| if flat { vec![COUNT * a, b] } else { vec![COUNT, a, b] };
        let all = tensors(&shape(2 * MIDDLE, HIDDEN), &shape(HIDDEN, MIDDLE));
        let (report, binding) = must_bind(&experts(), &all);
        assert_eq!(report.bound, all.len());
        let expected = Piece {
            tensor: 4,
            index: Some(Index { at: 3, of: COUNT }),
            transposed: false,
            rows: Some(Rows {
                start: MIDDLE,
                len: MIDDLE,
                step: 1,
            }),
            shape: vec![MIDDLE, HIDDEN],
        };
        assert_eq!(of_expert(&binding, 2, 3), expected);
        assert_eq!(of_expert(&binding, 4, 1).shape, [HIDDEN, MIDDLE]);
        assert_eq!(binding.stacks[0].layers[0].tensors(), [3, 4, 5], "each tensor once");
        let text = report.to_string();
        let lines = [
            "3 packed",
            "packed: `model.layers.0.experts.{e}.gate.weight` is a piece of `model.layers.0.experts.gate_up`",
        ];
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    }
}

#[test]
fn a_tensor_of_its_own_comes_before_a_piece_and_what_is_left_over_is_named() {
    let mut all = tensors(&[COUNT, 2 * MIDDLE, HIDDEN], &[COUNT, HIDDEN, MIDDLE]);
    for e in 0..COUNT {
        all.push(tensor(
            &format!("model.layers.0.experts.{e}.up.weight"),
            &[MIDDLE, HIDDEN],
        ));
    }
    let report = must_fail(&experts(), &all);
    let expected = "tensor `model.layers.0.experts.gate_up` is used in part only: nothing used the rows 12 .. 24 of index 0, 1, 2, 3\n";
    assert!(report.to_string().contains(expected), "{report}");
    assert_eq!(report.partial.len(), 1);
}

#[test]
fn pieces_that_do_not_divide_are_refused() {
    let all = tensors(&[COUNT, 2 * MIDDLE + 1, HIDDEN], &[COUNT, HIDDEN, MIDDLE]);
    let expected = "decoder.0 > experts: `model.layers.0.experts.gate_up` [4, 25, 8] cannot be cut in 2 equal parts: it has 25 rows";
    assert!(must_fail(&experts(), &all).to_string().contains(expected));
    let all = tensors(&[COUNT + 1, 2 * MIDDLE, HIDDEN], &[COUNT, HIDDEN, MIDDLE]);
    let expected = "`model.layers.0.experts.gate_up` [5, 24, 8] cannot be cut in 4 equal parts, one per expert";
    assert!(must_fail(&experts(), &all).to_string().contains(expected));
}

#[test]
fn a_piece_of_the_wrong_width_is_a_shape_error() {
    let all = tensors(&[COUNT, 2 * MIDDLE, HIDDEN + 2], &[COUNT, HIDDEN, MIDDLE]);
    let report = must_fail(&experts(), &all);
    assert!(!report.mismatched.is_empty() && report.partial.is_empty(), "{report}");
}

#[test]
fn transposed_pieces_are_cut_in_columns_and_interleaved_ones_alternate() {
    let mut plan = experts();
    for packed in &mut plan.names.packed {
        packed.transposed = true;
        packed.interleaved = packed.part.is_some();
    }
    let all = tensors(&[COUNT, HIDDEN, 2 * MIDDLE], &[COUNT, MIDDLE, HIDDEN]);
    let (_, binding) = must_bind(&plan, &all);
    let up = of_expert(&binding, 2, 0);
    assert_eq!((up.transposed, up.shape), (true, vec![MIDDLE, HIDDEN]));
    let rows = Rows {
        start: 1,
        len: MIDDLE,
        step: 2,
    };
    assert_eq!(up.rows, Some(rows));
    plan.names.packed.remove(1);
    plan.names
        .packed
        .push(entry("experts.{e}.up.weight", "experts.other", None));
    let mut more = all;
    more.push(tensor("model.layers.0.experts.other", &[COUNT, MIDDLE, HIDDEN]));
    let report = must_fail(&plan, &more);
    let expected = "nothing used the columns 1 .. 2 of index 0, 1, 2, 3";
    assert!(report.to_string().contains(expected), "{report}");
}

/// A llama whose q, k, v are in one tensor with rows for each.
fn fused(sizes: [u64; 3]) -> ModelPlan {
    let mut plan = llama(1);
    let part = |k| Some((k, Parts::Rows(sizes.to_vec())));
    let names = ["q_proj.weight", "k_proj.weight", "v_proj.weight"];
    let entries = names
        .iter()
        .zip(0..)
        .map(|(name, k)| entry(name, "qkv_proj.weight", part(k)));
    plan.names.packed = entries.collect();
    plan
}

#[test]
fn plain_tensors_are_cut_in_parts_of_given_sizes() {
    let mut all = llama_tensors(1);
    all.retain(|t| !["q_proj", "k_proj", "v_proj"].iter().any(|name| t.name.contains(name)));
    all.push(tensor(
        "model.layers.0.self_attn.qkv_proj.weight",
        &[HIDDEN + 8, HIDDEN],
    ));
    let (report, _) = must_bind(&fused([HIDDEN, 4, 4]), &all);
    assert_eq!((report.bound, report.packed.len()), (all.len(), 3));
    let text = must_fail(&fused([HIDDEN, 4, 5]), &all).to_string();
    let expected =
        "`model.layers.0.self_attn.qkv_proj.weight` [16, 8] cannot be cut in parts of [8, 4, 5]: it has 16 rows";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn names_of_pieces_are_renamed_and_a_missing_one_says_what_was_tried() {
    let mut plan = fused([HIDDEN, 4, 4]);
    plan.names.rename = vec![("self_attn".into(), vec!["attn".into()])];
    let mut all = llama_tensors(1);
    all.retain(|t| !t.name.contains("q_proj"));
    let report = must_fail(&plan, &all);
    assert!(
        report.missing[0]
            .tried
            .contains(&"model.layers.0.attn.qkv_proj.weight".to_string()),
        "{report}"
    );
}

/// A llama that wants one matrix where files have q_proj and k_proj; its attention is left out.
fn wanting_one() -> ModelPlan {
    let mut b = Builder::new("decoder.0");
    let x = b.input(GraphInput::X);
    let y = b.linear(x, "layers.0.qk");
    let (a, c) = (
        b.op(
            Op::Slice {
                start: None,
                end: Some(HIDDEN as i64),
            },
            &[y],
        ),
        b.op(
            Op::Slice {
                start: Some(HIDDEN as i64),
                end: None,
            },
            &[y],
        ),
    );
    let out = b.mul(a, c);
    let mut plan = llama(1);
    plan.stacks[0].layers[0].graph = b.output("out", out);
    plan.names.joined = ["weight", "bias"]
        .map(|leaf| (format!("qk.{leaf}"), vec![format!("q.{leaf}"), format!("k.{leaf}")]))
        .to_vec();
    plan
}

#[test]
fn a_tensor_that_is_not_there_is_joined_from_others_if_all_are() {
    let mut all = llama_tensors(0);
    all.push(tensor("model.layers.0.q.weight", &[HIDDEN, HIDDEN]));
    all.push(tensor("model.layers.0.k.weight", &[HIDDEN, HIDDEN]));
    let (report, binding) = must_bind(&wanting_one(), &all);
    let layer = &binding.stacks[0].layers[0];
    assert_eq!(layer.params[0], BoundParam::One(Source::Joined(vec![3, 4])));
    assert_eq!(layer.params[1], BoundParam::Absent, "no bias");
    let line = "joined: `model.layers.0.qk.weight` is `model.layers.0.q.weight`, `model.layers.0.k.weight`\n";
    assert!(report.to_string().contains(line), "{report}");
    let elements = Source::Joined(vec![3, 4]).elements(&|_| (DType::BF16, HIDDEN * HIDDEN));
    assert_eq!(elements, (DType::BF16, 2 * HIDDEN * HIDDEN));
    let report = must_fail(&wanting_one(), &without(all.clone(), "model.layers.0.k.weight"));
    assert_eq!(report.missing[0].name, "model.layers.0.qk.weight");
    assert_eq!(report.unused, ["model.layers.0.q.weight"]);
    all[4].shape = vec![HIDDEN, HIDDEN + 1];
    let expected = "decoder.0: `model.layers.0.q.weight` [8, 8] BF16 and `model.layers.0.k.weight` [8, 9] BF16 cannot be joined along dim 0";
    assert_eq!(mismatch(&wanting_one(), &all), expected);
}
