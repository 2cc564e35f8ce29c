//! Every operation of the plan builder is one that the engine reads, with its inputs in the engine's order.

use std::collections::BTreeSet;

use plugin_tests::{graphs, planned};
use serde_json::json;
use sli_model::{Graph, ModelPlan, Op};
use sli_pipe_plugin::Described;
use sli_pipe_plugin::family::{Config, Family, Plan, PlanError};
use sli_pipe_plugin::plan::{
    Activation, Attend, Bias, Experts, Linear, Module, Norm, Normalize, Part, Piece, Relative, Rope, RowConv, Scan,
    StackValue, Tensor,
};

/// A model that makes no sense and uses everything.
struct Everything;

impl Described for Everything {
    const ID: &'static str = "everything";
    const VERSION: &'static str = "0.0.0";
}

impl Family for Everything {
    fn plan(_: &Config) -> Result<Plan, Vec<PlanError>> {
        let mut plan = Plan::new();
        plan.input("mark", "per_token");
        plan.unavailable("pooled", "there is none");
        let turned = Piece {
            part: Part::Rows(1, vec![3, 4]),
            transposed: true,
            interleaved: true,
        };
        plan.names()
            .root(["a.", ""])
            .tie("/b", "~c")
            .packed("d.weight", "e", turned)
            .joined("f", ["g", "h"]);
        plan.stack("encoder", |stack| {
            stack.tokens("other_ids");
            stack.enter(|m| {
                m.put_let("bias", m.alibi(4, 1.0, 8.0, true));
                m.embedding(m.tokens(), "embed")
            });
            stack.layer("rows", "l.0.", |m, x| rows(m, elementwise(m, x)));
            stack.layer("mixers", "l.1.", mixers);
            stack.last(|m, x| m.layer_norm(x, "last", 1e-5));
        });
        plan.stack("decoder", |stack| {
            stack.enter_after(|m, x| x + m.stack("encoder", StackValue::Hidden(1)));
            stack.layer("attention", "d.0.", attention);
            stack.layer("choice", "d.1.", choice);
        });
        plan.head(|m, x| {
            m.output(
                "final",
                x * m.stack("encoder", StackValue::Final) - m.stack("encoder", StackValue::Out),
            );
        });
        Ok(plan)
    }
}

fn elementwise<'g>(m: &Module<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let y = x.exp() + x.log() + x.sqrt() + x.rsqrt() + x.sin() + x.cos() + x.tanh() + x.abs() + x.floor() + x.ceil();
    let y = y + x.bf16() + x.f16() + x.int() + x.step() + x.softmax() + x.sum() + x.mean() - -x;
    let y = y + x.pow(2.0) + x.min(x) + x.max(1) + x.modulo(3) + x.choose(1.0, x) + x.clamp(None, 3.0);
    let y = 2.0 * y / 3 - (1 / x) + x.softcap(30.0) + x.l2_norm(1e-6) + x.normalize(0.0) + x.rms_norm(1e-6);
    let y = y + x.layer_norm(1e-5) + m.field("mark") * f64::INFINITY + x.softcap(None);
    let norm = Norm { offset: 1.0, groups: 2 };
    let y = y + m.rms_norm_with(x, "n", 1e-6, norm) + m.layer_norm_with(x, m.param("n"), 1e-6, norm);
    let names = [
        "gelu",
        "gelu_new",
        "gelu_10",
        "quick_gelu",
        "relu",
        "relu2",
        "tanh",
        "sigmoid",
        "softplus",
        "mish",
    ];
    let names = names.into_iter().chain(["elu", "leaky_relu", "identity", "silu"]);
    names.fold(y, |y, name| y + x.activation(Activation::parse(name).unwrap()))
}

fn rows<'g>(m: &Module<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let heads = x.split_heads(4, None).repeat_heads(2) + x.split_heads(None, 8).tile_heads(2);
    let heads = heads * m.numbers(&[1.0, 0.5]).per_head().transpose();
    let [a, b, c] = heads.merge_heads().split([4, 4, 8]);
    let [d, e] = c.parts();
    let y = a.concat(&[b, d, e]).slice(1, -1).shift(1) + a.join_rows(&[b]).matmul(m.range(4));
    let y = y + x.first_token().spread(x) + x.last_token().spread(x) + x.mean_rows().spread(x) + x.row_positions();
    let y = y + m.tokens().first_index(3) + x.row_at(m.tokens().last_index(0, true)) + m.token_types();
    y + m.param_shaped("p", &[3, 4]) + m.params("q.{n}.weight", 3) + m.embedding(m.positions(), m.param("table"))
}

fn mixers<'g>(m: &Module<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let scan = Scan {
        q: Some(x),
        decay: Some(x),
        bonus: Some(x),
        gain: Some(x),
        normalize: Some(Normalize::Max1),
        ..Scan::default()
    };
    let erased = Scan {
        erase: Some((x, x)),
        normalize: Some(Normalize::Sum),
        beta: Some(x),
        k: Some(x),
        ..Scan::default()
    };
    let y = x.linear_scan(scan) + x.linear_scan(erased) + x.selective_scan(x, x, x, x) + x.recurrence(x);
    let y = y + x.long_conv(x) + x.modal_conv(x, x) + x.dynamic_conv(x) + x.fourier();
    let options = RowConv {
        stride: 2,
        padding: (1, 0),
        bias: Bias::None,
        ..RowConv::default()
    };
    let linear = Linear {
        transposed: true,
        bias: Bias::Tensor(x),
    };
    let y = y + m.causal_conv1d(x, "conv", Bias::AsStored) + m.row_conv(x, m.param("w"), options);
    y + m.linear_with(x, "w", linear) + x.block_sums(4)
}

