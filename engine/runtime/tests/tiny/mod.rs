//! A two-layer causal model, made by hand: its plan, its weights on disk, and its equations in plain Rust.

use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView};
use sli_checkpoint::Checkpoint;
use sli_model::{
    Attend, Base, BinaryOp, Graph, GraphInput, LayerPlan, ModelPlan, NameRules, Num, Op, Origin, Param, ParamForm,
    ParamId, ParamName, Point, StackPlan, Value,
};

/// Width of the residual stream.
pub(crate) const WIDTH: usize = 64;
/// Entries of the vocabulary.
pub(crate) const VOCABULARY: usize = 300;
/// Layers.
pub(crate) const LAYERS: usize = 2;
const EPS: f64 = 1e-5;

/// A graph under construction.
#[derive(Default)]
struct Build {
    graph: Graph,
}

impl Build {
    fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        self.graph
            .push(op, inputs.iter().copied().map(Some).collect(), Origin::default())
    }

    fn param(&mut self, path: &str) -> Value {
        let name = ParamName {
            base: Base::Root,
            path: path.into(),
        };
        self.graph.params.push(Param {
            name,
            shape: None,
            optional: false,
            form: ParamForm::One,
            origin: Origin::default(),
        });
        let id = ParamId(self.graph.params.len() as u32 - 1);
        self.op(Op::Param(id), &[])
    }

    fn output(&mut self, name: &str, value: Value) {
        self.graph.outputs.push((name.into(), value));
    }
}

fn rms_norm() -> Op {
    Op::RmsNorm {
        eps: Num(EPS),
        offset: Num(0.0),
        groups: 1,
    }
}

fn enter() -> Graph {
    let mut build = Build::default();
    let tokens = build.op(Op::Input(GraphInput::Tokens), &[]);
    let table = build.param("embed.weight");
    let x = build.op(Op::Embedding, &[tokens, table]);
    build.output("x", x);
    build.graph
}

fn layer(index: usize) -> Graph {
    let mut build = Build::default();
    let x = build.op(Op::Input(GraphInput::X), &[]);
    let heads = build.op(
        Op::SplitHeads {
            heads: Some(1),
            dim: Some(WIDTH as u64),
        },
        &[x],
    );
    let causal = Attend {
        causal: true,
        window: None,
        chunk: None,
        scale: None,
        softcap: None,
        lse: false,
    };
    let seen = build.op(Op::Attend(causal), &[heads, heads, heads]);
    let merged = build.op(Op::MergeHeads, &[seen]);
    let weight = build.param(&format!("layers.{index}.weight"));
    let mixed = build.op(Op::Linear { transposed: false }, &[merged, weight]);
    let out = build.op(Op::Binary(BinaryOp::Add), &[x, mixed]);
    build.output("out", out);
    build.graph.points.push(Point {
        name: "mixed".into(),
        value: mixed,
    });
    build.graph
}

fn head() -> Graph {
    let mut build = Build::default();
    let x = build.op(Op::Input(GraphInput::X), &[]);
    let weight = build.param("norm.weight");
    let last = build.op(rms_norm(), &[x, weight]);
    let table = build.param("embed.weight");
    let logits = build.op(Op::Linear { transposed: false }, &[last, table]);
    build.output("final", last);
    build.output("logits", logits);
    build.graph
}

/// The plan.
pub(crate) fn plan() -> ModelPlan {
    let layers = (0..LAYERS)
        .map(|index| LayerPlan {
            class: "decoder".into(),
            graph: layer(index),
        })
        .collect();
    let stack = StackPlan {
        name: "decoder".into(),
        tokens: "input_ids".into(),
        enter: enter(),
        layers,
        last: None,
    };
    let names = NameRules {
        root: vec![String::new()],
        ..NameRules::default()
    };
    ModelPlan {
        family: "tiny".into(),
        names,
        stacks: vec![stack],
        head: head(),
        inputs: Vec::new(),
        unavailable: Vec::new(),
    }
}

/// The weights, row-major.
pub(crate) struct Tiny {
    embed: Vec<f32>,
    layers: Vec<Vec<f32>>,
    norm: Vec<f32>,
}

