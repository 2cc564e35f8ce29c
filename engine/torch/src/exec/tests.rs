//! The executor: whole graphs, labels of rows, parameters, errors.

use super::*;
use crate::testing::{close, floats, noise, random};
use crate::{ByteView, Bytes, prepare};
use sli_model::{
    Activation, Attend, Axes, Base, BinaryOp, Frequencies, Num, Param, ParamForm, ParamId, ParamName, Rope, Scalar,
    Sizes, UnaryOp,
};
use std::collections::HashMap;
use tch::Kind;

/// A graph under construction, with its parameters.
#[derive(Default)]
struct Builder {
    graph: Graph,
    params: Vec<ParamValue>,
}

impl Builder {
    fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        let chain = format!("decoder.0 > node {}", self.graph.nodes.len());
        let origin = Origin {
            chain,
            ..Origin::default()
        };
        self.graph.push(op, inputs.iter().map(|v| Some(*v)).collect(), origin)
    }

    fn input(&mut self, input: GraphInput) -> Value {
        self.op(Op::Input(input), &[])
    }

    fn param(&mut self, value: ParamValue, form: ParamForm, shape: Option<Vec<u64>>) -> Value {
        let name = ParamName {
            base: Base::Root,
            path: format!("p{}", self.params.len()),
        };
        let optional = matches!(value, ParamValue::Absent);
        self.graph.params.push(Param {
            name,
            shape,
            optional,
            form,
            origin: Origin::default(),
        });
        self.params.push(value);
        self.op(Op::Param(ParamId(self.params.len() as u32 - 1)), &[])
    }

    fn weight(&mut self, value: &tch::Tensor) -> Value {
        self.param(
            ParamValue::One(Tensor::own(value.shallow_clone())),
            ParamForm::One,
            None,
        )
    }

    fn run(
        &self,
        lengths: &[i64],
        x: &tch::Tensor,
        compute: DType,
        wanted: &[Value],
    ) -> std::result::Result<Vec<RtValue>, ExecError> {
        let set = Arc::new(RowSet::from_lengths(lengths).unwrap());
        let raw = Weights {
            params: self.params.clone(),
            experts: HashMap::new(),
        };
        let weights = prepare(&self.graph, raw, compute)?;
        let x = Tensor::own(x.shallow_clone());
        let inputs = |input: &GraphInput| match input {
            GraphInput::X => Some(RtValue::packed(x.clone(), &set)),
            GraphInput::Positions => Some(RtValue::packed(set.positions().clone(), &set)),
            GraphInput::Tokens => {
                let ids: Vec<i64> = (0..set.len()).map(|i| i % 5).collect();
                Some(RtValue::packed(Tensor::from_i64(&ids, &[set.len()]).unwrap(), &set))
            }
            _ => None,
        };
        run(
            &self.graph,
            &weights,
            &Batch {
                set: set.clone(),
                inputs: &inputs,
                compute,
                known: &Known::new(),
            },
            wanted,
        )
    }
}

fn raw(value: &RtValue) -> tch::Tensor {
    value.tensor().expect("a tensor").raw().shallow_clone()
}