fn attention<'g>(m: &Module<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let rope = Rope::plain(8, 1e4, 1.0);
    let near = m.pair_bias(Some(4), |pair| (8.0 - (pair.q - pair.k) * pair.h).step().log());
    let relative = Relative {
        buckets: 32,
        max_distance: 128,
        bidirectional: true,
        ahead: -1,
    };
    let bias = near + x.relative_bias(relative) + x.relative_scores(x, true, Some((32, 128))) + x.key_bias();
    let bias = bias + x.segment_scores(x, m.token_types()) + x.top_keys(x, x, 16) + m.alibi(4, 0.5, 8.0, false);
    let options = Attend {
        causal: true,
        window: Some(8),
        chunk: Some(16),
        scale: Some(0.25),
        softcap: Some(50.0),
        bias: Some(bias.by_block(2)),
        prefix: Some(m.positions()),
        sinks: Some(m.param("sinks")),
    };
    let q = x.rotary(Some(&rope)).rotary_at(Some(&rope), m.positions()).rotary(None);
    let parts = [q.attend_lse(x, x, options), q.attend_lse(x, x, Attend::default())];
    m.put_carry("kept", q);
    Tensor::join_attention(&parts) + q.attend(x, x, options) + m.distances()
}

fn choice<'g>(m: &Module<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let kept: Tensor = m.get_carry("kept").expect("the layer before hands it on");
    assert!(m.get_carry::<Tensor>("other").is_none());
    let chosen = x.group_limit(8, 4, 2).top_k(2);
    let mixed = x.sparse_mixer(2, 0.01);
    let weight = x.gather(chosen.index) * chosen.value;
    let options = Experts {
        count: 16,
        identity: 2,
        scale_input: true,
        keep: true,
        capacity: Some(7),
    };
    let packed = m.experts(x, "experts", mixed.index, None, options, |m, x| {
        m.linear(x, m.param("up"))
    });
    let each = m.experts(x, "experts.{e}", chosen.index, Some(weight), Experts::of(16), |m, x| {
        m.linear(x, "up") * m.param("scale")
    });
    packed + each + kept + mixed.value
}

/// The names of the operations in graphs and their bodies.
fn names(graph: &Graph, found: &mut BTreeSet<String>) {
    for node in &graph.nodes {
        let json = serde_json::to_value(&node.op).unwrap();
        let name = |json: &serde_json::Value| match json {
            serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
            other => other.as_str().unwrap().to_owned(),
        };
        let kind = name(&json);
        found.insert(
            match json
                .get(&kind)
                .filter(|_| ["unary", "binary", "activation", "input"].contains(&kind.as_str()))
            {
                Some(which) => format!("{kind} {}", name(which)),
                None => kind,
            },
        );
        match &node.op {
            Op::Experts(experts) => names(&experts.body, found),
            Op::PairBias(bias) => names(&bias.body, found),
            _ => {}
        }
    }
}

fn plan() -> ModelPlan {
    planned::<Everything>(&json!({})).unwrap().0
}

#[test]
fn every_operation_is_one_of_the_engine() {
    let plan = plan();
    let mut found = BTreeSet::new();
    for graph in graphs(&plan) {
        names(graph, &mut found);
    }
    // What the builder has no method for on purpose: results of other plugins.
    let missing: Vec<String> = engine_operations()
        .into_iter()
        .filter(|name| !found.contains(name))
        .collect();
    assert_eq!(missing, ["foreign"]);
}

/// The operations that the engine knows, out of the message for one that it does not know.
fn engine_operations() -> Vec<String> {
    let known = |json: serde_json::Value| -> Vec<String> {
        let error = serde_json::from_value::<Op>(json).unwrap_err().to_string();
        let (_, list) = error.split_once("expected one of ").expect("serde lists the names");
        let names = list.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for name in known(json!("no_such_operation")) {
        match name.as_str() {
            "unary" | "binary" | "activation" => {
                all.extend(
                    known(json!({ &name: "none" }))
                        .into_iter()
                        .map(|which| format!("{name} {which}")),
                );
            }
            "input" => all.extend(
                known(json!({ "input": "none" }))
                    .into_iter()
                    .map(|which| format!("input {which}")),
            ),
            // `let` values that nothing reads are dropped, and this model reads none.
            _ => all.push(name),
        }
    }
    all.retain(|name| name != "input let");
    all
}

#[test]
fn what_nothing_reads_is_dropped() {
    let plan = plan();
    let enter = &plan.stacks[0].enter;
    assert_eq!(enter.outputs.len(), 1, "a `let` that no layer reads");
    assert!(!enter.nodes.iter().any(|node| matches!(node.op, Op::Alibi { .. })));
}

#[test]
fn carried_values_pass_from_layer_to_layer() {
    let plan = plan();
    let outputs: Vec<&str> = plan.stacks[1].layers[0]
        .graph
        .outputs
        .iter()
        .map(|o| o.0.as_str())
        .collect();
    assert_eq!(outputs, ["carry.kept", "out"]);
}
