use super::*;
use crate::{BinaryOp, GraphInput, LayerPlan, NameRules, Num, Origin, ParamId, ParamName, Point, StackPlan, Value};

fn push(graph: &mut Graph, op: Op, inputs: &[Value]) -> Value {
    graph.push(op, inputs.iter().copied().map(Some).collect(), Origin::default())
}

fn param(graph: &mut Graph, name: String) -> Value {
    graph.params.push(Param {
        name: ParamName::root(name),
        shape: None,
        optional: false,
        form: ParamForm::One,
        origin: Origin::default(),
    });
    let id = ParamId(graph.params.len() as u32 - 1);
    push(graph, Op::Param(id), &[])
}

fn norm(eps: f64) -> Op {
    Op::RmsNorm {
        eps: Num(eps),
        offset: Num(0.0),
        groups: 1,
    }
}

/// x + linear(norm(x)), in one order or the other.
fn layer(index: usize, eps: f64, other_order: bool) -> LayerPlan {
    let mut graph = Graph::default();
    let weight = other_order.then(|| param(&mut graph, format!("layers.{index}.q.weight")));
    let x = push(&mut graph, Op::Input(GraphInput::X), &[]);
    let gain = param(&mut graph, format!("layers.{index}.norm.weight"));
    let normed = push(&mut graph, norm(eps), &[x, gain]);
    let weight = weight.unwrap_or_else(|| param(&mut graph, format!("layers.{index}.q.weight")));
    let q = push(&mut graph, Op::Linear { transposed: false }, &[normed, weight]);
    let out = push(&mut graph, Op::Binary(BinaryOp::Add), &[x, q]);
    graph.points.push(Point {
        name: "q".into(),
        value: q,
    });
    graph.outputs.push(("out".into(), out));
    LayerPlan {
        class: "decoder".into(),
        graph,
    }
}

fn plan(layers: Vec<LayerPlan>) -> ModelPlan {
    let mut enter = Graph::default();
    let x = push(&mut enter, Op::Input(GraphInput::Tokens), &[]);
    enter.outputs.push(("x".into(), x));
    ModelPlan {
        family: "f".into(),
        names: NameRules::default(),
        stacks: vec![StackPlan {
            name: "decoder".into(),
            tokens: "input_ids".into(),
            enter,
            layers,
            last: None,
        }],
        head: Graph::default(),
        unavailable: vec![],
        inputs: vec![],
    }
}

fn layers(count: usize, eps: f64) -> Vec<LayerPlan> {
    (0..count).map(|index| layer(index, eps, false)).collect()
}

fn text(old: &ModelPlan, new: &ModelPlan) -> String {
    plan_diff(old, new).to_string()
}

#[test]
fn another_order_is_no_difference() {
    let one = plan(layers(2, 1e-6));
    let two = plan((0..2).map(|index| layer(index, 1e-6, true)).collect());
    assert_ne!(one, two);
    assert!(plan_diff(&one, &two).is_empty(), "{}", text(&one, &two));
    assert_eq!(text(&one, &two), "the plan is the same\n");
}

#[test]
fn layers_that_change_alike_are_named_together() {
    let old = plan(layers(32, 1e-6));
    assert_eq!(
        text(&old, &plan(layers(32, 1e-5))),
        "decoder.0-31: rms_norm: eps 1e-6 -> 1e-5\n"
    );
    let mut some = layers(32, 1e-6);
    for index in [3, 4, 9] {
        some[index] = layer(index, 1e-5, true);
    }
    assert_eq!(text(&old, &plan(some)), "decoder.3-4, 9: rms_norm: eps 1e-6 -> 1e-5\n");
}

#[test]
fn layers_and_stacks_come_and_go() {
    let old = plan(layers(2, 1e-6));
    let new = plan(layers(4, 1e-6));
    let said = text(&old, &new);
    assert!(said.starts_with("decoder: 2 -> 4 layers\n"), "{said}");
    assert!(said.contains("points + decoder.*.q (2)"), "{said}");
    assert!(
        said.contains("tensors + layers.*.norm.weight (2), layers.*.q.weight (2)"),
        "{said}"
    );
    let mut other = old.clone();
    other.stacks[0].name = "encoder".into();
    let said = text(&old, &other);
    assert!(
        said.starts_with("encoder: a new stack of 2 layers\ndecoder: this stack of 2 layers is gone\n"),
        "{said}"
    );
}