/// One layer of a Llama: two heads of 4, one key head.
fn llama(seed: u64) -> (Builder, Value) {
    let mut b = Builder::default();
    let mut next = seed;
    let mut w = |b: &mut Builder, shape: &[i64]| {
        next += 1;
        b.weight(&random(shape, next))
    };
    let norm = Op::RmsNorm {
        eps: Num(1e-6),
        offset: Num(0.0),
        groups: 1,
    };
    let linear = Op::Linear { transposed: false };
    let inv_freq = Rope::base(10000.0, 4).into_iter().map(Num).collect();
    let frequencies = Frequencies::Fixed {
        inv_freq,
        scale: Num(1.0),
    };
    let rope = Op::Rotary(Rope {
        width: 4,
        interleaved: false,
        frequencies,
        axes: Axes::One,
    });
    let heads = |heads| Op::SplitHeads {
        heads: Some(heads),
        dim: Some(4),
    };
    let x = b.input(GraphInput::X);
    let (n1, wq, wk, wv, wo) = (
        w(&mut b, &[8]),
        w(&mut b, &[8, 8]),
        w(&mut b, &[4, 8]),
        w(&mut b, &[4, 8]),
        w(&mut b, &[8, 8]),
    );
    let (n2, gate, up, down) = (
        w(&mut b, &[8]),
        w(&mut b, &[12, 8]),
        w(&mut b, &[12, 8]),
        w(&mut b, &[8, 12]),
    );
    let n = b.op(norm.clone(), &[x, n1]);
    let project = |b: &mut Builder, w, count| {
        let y = b.op(linear.clone(), &[n, w]);
        b.op(heads(count), &[y])
    };
    let (q, k, v) = (project(&mut b, wq, 2), project(&mut b, wk, 1), project(&mut b, wv, 1));
    let (q, k) = (b.op(rope.clone(), &[q]), b.op(rope, &[k]));
    let attend = Attend {
        causal: true,
        window: None,
        chunk: None,
        scale: None,
        softcap: None,
        lse: false,
    };
    let a = b.op(Op::Attend(attend), &[q, k, v]);
    let a = b.op(Op::MergeHeads, &[a]);
    let a = b.op(linear.clone(), &[a, wo]);
    let h = b.op(Op::Binary(BinaryOp::Add), &[x, a]);
    let n = b.op(norm, &[h, n2]);
    let (g, u) = (b.op(linear.clone(), &[n, gate]), b.op(linear.clone(), &[n, up]));
    let g = b.op(Op::Activation(Activation::Silu), &[g]);
    let m = b.op(Op::Binary(BinaryOp::Mul), &[g, u]);
    let m = b.op(linear, &[m, down]);
    let out = b.op(Op::Binary(BinaryOp::Add), &[h, m]);
    (b, out)
}

#[test]
fn a_layer_is_the_same_alone_in_company_and_twice() {
    let (b, out) = llama(1);
    let x = random(&[12, 8], 99);
    let all = b.run(&[5, 3, 4], &x, DType::F32, &[out]).unwrap();
    assert_eq!(all[0].rows().unwrap().offsets(), [0, 5, 8, 12]);
    let again = b.run(&[5, 3, 4], &x, DType::F32, &[out]).unwrap();
    assert_eq!(floats(&raw(&all[0])), floats(&raw(&again[0])));
    let alone = b.run(&[3], &x.narrow(0, 5, 3), DType::F32, &[out]).unwrap();
    close(&floats(&raw(&all[0]).narrow(0, 5, 3)), &floats(&raw(&alone[0])), 1e-5);
    // a token does not see those after it
    let cut = b.run(&[2], &x.narrow(0, 5, 2), DType::F32, &[out]).unwrap();
    close(&floats(&raw(&all[0]).narrow(0, 5, 2)), &floats(&raw(&cut[0])), 1e-5);
}

#[test]
fn half_precision_is_near() {
    let (b, out) = llama(1);
    let x = random(&[6, 8], 99);
    let wide = b.run(&[6], &x, DType::F32, &[out]).unwrap();
    let narrow = b.run(&[6], &x.to_kind(Kind::BFloat16), DType::BF16, &[out]).unwrap();
    assert_eq!(raw(&narrow[0]).kind(), Kind::BFloat16);
    close(&floats(&raw(&narrow[0])), &floats(&raw(&wide[0])), 0.03);
}

#[test]
fn points_are_given_beside_the_output() {
    let (b, out) = llama(1);
    let x = random(&[4, 8], 99);
    let q = Value { node: 11, out: 0 };
    let made = b.run(&[4], &x, DType::F32, &[q, out, q]).unwrap();
    assert_eq!(floats(&raw(&made[0])), floats(&raw(&made[2])));
    let only = b.run(&[4], &x, DType::F32, &[out]).unwrap();
    assert_eq!(floats(&raw(&made[1])), floats(&raw(&only[0])));
}

