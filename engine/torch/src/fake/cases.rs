//! The kernels, a few at a time, on both devices.

use super::{Case, FAKE, Fake};
use crate::testing::random;
use crate::{ParamValue, RowSet, Tensor, Weights};
use sli_model::{
    Activation, Attend, Axes, Base, BinaryOp, DType, Experts, Frequencies, Graph, GraphInput, LinearScan, Num, Op,
    Origin, PairBias, PairIndex, Param, ParamForm, ParamId, ParamName, Relative, Rope, Scalar, ScanNormalize, UnaryOp,
    Value,
};
use std::collections::HashMap;
use tch::Kind;

/// Ragged, with two sequences of one length, a long one and an empty one.
const LENGTHS: [i64; 5] = [5, 130, 5, 0, 9];
const ROWS: i64 = 149;

fn case() -> Case {
    Case::new(&LENGTHS)
}

fn int(n: i64) -> Op {
    Op::Const(Scalar::Int(n))
}

fn float(x: f64) -> Op {
    Op::Const(Scalar::Float(Num(x)))
}

/// Whole numbers 0 .. n, one per row.
fn tokens(n: i64) -> tch::Tensor {
    let numbers: Vec<i64> = (0..ROWS).map(|i| (i * 7 + i / 3) % n).collect();
    tch::Tensor::from_slice(&numbers)
}

fn attend() -> Attend {
    Attend {
        causal: true,
        window: None,
        chunk: None,
        scale: None,
        softcap: None,
        lse: false,
    }
}

fn rope(axes: Axes, frequencies: Frequencies) -> Op {
    Op::Rotary(Rope {
        width: 8,
        interleaved: false,
        frequencies,
        axes,
    })
}

fn fixed() -> Frequencies {
    Frequencies::Fixed {
        inv_freq: [1.0, 0.3, 0.1, 0.01].map(Num).to_vec(),
        scale: Num(1.5),
    }
}

/// q, k, v with two heads for each of k and v.
fn heads(c: &mut Case) -> [Value; 3] {
    [(4, 1), (2, 2), (2, 3)].map(|(h, seed)| c.rows(random(&[ROWS, h, 8], seed)))
}

#[test]
fn products_norms_and_arithmetic() {
    let mut c = case();
    let x = c.rows(random(&[ROWS, 8], 1));
    let (w, b, table) = (
        c.plain(random(&[8, 8], 2)),
        c.plain(random(&[8], 3)),
        c.plain(random(&[11, 8], 4)),
    );
    let (ids, scale) = (c.rows(tokens(11)), c.plain(random(&[8], 9)));
    let (eps, offset) = (Num(1e-5), Num(1.0));
    let groups = 2;
    let mut y = c.op(Op::Linear { transposed: false }, &[x, w, b]);
    let e = c.op(Op::Embedding, &[ids, table]);
    y = c.op(Op::Binary(BinaryOp::Add), &[y, e]);
    y = c.op(Op::LayerNorm { eps, offset, groups: 1 }, &[y, scale, b]);
    y = c.op(Op::RmsNorm { eps, offset, groups }, &[y, b]);
    y = c.op(Op::L2Norm { eps }, &[y]);
    let numbers = [
        (BinaryOp::Mul, float(3.5)),
        (BinaryOp::Min, float(2.0)),
        (BinaryOp::Max, float(-2.0)),
    ];
    for (op, number) in numbers {
        let number = c.op(number, &[]);
        y = c.op(Op::Binary(op), &[y, number]);
    }
    let two = c.op(int(2), &[]);
    let half = c.op(float(0.5), &[]);
    let square = c.op(Op::Binary(BinaryOp::Pow), &[y, two]);
    let powers = c.op(Op::Binary(BinaryOp::Pow), &[half, y]);
    let parity = c.op(Op::Binary(BinaryOp::Mod), &[ids, two]);
    let chosen = c.op(Op::Where, &[parity, square, two]);
    let both = c.op(Op::Where, &[parity, two, half]);
    let capped = c.op(Op::Softcap(Num(2.0)), &[y]);
    let soft = c.op(Op::Softmax, &[capped]);
    let active = c.op(Op::Activation(Activation::GeluTanh), &[soft]);
    let range = c.op(Op::Range(8), &[]);
    let list = c.op(Op::Numbers((0..8).map(|i| Num(f64::from(i) / 3.0)).collect()), &[]);
    let ranged = c.op(Op::Binary(BinaryOp::Mul), &[active, range]);
    let listed = c.op(Op::Binary(BinaryOp::Sub), &[ranged, list]);
    c.check("arithmetic", &[listed, powers, chosen, both], 0);
}