#[test]
fn another_tensor_is_one_that_is_read_and_one_that_is_not() {
    let old = plan(layers(3, 1e-6));
    let mut new = old.clone();
    for layer in &mut new.stacks[0].layers {
        for param in &mut layer.graph.params {
            param.name.path = param.name.path.replace(".q.", ".query.");
        }
    }
    assert_eq!(
        text(&old, &new),
        "decoder.0-2: linear: input 2 param layers.*.q.weight -> param layers.*.query.weight\n\
         tensors + layers.*.query.weight (3)\ntensors - layers.*.q.weight (3)\n"
    );
}

#[test]
fn operations_that_come_and_go_are_named() {
    let old = plan(layers(1, 1e-6));
    let mut new = old.clone();
    let graph = &mut new.stacks[0].layers[0].graph;
    let out = graph.outputs[0].1;
    let cut = push(graph, Op::Softcap(Num(30.0)), &[out]);
    graph.outputs[0].1 = cut;
    assert_eq!(text(&old, &new), "decoder.0: now softcap\n");
    assert_eq!(text(&new, &old), "decoder.0: no longer softcap\n");
}

#[test]
fn the_same_operations_on_other_values_are_a_difference() {
    let wired = |swapped: bool| {
        let mut graph = Graph::default();
        let x = push(&mut graph, Op::Input(GraphInput::X), &[]);
        let (a, b) = (push(&mut graph, Op::Sum, &[x]), push(&mut graph, Op::Mean, &[x]));
        let inputs = if swapped { [b, a] } else { [a, b] };
        let out = push(&mut graph, Op::Binary(BinaryOp::Sub), &inputs);
        graph.outputs.push(("out".into(), out));
        let class = "decoder".into();
        plan(vec![LayerPlan { class, graph }])
    };
    assert!(plan_diff(&wired(false), &wired(false)).is_empty());
    assert!(!plan_diff(&wired(false), &wired(true)).is_empty());
}

#[test]
fn a_name_for_another_value_is_told() {
    let old = plan(layers(1, 1e-6));
    let mut new = old.clone();
    let graph = &mut new.stacks[0].layers[0].graph;
    graph.points[0].value = graph.outputs[0].1;
    assert_eq!(text(&old, &new), "decoder.0: the point q is another value\n");
}

#[test]
fn rules_of_names_are_told() {
    let old = plan(layers(1, 1e-6));
    let mut new = old.clone();
    new.family = "g".into();
    new.names.root = vec!["model.".into()];
    new.names.rename = vec![("a".into(), vec!["b".into(), "c".into()])];
    new.names.ties_apply = true;
    new.unavailable = vec![("logits".into(), "no head".into())];
    let said = text(&old, &new);
    for line in [
        "family: f -> g",
        "roots of names: [] -> [\"model.\"]",
        "ties apply: false -> true",
        "rename added: a -> b | c",
    ] {
        assert!(said.contains(line), "{said}");
    }
    new.names.rename.push(("d".into(), vec!["e".into()]));
    let mut other = new.clone();
    other.names.rename.reverse();
    assert_eq!(text(&new, &other), "rename: tried in another order\n");
}

/// Whatever differs in what is computed is told.
#[test]
fn no_difference_is_silent() {
    let old = plan(layers(1, 1e-6));
    let ops = [
        Op::Softmax,
        Op::Sum,
        Op::Softcap(Num(1.0)),
        Op::Softcap(Num(2.0)),
        Op::Shift(1),
        norm(1e-6),
        norm(1e-3),
    ];
    let with = |op: &Op| {
        let mut plan = old.clone();
        let graph = &mut plan.stacks[0].layers[0].graph;
        let out = push(graph, op.clone(), &[graph.outputs[0].1]);
        graph.outputs[0].1 = out;
        plan
    };
    for (i, a) in ops.iter().enumerate() {
        for (j, b) in ops.iter().enumerate() {
            assert_eq!(plan_diff(&with(a), &with(b)).is_empty(), i == j, "{a:?} {b:?}");
        }
    }
}