#[test]
fn a_token_column_stands_before_other_dims() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let at = b.input(GraphInput::Positions);
    let range = b.op(Op::Range(3), &[]);
    let table = b.weight(&random(&[2, 3], 1));
    let mul = |b: &mut Builder, p, q| b.op(Op::Binary(BinaryOp::Mul), &[p, q]);
    let angles = mul(&mut b, at, range);
    let turned = mul(&mut b, range, at);
    let scaled = mul(&mut b, x, at);
    let squares = mul(&mut b, at, at);
    let deep = mul(&mut b, at, table);
    let two = b.op(Op::Const(Scalar::Int(2)), &[]);
    let doubled = mul(&mut b, at, two);
    let ones = random(&[3, 2], 5).ones_like();
    let made = b
        .run(
            &[3],
            &ones,
            DType::F32,
            &[angles, turned, scaled, squares, deep, doubled],
        )
        .unwrap();
    let made: Vec<tch::Tensor> = made.iter().map(raw).collect();
    assert_eq!(floats(&made[0]), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 2.0, 4.0]);
    assert_eq!((made[1].size(), floats(&made[1])), (vec![3, 3], floats(&made[0])));
    assert_eq!(floats(&made[2]), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    assert_eq!((made[3].size(), floats(&made[3])), (vec![3], vec![0.0, 1.0, 4.0]));
    assert_eq!(made[4].size(), [3, 2, 3]);
    assert_eq!((made[5].kind(), floats(&made[5])), (Kind::Int64, vec![0.0, 2.0, 4.0]));
}

#[test]
fn a_choice_takes_numbers_columns_and_rows() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let at = b.input(GraphInput::Positions);
    let number = |b: &mut Builder, x| b.op(Op::Const(x), &[]);
    let (one, hide) = (
        number(&mut b, Scalar::Int(1)),
        number(&mut b, Scalar::Float(Num(f64::NEG_INFINITY))),
    );
    let seven = number(&mut b, Scalar::Int(7));
    let choose = |b: &mut Builder, mark, yes, no| b.op(Op::Where, &[mark, yes, no]);
    let wanted = [
        choose(&mut b, at, x, hide),
        choose(&mut b, x, at, one),
        choose(&mut b, at, one, seven),
        choose(&mut b, at, one, hide),
        choose(&mut b, at, at, x),
        choose(&mut b, one, at, x),
    ];
    let x = tch::Tensor::from_slice(&[2.0f32, 0.0, 4.0, 5.0]).reshape([2, 2]);
    let made = b.run(&[2], &x, DType::F32, &wanted).unwrap();
    let made: Vec<_> = made
        .iter()
        .map(|v| (raw(v).size(), raw(v).kind(), floats(&raw(v))))
        .collect();
    let hidden = f32::NEG_INFINITY;
    assert_eq!(made[0], (vec![2, 2], Kind::Float, vec![hidden, hidden, 4.0, 5.0]));
    assert_eq!(made[1], (vec![2, 2], Kind::Int64, vec![0.0, 1.0, 1.0, 1.0]));
    assert_eq!(made[2], (vec![2], Kind::Int64, vec![7.0, 1.0]));
    assert_eq!(made[3], (vec![2], Kind::Float, vec![hidden, 1.0]));
    assert_eq!(made[4], (vec![2, 2], Kind::Float, vec![2.0, 0.0, 1.0, 1.0]));
    assert_eq!(made[5], (vec![2, 2], Kind::Float, vec![0.0, 0.0, 1.0, 1.0]));
    let half = b
        .run(&[2], &x.to_kind(Kind::BFloat16), DType::BF16, &wanted[..1])
        .unwrap();
    assert_eq!(raw(&half[0]).kind(), Kind::BFloat16);
}