#[test]
fn norms_of_half_precision() {
    let mut c = case();
    c.compute = DType::BF16;
    let x = c.rows(random(&[ROWS, 8], 1).to_kind(Kind::BFloat16));
    let (w, b) = (c.plain(random(&[8], 2)), c.plain(random(&[8], 3)));
    let (eps, offset, groups) = (Num(1e-5), Num(0.0), 1);
    let layer = c.op(Op::LayerNorm { eps, offset, groups }, &[x, w, b]);
    let rms = c.op(Op::RmsNorm { eps, offset, groups }, &[layer, w]);
    c.check("norms", &[layer, rms], 0);
}

#[test]
fn rotary_of_every_form() {
    let by_length = Frequencies::ByLength {
        short: [1.0, 0.3, 0.1, 0.01].map(Num).to_vec(),
        long: [0.5, 0.2, 0.1, 0.01].map(Num).to_vec(),
        original: Num(8.0),
        short_scale: Num(1.0),
        long_scale: Num(1.1),
    };
    let mut c = case();
    let x = c.rows(random(&[ROWS, 4, 8], 1));
    let plain = c.op(rope(Axes::One, fixed()), &[x]);
    let lengths = c.op(rope(Axes::One, by_length), &[x]);
    let places = c.rows(tch::Tensor::stack(&[tokens(7), tokens(5)], 1));
    let split = c.op(rope(Axes::Split { theta: Num(100.0) }, fixed()), &[x, places]);
    let sections = c.op(rope(Axes::Sections(vec![0, 1, 1, 0]), fixed()), &[x, places]);
    c.check("rotary", &[plain, lengths, split, sections], 0);
}

#[test]
fn attention_of_every_form() {
    let options = [
        attend(),
        Attend {
            window: Some(6),
            ..attend()
        },
        Attend {
            chunk: Some(4),
            ..attend()
        },
        Attend {
            causal: false,
            window: Some(3),
            ..attend()
        },
        Attend {
            softcap: Some(Num(3.0)),
            ..attend()
        },
        Attend { lse: true, ..attend() },
    ];
    let mut c = case();
    let qkv = heads(&mut c);
    let made: Vec<Value> = options.into_iter().map(|op| c.op(Op::Attend(op), &qkv)).collect();
    let sinks = c.plain(random(&[4], 8));
    let [q, k, v] = qkv.map(Some);
    let sunk = c.optional(Op::Attend(attend()), vec![q, k, v, None, None, Some(sinks)]);
    c.check("attention", &[made, vec![sunk]].concat(), 0);
    // the keys before a prefix are tiled on the host
    let prefix = c.rows(tokens(1) + 3);
    let seen = c.optional(Op::Attend(attend()), vec![q, k, v, None, Some(prefix)]);
    c.check("prefix", &[seen], 1);
}

