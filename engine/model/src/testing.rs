//! A small builder of graphs, and a llama-like plan, for the tests of this crate.

use crate::bind::TensorInfo;
use crate::{
    Activation, Attend, Axes, BinaryOp, DType, Frequencies, Graph, GraphInput, LayerPlan, ModelPlan, NameRules, Num,
    Op, Origin, Param, ParamForm, ParamId, ParamName, Rope, StackPlan, StackValue, UnaryOp, Value,
};

/// Builds a graph; every node and parameter has `chain` as its origin.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) graph: Graph,
    pub(crate) chain: String,
}

impl Builder {
    pub(crate) fn new(chain: &str) -> Builder {
        Builder {
            graph: Graph::default(),
            chain: chain.to_string(),
        }
    }

    pub(crate) fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        self.op_with(op, inputs.iter().copied().map(Some).collect())
    }

    pub(crate) fn op_with(&mut self, op: Op, inputs: Vec<Option<Value>>) -> Value {
        let origin = Origin {
            chain: self.chain.clone(),
            file: "test.toml".to_string(),
            span: (0, 0),
            equation: "[layer.decoder] out".to_string(),
        };
        self.graph.push(op, inputs, origin)
    }

    pub(crate) fn input(&mut self, input: GraphInput) -> Value {
        self.op(Op::Input(input), &[])
    }

    pub(crate) fn param(&mut self, path: &str) -> Value {
        self.param_as(ParamName::root(path), ParamForm::One, false)
    }

    pub(crate) fn param_as(&mut self, name: ParamName, form: ParamForm, optional: bool) -> Value {
        let origin = Origin {
            chain: self.chain.clone(),
            ..Origin::default()
        };
        self.graph.params.push(Param {
            name,
            shape: None,
            optional,
            form,
            origin,
        });
        let id = ParamId(self.graph.params.len() as u32 - 1);
        self.op(Op::Param(id), &[])
    }

    /// `linear(x, module)` with the optional bias.
    pub(crate) fn linear(&mut self, x: Value, module: &str) -> Value {
        let weight = self.param(&format!("{module}.weight"));
        let bias = self.param_as(ParamName::root(format!("{module}.bias")), ParamForm::One, true);
        self.op(Op::Linear { transposed: false }, &[x, weight, bias])
    }

    pub(crate) fn norm(&mut self, x: Value, module: &str) -> Value {
        let weight = self.param(&format!("{module}.weight"));
        self.op(
            Op::RmsNorm {
                eps: Num(1e-5),
                offset: Num(0.0),
                groups: 1,
            },
            &[x, weight],
        )
    }

    pub(crate) fn heads(&mut self, x: Value, heads: u64, dim: u64) -> Value {
        self.op(
            Op::SplitHeads {
                heads: Some(heads),
                dim: Some(dim),
            },
            &[x],
        )
    }

    pub(crate) fn add(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Binary(BinaryOp::Add), &[a, b])
    }

    pub(crate) fn mul(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Binary(BinaryOp::Mul), &[a, b])
    }

    pub(crate) fn exp(&mut self, x: Value) -> Value {
        self.op(Op::Unary(UnaryOp::Exp), &[x])
    }

    pub(crate) fn output(mut self, name: &str, value: Value) -> Graph {
        self.graph.outputs.push((name.to_string(), value));
        self.graph
    }
}

pub(crate) const HIDDEN: u64 = 8;
pub(crate) const MIDDLE: u64 = 12;
pub(crate) const VOCAB: u64 = 20;

pub(crate) fn rope(width: u64) -> Rope {
    let inv_freq = Rope::base(1e4, width).into_iter().map(Num).collect();
    Rope {
        width,
        interleaved: false,
        frequencies: Frequencies::Fixed {
            inv_freq,
            scale: Num(1.0),
        },
        axes: Axes::One,
    }
}

pub(crate) fn attend() -> Attend {
    Attend {
        causal: true,
        window: None,
        chunk: None,
        scale: None,
        softcap: None,
        lse: false,
    }
}