#[test]
fn numbers_are_computed_without_tensors() {
    let mut b = Builder::default();
    let (two, three) = (
        b.op(Op::Const(Scalar::Int(2)), &[]),
        b.op(Op::Const(Scalar::Int(3)), &[]),
    );
    let sum = b.op(Op::Binary(BinaryOp::Add), &[two, three]);
    let root = b.op(Op::Unary(UnaryOp::Rsqrt), &[sum]);
    let made = b.run(&[1], &random(&[1, 1], 1), DType::F32, &[sum, root]).unwrap();
    assert!(matches!(made[0], RtValue::Scalar(Scalar::Int(5))));
    assert!(matches!(made[1], RtValue::Scalar(s) if (s.as_f64() - 0.2f64.sqrt()).abs() < 1e-12));
}

#[test]
fn absent_parameters_are_optional_inputs() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let w = b.weight(&random(&[3, 2], 1));
    let none = b.param(ParamValue::Absent, ParamForm::One, None);
    let none_too = b.param(ParamValue::Absent, ParamForm::One, None);
    let joined = b.op(Op::JoinRows, &[none, none_too]);
    let y = b.op(Op::Linear { transposed: false }, &[x, w, joined]);
    let plain = b.op(Op::Linear { transposed: false }, &[x, w]);
    let made = b.run(&[2], &random(&[2, 2], 3), DType::F32, &[y, plain]).unwrap();
    assert_eq!(floats(&raw(&made[0])), floats(&raw(&made[1])));
    let sum = b.op(Op::Binary(BinaryOp::Add), &[x, none]);
    let error = b.run(&[2], &random(&[2, 2], 3), DType::F32, &[sum]).unwrap_err();
    assert!(error.message.contains("input 1 is missing"), "{error}");
}

#[test]
fn what_nobody_asks_for_is_not_computed() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let missing = b.input(GraphInput::Let("pos".into()));
    let broken = b.op(Op::Binary(BinaryOp::Add), &[x, missing]);
    let parts = b.op(Op::Split(Sizes::Equal(2)), &[x]);
    let second = Value { out: 1, ..parts };
    let made = b.run(&[2], &random(&[2, 4], 1), DType::F32, &[second]).unwrap();
    assert_eq!(raw(&made[0]).size(), [2, 2]);
    let error = b.run(&[2], &random(&[2, 4], 1), DType::F32, &[broken]).unwrap_err();
    assert!(error.message.contains("`pos` of `let`"), "{error}");
}

#[test]
fn errors_name_the_operation_the_shapes_and_the_place() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let w = b.weight(&random(&[3, 5], 1));
    let y = b.op(Op::Linear { transposed: false }, &[x, w]);
    let error = b.run(&[2], &random(&[2, 4], 1), DType::F32, &[y]).unwrap_err();
    assert_eq!(error.origin.chain, "decoder.0 > node 2");
    assert!(
        error.message.starts_with("`linear` of [2, 4] F32, [3, 5] F32:"),
        "{error}"
    );
    let z = b.op(Op::MatMul, &[w, w]);
    let error = b.run(&[2], &random(&[2, 4], 1), DType::F32, &[z]).unwrap_err();
    assert!(!error.message.contains('\n'), "the C++ stack is cut off: {error}");
}