/// Every value of one document.
pub(crate) struct Values {
    /// `[tokens, WIDTH]` before the first layer and after each.
    pub(crate) hidden: Vec<Vec<Vec<f64>>>,
    /// After the norm.
    pub(crate) last: Vec<Vec<f64>>,
    /// `[tokens, VOCABULARY]`.
    pub(crate) logits: Vec<Vec<f64>>,
}

impl Tiny {
    /// Numbers from a generator with a fixed start (SplitMix64), uniform in ± 0.5 times `scale`.
    pub(crate) fn new() -> Tiny {
        let mut state = 7u64;
        let mut numbers = |count: usize, scale: f64| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
            };
            (0..count).map(|_| (scale * next()) as f32).collect()
        };
        Tiny {
            embed: numbers(VOCABULARY * WIDTH, 1.0),
            layers: (0..LAYERS).map(|_| numbers(WIDTH * WIDTH, 0.4)).collect(),
            norm: numbers(WIDTH, 2.0),
        }
    }

    /// Writes `config.json` and the weights in f32 into `dir`, and opens it.
    pub(crate) fn write(&self, dir: &Path) -> Arc<Checkpoint> {
        let bytes = |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let mut tensors = vec![
            ("embed.weight".to_owned(), vec![VOCABULARY, WIDTH], bytes(&self.embed)),
            ("norm.weight".to_owned(), vec![WIDTH], bytes(&self.norm)),
        ];
        for (index, weight) in self.layers.iter().enumerate() {
            tensors.push((format!("layers.{index}.weight"), vec![WIDTH, WIDTH], bytes(weight)));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, data)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
        std::fs::write(
            dir.join("model.safetensors"),
            safetensors::serialize(views, None).unwrap(),
        )
        .unwrap();
        std::fs::write(dir.join("config.json"), "{\"model_type\": \"tiny\"}").unwrap();
        Arc::new(Checkpoint::open(dir).unwrap())
    }

    /// All values of a document, in f64.
    pub(crate) fn values(&self, ids: &[u32]) -> Values {
        let row = |id: &u32| {
            self.embed[*id as usize * WIDTH..][..WIDTH]
                .iter()
                .map(|x| f64::from(*x))
                .collect()
        };
        let mut hidden: Vec<Vec<Vec<f64>>> = vec![ids.iter().map(row).collect()];
        for weight in &self.layers {
            let x = hidden.last().unwrap();
            let next = (0..x.len()).map(|t| {
                let mixed = times(&attend(x, t), weight, WIDTH);
                x[t].iter().zip(mixed).map(|(x, y)| x + y).collect()
            });
            let next = next.collect();
            hidden.push(next);
        }
        let norm = |x: &Vec<f64>| -> Vec<f64> {
            let square = x.iter().map(|x| x * x).sum::<f64>() / WIDTH as f64;
            x.iter()
                .zip(&self.norm)
                .map(|(x, w)| x / (square + EPS).sqrt() * f64::from(*w))
                .collect()
        };
        let last: Vec<Vec<f64>> = hidden.last().unwrap().iter().map(norm).collect();
        let logits = last.iter().map(|x| times(x, &self.embed, VOCABULARY)).collect();
        Values { hidden, last, logits }
    }
}

/// W x, W `[rows, WIDTH]`.
fn times(x: &[f64], weight: &[f32], rows: usize) -> Vec<f64> {
    (0..rows)
        .map(|row| {
            x.iter()
                .zip(&weight[row * WIDTH..])
                .map(|(x, w)| x * f64::from(*w))
                .sum()
        })
        .collect()
}

/// What the token `t` sees: the softmax-weighted mean of the rows up to itself.
fn attend(x: &[Vec<f64>], t: usize) -> Vec<f64> {
    let score = |s: usize| x[t].iter().zip(&x[s]).map(|(q, k)| q * k).sum::<f64>() / (WIDTH as f64).sqrt();
    let scores: Vec<f64> = (0..=t).map(score).collect();
    let most = scores.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..WIDTH)
        .map(|c| weights.iter().zip(x).map(|(w, v)| w / sum * v[c]).sum())
        .collect()
}

impl Values {
    /// Sum over all tokens but the first of -ln p(token | those before).
    pub(crate) fn nll(&self, ids: &[u32]) -> f64 {
        let one = |t: usize| {
            let row = &self.logits[t];
            let most = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
            most + sum.ln() - row[ids[t + 1] as usize]
        };
        (0..ids.len() - 1).map(one).sum()
    }
}