#[test]
fn score_biases_of_every_form() {
    let mut c = case();
    let qkv = heads(&mut c);
    let symmetric = false;
    let alibi = c.op(
        Op::Alibi {
            heads: 4,
            scale: Num(1.0),
            max: Num(8.0),
            symmetric,
        },
        &[],
    );
    let table = c.plain(random(&[8, 4], 4));
    let (buckets, max_distance, bidirectional, ahead) = (8, 20, true, 0);
    let by_bucket = c.op(
        Op::RelativeBias {
            buckets,
            max_distance,
            bidirectional,
            ahead,
        },
        &[table],
    );
    let own = c.rows(random(&[ROWS, 8, 4], 5));
    let by_bucket_of_rows = c.op(
        Op::RelativeBias {
            buckets,
            max_distance,
            bidirectional,
            ahead,
        },
        &[own],
    );
    let distances = c.plain(random(&[40, 4, 8], 6));
    let buckets = Some((16, 30));
    let relative_scores = c.op(
        Op::RelativeScores(Relative { of_key: false, buckets }),
        &[qkv[0], distances],
    );
    let of_key = c.op(
        Op::RelativeScores(Relative {
            of_key: true,
            buckets: None,
        }),
        &[qkv[0], distances],
    );
    let (segments, types) = (c.plain(random(&[2, 4, 8], 7)), c.rows(tokens(2)));
    let segment = c.op(Op::SegmentScores, &[qkv[0], segments, types]);
    let of_keys = c.rows(random(&[ROWS, 4], 8));
    let keys = c.op(Op::KeyBias, &[of_keys]);
    let index = c.rows(random(&[ROWS, 1, 8], 9));
    let top = c.op(Op::TopKeys(4), &[qkv[0], index, of_keys]);
    let pair = c.op(Op::PairBias(Box::new(pair())), &[]);
    let sum = c.op(Op::AddBias, &[alibi, by_bucket]);
    let blocks = c.op(Op::ByBlock(2), &[by_bucket]);
    let causal = |c: &mut Case, bias| {
        let [q, k, v] = qkv;
        c.op(Op::Attend(attend()), &[q, k, v, bias])
    };
    for (name, bias) in [
        ("alibi", alibi),
        ("buckets", by_bucket),
        ("buckets of rows", by_bucket_of_rows),
        ("relative scores", relative_scores),
        ("of key", of_key),
        ("segments", segment),
        ("keys", keys),
        ("top keys", top),
        ("pair", pair),
        ("sum", sum),
        ("blocks", blocks),
    ] {
        let made = causal(&mut c, bias);
        c.check(name, &[made], 0);
    }
}

/// -|q - k| / (head + 1), but -inf where q - k > 3.
fn pair() -> PairBias {
    let mut body = Graph::default();
    let mut op = |op, inputs: &[Value]| body.push(op, inputs.iter().map(|v| Some(*v)).collect(), Origin::default());
    let [q, k, h] =
        [PairIndex::Query, PairIndex::Key, PairIndex::Head].map(|i| op(Op::Input(GraphInput::Pair(i)), &[]));
    let d = op(Op::Binary(BinaryOp::Sub), &[q, k]);
    let size = op(Op::Unary(UnaryOp::Abs), &[d]);
    let (one, three, never) = (op(int(1), &[]), op(int(3), &[]), op(float(f64::NEG_INFINITY), &[]));
    let factor = op(Op::Binary(BinaryOp::Add), &[h, one]);
    let bias = op(Op::Binary(BinaryOp::Div), &[size, factor]);
    let bias = op(Op::Unary(UnaryOp::Neg), &[bias]);
    let beyond = op(Op::Binary(BinaryOp::Sub), &[three, d]);
    let near = op(Op::Unary(UnaryOp::Step), &[beyond]);
    let out = op(Op::Where, &[near, bias, never]);
    body.outputs.push(("out".into(), out));
    PairBias { heads: Some(4), body }
}

#[test]
fn rows_of_sequences() {
    let mut c = case();
    c.lengths = vec![5, 135, 9];
    let (x, ids) = (c.rows(random(&[ROWS, 8], 1)), c.rows(tokens(11)));
    let shifted = c.op(Op::Shift(-2), &[x]);
    let first = c.op(Op::FirstToken, &[x]);
    let last = c.op(Op::LastToken, &[x]);
    let mean = c.op(Op::MeanRows, &[x]);
    let spread = c.op(Op::Spread, &[mean, x]);
    let places = c.op(Op::RowPositions, &[x]);
    let distances = c.op(Op::Distances, &[]);
    let sums = c.op(Op::BlockSums(4), &[x]);
    let turned = c.op(Op::RowPositions, &[sums]);
    c.check(
        "rows",
        &[shifted, first, last, spread, places, distances, sums, turned],
        0,
    );
    // heads look for tokens on the host
    let at = c.op(Op::FirstIndex(3), &[ids]);
    let end = c.op(Op::LastIndex { id: 0, not: true }, &[ids]);
    let row = c.op(Op::RowAt, &[x, end]);
    c.check("tokens found", &[at, row], 3);
}