#[test]
fn parameters_are_stacked_shaped_and_converted() {
    let mut b = Builder::default();
    let pieces = (0..3).map(|i| Tensor::own(random(&[2, 2], i))).collect();
    let stacked = b.param(ParamValue::Many(pieces), ParamForm::Stack { count: 3 }, None);
    let shaped = b.param(
        ParamValue::One(Tensor::own(random(&[2, 6], 7))),
        ParamForm::One,
        Some(vec![3, 4]),
    );
    let x = b.input(GraphInput::X);
    let vector = b.weight(&random(&[4], 8));
    let ids = b.input(GraphInput::Tokens);
    let table = b.weight(&random(&[5, 4], 9));
    let row = b.op(Op::Embedding, &[ids, table]);
    let y = b.op(Op::Linear { transposed: false }, &[x, shaped]);
    let z = b.op(Op::Binary(BinaryOp::Mul), &[x, vector]);
    let made = b
        .run(
            &[2],
            &random(&[2, 4], 1).to_kind(Kind::BFloat16),
            DType::BF16,
            &[stacked, shaped, y, z, row, table],
        )
        .unwrap();
    let kinds: Vec<Kind> = made.iter().map(|v| raw(v).kind()).collect();
    // a matrix and its product are narrow, what only stands in sums and products stays as stored
    assert_eq!(
        kinds,
        [
            Kind::Float,
            Kind::BFloat16,
            Kind::BFloat16,
            Kind::Float,
            Kind::BFloat16,
            Kind::Float
        ]
    );
    assert_eq!(
        (raw(&made[0]).size(), raw(&made[1]).size()),
        (vec![3, 2, 2], vec![3, 4])
    );
    let wrong = b.param(
        ParamValue::One(Tensor::own(random(&[5], 7))),
        ParamForm::One,
        Some(vec![3, 4]),
    );
    let error = b.run(&[2], &random(&[2, 4], 1), DType::F32, &[wrong]).unwrap_err();
    assert!(error.message.starts_with("parameter `p4`:"), "{error}");
}

#[test]
fn results_that_look_into_foreign_memory_keep_it() {
    let bytes: Vec<u8> = noise(8, 1).iter().flat_map(|x| x.to_le_bytes()).collect();
    let owner: Bytes = Arc::new(bytes);
    let view = Tensor::view(ByteView::new(owner.clone(), 0..32).unwrap(), DType::F32, &[2, 4]).unwrap();
    let mut b = Builder::default();
    let w = b.param(ParamValue::One(view), ParamForm::One, None);
    let turned = b.op(Op::Transpose, &[w]);
    let bias = b.op(
        Op::RelativeBias {
            buckets: 2,
            max_distance: 4,
            bidirectional: false,
            ahead: 0,
        },
        &[w],
    );
    let made = b.run(&[1], &random(&[1, 1], 1), DType::F32, &[turned, bias]).unwrap();
    drop(b);
    assert_eq!(Arc::strong_count(&owner), 3, "ours, the matrix, the bias");
    assert_eq!(raw(&made[0]).size(), [4, 2]);
    drop(made);
    assert_eq!(Arc::strong_count(&owner), 1);
}

#[test]
fn rows_that_change_get_a_set_of_their_own() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let sums = b.op(Op::BlockSums(2), &[x]);
    let at = b.op(Op::RowPositions, &[sums]);
    let first = b.op(Op::FirstToken, &[x]);
    let made = b
        .run(&[4, 3], &random(&[7, 2], 1), DType::F32, &[sums, at, first])
        .unwrap();
    assert_eq!(made[0].rows().unwrap().offsets(), [0, 2, 3]);
    assert_eq!(floats(&raw(&made[1])), [0.0, 1.0, 0.0]);
    assert!(made[2].rows().is_none() && raw(&made[2]).size() == [2, 2]);
}