/// Two heads of 4 and one key head.
pub(crate) fn llama_layer(i: usize) -> Graph {
    let mut b = Builder::new(&format!("decoder.{i}"));
    let at = |name: &str| format!("layers.{i}.{name}");
    let x = b.input(GraphInput::X);
    let normed = b.norm(x, &at("input_layernorm"));
    let project = |b: &mut Builder, name: &str, heads: u64| {
        let y = b.linear(normed, &at(&format!("self_attn.{name}")));
        b.heads(y, heads, 4)
    };
    let q = project(&mut b, "q_proj", 2);
    let k = project(&mut b, "k_proj", 1);
    let v = project(&mut b, "v_proj", 1);
    let (q, k) = (b.op(Op::Rotary(rope(4)), &[q]), b.op(Op::Rotary(rope(4)), &[k]));
    let a = b.op(Op::Attend(attend()), &[q, k, v]);
    let a = b.op(Op::MergeHeads, &[a]);
    let a = b.linear(a, &at("self_attn.o_proj"));
    let h = b.add(x, a);
    let normed = b.norm(h, &at("post_attention_layernorm"));
    let gate = b.linear(normed, &at("mlp.gate_proj"));
    let gate = b.op(Op::Activation(Activation::Silu), &[gate]);
    let up = b.linear(normed, &at("mlp.up_proj"));
    let m = b.mul(gate, up);
    let m = b.linear(m, &at("mlp.down_proj"));
    let out = b.add(h, m);
    b.output("out", out)
}

pub(crate) fn embed(table: &str) -> Graph {
    let mut b = Builder::new("embed");
    let tokens = b.input(GraphInput::Tokens);
    let table = b.param(table);
    let x = b.op(Op::Embedding, &[tokens, table]);
    b.output("x", x)
}

pub(crate) fn stack(name: &str, tokens: &str, enter: Graph, layers: Vec<Graph>) -> StackPlan {
    let layers = layers
        .into_iter()
        .map(|graph| LayerPlan {
            class: "decoder".into(),
            graph,
        })
        .collect();
    StackPlan {
        name: name.into(),
        tokens: tokens.into(),
        enter,
        layers,
        last: None,
    }
}

/// A llama of `layers` layers, heads `final` and `logits`, `lm_head` tied to the embedding.
pub(crate) fn llama(layers: usize) -> ModelPlan {
    let mut b = Builder::new("head");
    let x = b.input(GraphInput::X);
    let last = b.norm(x, "norm");
    let weight = b.param_as(ParamName::file("lm_head.weight"), ParamForm::One, false);
    let logits = b.op(Op::Linear { transposed: false }, &[last, weight]);
    b.graph.outputs.push(("final".to_string(), last));
    let head = b.output("logits", logits);
    let names = NameRules {
        root: vec!["model.".into(), "".into()],
        tied: vec![(ParamName::file("lm_head"), ParamName::root("embed_tokens"))],
        ignore: vec!["*.rotary_emb.inv_freq".into()],
        ..NameRules::default()
    };
    let layers = (0..layers).map(llama_layer).collect();
    let decoder = stack("decoder", "input_ids", embed("embed_tokens.weight"), layers);
    ModelPlan {
        family: "llama".into(),
        names,
        stacks: vec![decoder],
        head,
        unavailable: vec![],
        inputs: vec![],
    }
}

pub(crate) fn tensor(name: &str, shape: &[u64]) -> TensorInfo {
    TensorInfo {
        name: name.to_string(),
        shape: shape.to_vec(),
        dtype: DType::BF16,
    }
}

/// The tensors of [`llama`], untied.
pub(crate) fn llama_tensors(layers: usize) -> Vec<TensorInfo> {
    let mut tensors = vec![
        tensor("lm_head.weight", &[VOCAB, HIDDEN]),
        tensor("model.embed_tokens.weight", &[VOCAB, HIDDEN]),
    ];
    for i in 0..layers {
        let mut add =
            |name: &str, shape: &[u64]| tensors.push(tensor(&format!("model.layers.{i}.{name}.weight"), shape));
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        for (name, rows) in [("q_proj", HIDDEN), ("k_proj", 4), ("v_proj", 4), ("o_proj", HIDDEN)] {
            add(&format!("self_attn.{name}"), &[rows, HIDDEN]);
        }
        add("mlp.gate_proj", &[MIDDLE, HIDDEN]);
        add("mlp.up_proj", &[MIDDLE, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, MIDDLE]);
    }
    tensors.push(tensor("model.norm.weight", &[HIDDEN]));
    tensors
}

/// An encoder over `input_ids` and a decoder over `decoder_input_ids`, one llama layer each.
pub(crate) fn two_stacks() -> ModelPlan {
    let mut plan = llama(1);
    let mut encoder = plan.stacks[0].clone();
    encoder.name = "encoder".into();
    plan.stacks[0].tokens = "decoder_input_ids".into();
    plan.stacks.insert(0, encoder);
    plan
}

pub(crate) fn encoder_out() -> GraphInput {
    GraphInput::Stack {
        stack: "encoder".into(),
        value: StackValue::Out,
    }
}