#[test]
fn routing_and_experts_wait_once() {
    let mut c = case();
    let (x, scores) = (c.rows(random(&[ROWS, 8], 1)), c.rows(random(&[ROWS, 4], 2)));
    let limited = c.op(
        Op::GroupLimit {
            groups: 2,
            keep: 1,
            top: 1,
        },
        &[scores],
    );
    let index = c.op(Op::TopK(2), &[limited]);
    let weight = Value { out: 1, ..index };
    let again = c.op(Op::Gather, &[scores, index]);
    let mixer = c.op(Op::SparseMixer { k: 2, eps: Num(0.01) }, &[scores]);
    c.check("routing", &[index, weight, again, mixer], 0);

    let mut body = Graph::default();
    body.params.push(Param {
        name: ParamName {
            base: Base::Root,
            path: "w".into(),
        },
        shape: None,
        optional: false,
        form: ParamForm::Expert,
        origin: Origin::default(),
    });
    let x_in = body.push(Op::Input(GraphInput::X), vec![], Origin::default());
    let w = body.push(Op::Param(ParamId(0)), vec![], Origin::default());
    let out = body.push(
        Op::Linear { transposed: false },
        vec![Some(x_in), Some(w)],
        Origin::default(),
    );
    body.outputs.push(("out".into(), out));
    let (scale_input, keep, capacity) = (false, false, Some(40));
    let op = Experts {
        body,
        count: 4,
        identity: 0,
        scale_input,
        keep,
        capacity,
    };
    let mixed = c.op(Op::Experts(Box::new(op)), &[x, index, weight]);
    let matrices = (0..4).map(|e| Tensor::own(random(&[8, 8], 10 + e))).collect();
    let own = Weights {
        params: vec![ParamValue::Many(matrices)],
        experts: HashMap::new(),
    };
    c.weights.experts.insert(mixed.node, own);
    c.check("experts", &[mixed], 1);
}

#[test]
fn scans_of_every_form() {
    let mut c = case();
    let [q, k, v] = [1, 2, 3].map(|seed| c.rows(random(&[ROWS, 2, 4], seed)));
    let [per_head, per_channel] = [1, 4].map(|width| c.rows(random(&[ROWS, 2, width], 4).abs().neg()));
    let beta = c.rows(random(&[ROWS, 2, 1], 5).sigmoid());
    let (a, b) = (
        c.rows(random(&[ROWS, 2, 4], 6) * 0.1),
        c.rows(random(&[ROWS, 2, 4], 7) * 0.1),
    );
    let bonus = c.plain(random(&[2, 4], 8));
    let scan = |c: &mut Case, normalize, rest: [Option<Value>; 6], qkv: [Option<Value>; 3]| {
        c.optional(Op::LinearScan(LinearScan { normalize }), [&qkv[..], &rest[..]].concat())
    };
    let all = [q, k, v].map(Some);
    let (head, channel) = (Some(per_head), Some(per_channel));
    let made = [
        scan(&mut c, None, [head, None, None, None, None, None], all),
        scan(&mut c, None, [channel, None, None, None, Some(bonus), None], all),
        scan(&mut c, None, [channel, Some(beta), None, None, None, None], all),
        scan(&mut c, None, [channel, None, Some(a), Some(b), None, None], all),
        scan(
            &mut c,
            Some(ScanNormalize::Max1),
            [head, None, None, None, None, Some(beta)],
            all,
        ),
    ];
    let one = c.rows(random(&[ROWS, 2, 1], 9));
    let gain = [head, None, None, None, None, Some(beta)];
    let wkv = scan(&mut c, Some(ScanNormalize::Sum), gain, [None, None, Some(one)]);
    let (x, gate) = (c.rows(random(&[ROWS, 8], 10)), c.rows(random(&[ROWS, 8], 11).sigmoid()));
    let recurrence = c.op(Op::Recurrence, &[gate, x]);
    let rates = c.plain(random(&[8, 3], 12).abs().neg());
    let (enter, leave) = (c.rows(random(&[ROWS, 3], 13)), c.rows(random(&[ROWS, 3], 14)));
    let selective = c.op(Op::SelectiveScan, &[x, gate, rates, enter, leave]);
    c.check("scans", &[&made[..], &[wkv, recurrence, selective]].concat(), 0);
}