#[test]
fn sequence_mixers_are_reached() {
    let mut b = Builder::default();
    let x = b.input(GraphInput::X);
    let taps = b.weight(&random(&[4, 1, 3], 2));
    let conv = b.op(Op::CausalConv1d, &[x, taps]);
    let one = b.op(Op::Const(Scalar::Float(Num(1.0))), &[]);
    let zero = b.op(Op::Binary(BinaryOp::Mul), &[x, one]);
    let wave = b.op(Op::Fourier, &[zero]);
    let wide = b.weight(&random(&[4, 4, 2], 3));
    let strided = b.op(
        Op::RowConv {
            stride: 2,
            padding: (0, 0),
            groups: 1,
            dilation: 1,
        },
        &[x, wide],
    );
    let a = b.op(Op::Activation(Activation::Sigmoid), &[x]);
    let sum = b.op(Op::Recurrence, &[a, x]);
    let made = b
        .run(&[4, 3], &random(&[7, 4], 1), DType::F32, &[conv, wave, strided, sum])
        .unwrap();
    assert_eq!(raw(&made[0]).size(), [7, 4]);
    assert_eq!(made[2].rows().unwrap().offsets(), [0, 2, 3]);
    let (gate, value) = (floats(&random(&[7, 4], 1).sigmoid()), floats(&random(&[7, 4], 1)));
    let found = floats(&raw(&made[3]));
    for channel in 0..4 {
        let mut h = 0.0;
        for row in 0..7 {
            let at = row * 4 + channel;
            h = if row == 4 { 0.0 } else { h } * gate[at] + value[at];
            assert!((found[at] - h).abs() < 1e-5);
        }
    }
    assert_eq!(raw(&made[1]).size(), [7, 4]);
}

#[test]
fn results_in_the_place_of_an_operand_are_the_same() {
    let (x, w, v) = (random(&[5, 8], 1), random(&[8, 8], 2), random(&[8, 8], 3));
    let mut g = Builder::default();
    let input = g.input(GraphInput::X);
    let (w, v) = (g.weight(&w), g.weight(&v));
    let gate = g.op(Op::Linear { transposed: false }, &[input, w]);
    let up = g.op(Op::Linear { transposed: false }, &[input, v]);
    let active = g.op(Op::Activation(Activation::Silu), &[gate]);
    let product = g.op(Op::Binary(BinaryOp::Mul), &[active, up]);
    let out = g.op(Op::Binary(BinaryOp::Add), &[input, product]);
    let fast = g.run(&[5], &x, DType::F32, &[out]).unwrap();
    // what is asked for has another reader, and so has what it was made of
    let kept = g
        .run(&[5], &x, DType::F32, &[gate, up, active, product, out, input])
        .unwrap();
    let of = |value: &RtValue| value.tensor().unwrap().to_f32_vec().unwrap();
    assert_eq!(of(&fast[0]), of(&kept[4]));
    assert_eq!(of(&kept[5]), floats(&x), "values from outside are never written to");
    let (gate, up, active, product) = (of(&kept[0]), of(&kept[1]), of(&kept[2]), of(&kept[3]));
    for i in 0..gate.len() {
        let silu = gate[i] / (1.0 + (-gate[i]).exp());
        assert!((active[i] - silu).abs() < 1e-6 && (product[i] - active[i] * up[i]).abs() < 1e-6);
    }
}

#[test]
fn an_operand_that_a_view_still_needs_is_left_alone() {
    let (x, w) = (random(&[3, 8], 1), random(&[8, 8], 2));
    let mut g = Builder::default();
    let input = g.input(GraphInput::X);
    let w = g.weight(&w);
    let y = g.op(Op::Linear { transposed: false }, &[input, w]);
    let heads = g.op(
        Op::SplitHeads {
            heads: Some(2),
            dim: None,
        },
        &[y],
    );
    let active = g.op(Op::Activation(Activation::Silu), &[y]);
    let merged = g.op(Op::MergeHeads, &[heads]);
    let out = g.op(Op::Binary(BinaryOp::Sub), &[merged, active]);
    let made = g.run(&[3], &x, DType::F32, &[out, y]).unwrap();
    let alone = g.run(&[3], &x, DType::F32, &[out]).unwrap();
    let of = |value: &RtValue| value.tensor().unwrap().to_f32_vec().unwrap();
    assert_eq!(of(&made[0]), of(&alone[0]));
    for (out, y) in of(&made[0]).iter().zip(of(&made[1])) {
        assert!((out - (y - y / (1.0 + (-y).exp()))).abs() < 1e-6);
    }
}