#[test]
fn mixers_along_the_sequence() {
    let mut c = case();
    let x = c.rows(random(&[ROWS, 8], 1));
    let wide = c.rows(random(&[ROWS, 2, 4], 2));
    let taps = c.plain(random(&[8, 1, 3], 3));
    let short = c.op(Op::CausalConv1d, &[x, taps]);
    let filter = c.plain(random(&[140, 8], 4));
    let long = c.op(Op::LongConv, &[x, filter]);
    let (poles, residues) = (c.plain(random(&[8, 2, 2], 5) * 0.6), c.plain(random(&[8, 2, 2], 6)));
    let modal = c.op(Op::ModalConv, &[x, poles, residues]);
    let own = c.rows(random(&[ROWS, 2, 3], 7));
    let dynamic = c.op(Op::DynamicConv, &[wide, own]);
    let kernel = c.plain(random(&[8, 4, 3], 8));
    let (stride, padding, groups, dilation) = (2, (1, 1), 2, 1);
    let strided = c.op(
        Op::RowConv {
            stride,
            padding,
            groups,
            dilation,
        },
        &[x, kernel],
    );
    let places = c.op(Op::RowPositions, &[strided]);
    let fourier = c.op(Op::Fourier, &[x]);
    c.check("mixers", &[short, long, modal, dynamic, strided, places, fourier], 0);
}

#[test]
fn results_come_to_the_host() {
    let fake = Fake::open();
    let host = random(&[6, 8], 1);
    let device = Tensor::own(host.to_device(FAKE));
    let own = Tensor::own(host);
    let (set, there) = (
        RowSet::from_lengths(&[4, 2]).unwrap(),
        RowSet::beside(&[4, 2], FAKE).unwrap(),
    );
    assert_eq!(device.to_f32_vec().unwrap(), own.to_f32_vec().unwrap());
    assert_eq!(
        device.to_bytes(DType::BF16).unwrap(),
        own.to_bytes(DType::BF16).unwrap()
    );
    let copy = device.deep_copy().unwrap();
    assert_eq!(
        (copy.raw().device(), copy.to_f32_vec().unwrap()),
        (FAKE, own.to_f32_vec().unwrap())
    );
    let pools: [fn(&Tensor, &RowSet) -> crate::Result<Tensor>; 3] =
        [crate::pool::mean, crate::pool::cls, crate::pool::last];
    for pool in pools {
        let (found, expected) = (pool(&device, &there).unwrap(), pool(&own, &set).unwrap());
        assert_eq!(found.to_f32_vec().unwrap(), expected.to_f32_vec().unwrap());
    }
    let targets = [1, 2, 3, 4, 5, 6];
    let score = |x| crate::score::next_token_nll(x, &targets).unwrap();
    crate::testing::close(&score(&device), &score(&own), 1e-6);
    let top = |x| crate::score::top_k(x, 3).unwrap().1.to_i64_vec().unwrap();
    assert_eq!(top(&device), top(&own));
    let mut sums = [crate::stats::Accumulator::new(), crate::stats::Accumulator::new()];
    sums[0].update(&device).unwrap();
    sums[1].update(&own).unwrap();
    assert_eq!(sums[0], sums[1]);
    let cosine = |x| crate::stats::cosine(x, x).unwrap();
    assert_eq!(cosine(&device), cosine(&own));
    assert!(fake.waits() > 0);
}

#[test]
fn the_device_refuses_what_is_on_the_host() {
    let _fake = Fake::open();
    let (here, there) = (random(&[3], 1), random(&[3], 2).to_device(FAKE));
    let index = tch::Tensor::from_slice(&[0i64]);
    let error = there.f_index_select(0, &index).unwrap_err().to_string();
    assert!(error.contains("mixes devices"), "{error}");
    assert!(there.f_add(&here).is_err() && here.f_mul(&there).is_err());
    assert!(there.f_add(&tch::Tensor::from(2.0)).is_ok(), "a number of the host");
}
