//! Attention against plain loops, for every option and ragged batches.

use super::*;
use crate::testing::{close, floats, random};
use crate::{RowSet, Tensor as Shared};
use sli_model::{BinaryOp, Graph, GraphInput, Num, Op, Origin, PairBias, PairIndex, Scalar, UnaryOp, Value};

/// A case: shapes, lengths and options.
struct Case {
    op: Attend,
    heads: [i64; 2],
    dims: [i64; 2],
    queries: Vec<i64>,
    keys: Vec<i64>,
    bias: Option<Arc<Bias>>,
    /// The bias by definition: (sequence, head, query, key).
    bias_at: Box<dyn Fn(usize, i64, i64, i64) -> f64>,
    prefix: Option<Vec<i64>>,
    sinks: bool,
}

fn options() -> Attend {
    Attend {
        causal: true,
        window: None,
        chunk: None,
        scale: None,
        softcap: None,
        lse: true,
    }
}

fn case(op: Attend, lengths: &[i64]) -> Case {
    Case {
        op,
        heads: [4, 2],
        dims: [8, 8],
        queries: lengths.to_vec(),
        keys: lengths.to_vec(),
        bias: None,
        bias_at: Box::new(|_, _, _, _| 0.0),
        prefix: None,
        sinks: false,
    }
}

/// y and lse by plain loops in f64.
fn naive(case: &Case, q: &[f32], k: &[f32], v: &[f32], sinks: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let ([h, g], [d, f]) = (case.heads, case.dims);
    let scale = case.op.scale.map_or(1.0 / (d as f64).sqrt(), |s| s.0);
    let (mut y, mut lse) = (Vec::new(), Vec::new());
    let (mut q_start, mut k_start) = (0, 0);
    for s in 0..case.queries.len() {
        for i in 0..case.queries[s] {
            for head in 0..h {
                let kv = head * g / h;
                let seen: Vec<i64> = (0..case.keys[s]).filter(|j| sees(case, q_start + i, i, *j)).collect();
                let score = |j: i64| {
                    let at_q = ((q_start + i) * h + head) * d;
                    let at_k = ((k_start + j) * g + kv) * d;
                    let dot: f64 = (0..d)
                        .map(|c| f64::from(q[(at_q + c) as usize]) * f64::from(k[(at_k + c) as usize]))
                        .sum();
                    let raw = dot * scale + (case.bias_at)(s, head, i, j);
                    match case.op.softcap {
                        Some(c) if raw.is_finite() => c.0 * (raw / c.0).tanh(),
                        _ => raw,
                    }
                };
                let scores: Vec<f64> = seen.iter().map(|j| score(*j)).collect();
                let mut total: f64 = scores.iter().map(|x| x.exp()).sum();
                if case.sinks {
                    total += f64::from(sinks[head as usize]).exp();
                }
                for c in 0..f {
                    let value = |j: i64| f64::from(v[(((k_start + j) * g + kv) * f + c) as usize]);
                    let sum: f64 = seen.iter().zip(&scores).map(|(j, x)| x.exp() * value(*j)).sum();
                    y.push(if total > 0.0 { (sum / total) as f32 } else { 0.0 });
                }
                lse.push(total.ln() as f32);
            }
        }
        q_start += case.queries[s];
        k_start += case.keys[s];
    }
    (y, lse)
}

fn sees(case: &Case, row: i64, q: i64, k: i64) -> bool {
    let op = &case.op;
    let prefix = case.prefix.as_ref().map_or(0, |p| p[row as usize]);
    let before = !op.causal || k <= q || k < prefix;
    let window = op
        .window
        .is_none_or(|w| q - k < w as i64 && (op.causal || k - q < w as i64));
    before && window && op.chunk.is_none_or(|c| q / c as i64 == k / c as i64)
}

#[track_caller]
fn check(case: &Case) {
    let ([h, g], [d, f]) = (case.heads, case.dims);
    let (q_set, k_set) = (set(&case.queries), set(&case.keys));
    let q = random(&[q_set.len(), h, d], 1);
    let k = random(&[k_set.len(), g, d], 2);
    let v = random(&[k_set.len(), g, f], 3);
    let sinks = random(&[h], 4);
    let (y, lse) = naive(case, &floats(&q), &floats(&k), &floats(&v), &floats(&sinks));
    let heads = Heads {
        q,
        k,
        v,
        q_set: &q_set,
        k_set: &k_set,
        bias: case.bias.clone(),
        prefix: case.prefix.clone(),
        sinks: case.sinks.then_some(sinks),
    };
    let (found, found_lse) = attend(&case.op, &heads, Kind::Float).unwrap();
    assert_eq!(found.size(), [q_set.len(), h, f]);
    close(&floats(&found), &y, 1e-5);
    close(&floats(&found_lse.unwrap()), &lse, 1e-5);
    let mut without = case.op.clone();
    without.lse = false;
    let (again, none) = attend(&without, &heads, Kind::Float).unwrap();
    assert!(none.is_none());
    close(&floats(&again), &y, 1e-5);
    let (twice, _) = attend(&without, &heads, Kind::Float).unwrap();
    assert_eq!(
        floats(&again),
        floats(&twice),
        "the same batch twice is the same to the bit"
    );
}

fn set(lengths: &[i64]) -> Arc<RowSet> {
    Arc::new(RowSet::from_lengths(lengths).unwrap())
}

const RAGGED: [i64; 7] = [5, 1, 17, 5, 40, 5, 1];

#[test]
fn causal_and_not() {
    check(&case(options(), &RAGGED));
    check(&case(
        Attend {
            causal: false,
            ..options()
        },
        &RAGGED,
    ));
    check(&case(
        Attend {
            scale: Some(Num(0.7)),
            ..options()
        },
        &[600],
    ));
}

#[test]
fn windows_and_chunks() {
    for causal in [true, false] {
        for (window, chunk) in [
            (Some(3), None),
            (None, Some(4)),
            (Some(3), Some(8)),
            (Some(1), None),
            (Some(100), Some(100)),
        ] {
            check(&case(
                Attend {
                    causal,
                    window,
                    chunk,
                    ..options()
                },
                &RAGGED,
            ));
        }
    }
}

#[test]
fn long_sequences_are_tiled() {
    for (window, chunk) in [(Some(70), None), (None, Some(300)), (Some(550), Some(700))] {
        check(&case(
            Attend {
                window,
                chunk,
                ..options()
            },
            &[1300, 20],
        ));
        check(&case(
            Attend {
                causal: false,
                window,
                chunk,
                ..options()
            },
            &[1300],
        ));
    }
    let mut wide = case(
        Attend {
            softcap: Some(Num(2.0)),
            ..options()
        },
        &[1100],
    );
    wide.heads = [16, 4];
    check(&wide);
}

#[test]
fn softcap_sinks_and_prefix() {
    check(&case(
        Attend {
            softcap: Some(Num(1.5)),
            ..options()
        },
        &RAGGED,
    ));
    check(&case(
        Attend {
            softcap: Some(Num(1.5)),
            window: Some(4),
            causal: false,
            ..options()
        },
        &RAGGED,
    ));
    check(&Case {
        sinks: true,
        ..case(options(), &RAGGED)
    });
    check(&Case {
        sinks: true,
        ..case(
            Attend {
                window: Some(4),
                softcap: Some(Num(3.0)),
                ..options()
            },
            &RAGGED,
        )
    });
    check(&Case {
        sinks: true,
        ..case(
            Attend {
                window: Some(4),
                ..options()
            },
            &[700, 3],
        )
    });
    let prefix: Vec<i64> = (0..74).map(|i| i % 7).collect();
    check(&Case {
        prefix: Some(prefix.clone()),
        ..case(options(), &RAGGED)
    });
    check(&Case {
        prefix: Some(prefix),
        ..case(
            Attend {
                window: Some(6),
                ..options()
            },
            &RAGGED,
        )
    });
}

#[test]
fn heads_of_all_shapes() {
    for heads in [[1, 1], [6, 6], [6, 3], [6, 1], [8, 2]] {
        for dims in [[8, 8], [8, 5], [3, 8], [64, 64], [24, 16]] {
            check(&Case {
                heads,
                dims,
                ..case(options(), &[9, 33, 9])
            });
            check(&Case {
                heads,
                dims,
                sinks: true,
                ..case(
                    Attend {
                        window: Some(5),
                        ..options()
                    },
                    &[9, 33, 9],
                )
            });
        }
    }
}

#[test]
fn other_keys_than_queries() {
    let cross = |op| Case {
        queries: vec![3, 5, 4, 9],
        keys: vec![7, 5, 0, 2],
        ..case(op, &[])
    };
    check(&cross(Attend {
        causal: false,
        ..options()
    }));
    check(&cross(options()));
    // queries beyond the window of the last key see nothing
    check(&cross(Attend {
        window: Some(2),
        ..options()
    }));
    check(&Case {
        sinks: true,
        ..cross(Attend {
            causal: false,
            window: Some(3),
            ..options()
        })
    });
    check(&cross(Attend {
        softcap: Some(Num(1.0)),
        window: Some(2),
        ..options()
    }));
}

fn bias(form: Form) -> Option<Arc<Bias>> {
    Some(Arc::new(Bias::new(form)))
}

#[test]
fn alibi_adds_up_with_the_mask() {
    for symmetric in [false, true] {
        let form = Form::alibi(4, Num(0.5), Num(8.0), symmetric, Device::Cpu).unwrap();
        let at = move |_: usize, h: i64, q: i64, k: i64| {
            let slope = (-2.0 * (h + 1) as f64).exp2();
            let distance = if symmetric { (q - k).abs() } else { q - k };
            -slope * distance as f64 * 0.5
        };
        let biased = |op, lengths: &[i64]| Case {
            bias: bias(form.clone()),
            bias_at: Box::new(at),
            ..case(op, lengths)
        };
        check(&biased(options(), &RAGGED));
        check(&biased(
            Attend {
                causal: false,
                softcap: Some(Num(2.0)),
                ..options()
            },
            &[600, 7],
        ));
        check(&biased(
            Attend {
                window: Some(9),
                ..options()
            },
            &[600, 7],
        ));
    }
}

/// T5's bucket as its paper's code defines it.
fn t5(d: i64, buckets: i64, max_distance: i64, bidirectional: bool) -> i64 {
    let n = if bidirectional { buckets / 2 } else { buckets };
    let (first, d) = if bidirectional {
        (if d > 0 { n } else { 0 }, d.abs())
    } else {
        (0, (-d).max(0))
    };
    let m = n / 2;
    if d < m {
        return first + d;
    }
    let steps = (d as f64 / m as f64).ln() / (max_distance as f64 / m as f64).ln() * (n - m) as f64;
    first + (m + steps as i64).min(n - 1)
}

#[test]
fn relative_biases_of_t5() {
    for (bidirectional, ahead) in [(true, 0), (false, 0), (true, 1)] {
        let table = random(&[12, 4], 9);
        let values = floats(&table);
        let make = |table, rows| Form::Relative {
            table,
            rows,
            buckets: 12,
            max_distance: 19,
            bidirectional,
            ahead,
        };
        let row = move |q: i64, k: i64| t5(k - (q + ahead), 12, 19, bidirectional);
        check(&Case {
            bias: bias(make(Shared::own(table), None)),
            bias_at: Box::new(move |_, h, q, k| f64::from(values[(row(q, k) * 4 + h) as usize])),
            ..case(
                Attend {
                    causal: false,
                    ..options()
                },
                &RAGGED,
            )
        });
        // one table per query
        let rows = set(&RAGGED);
        let tables = random(&[rows.len(), 12, 4], 10);
        let (values, starts) = (floats(&tables), rows.offsets().to_vec());
        check(&Case {
            bias: bias(make(Shared::own(tables), Some(rows))),
            bias_at: Box::new(move |s, h, q, k| {
                f64::from(values[(((starts[s] + q) * 12 + row(q, k)) * 4 + h) as usize])
            }),
            ..case(options(), &RAGGED)
        });
    }
}

#[test]
fn relative_scores_of_both_sides() {
    let rows = set(&RAGGED);
    for of_key in [false, true] {
        for buckets in [None, Some((8, 20))] {
            for table_heads in [1, 4] {
                let (x, table) = (random(&[rows.len(), 4, 8], 11), random(&[16, table_heads, 8], 12));
                let (xs, ts, starts) = (floats(&x), floats(&table), rows.offsets().to_vec());
                let at = move |s: usize, h: i64, q: i64, k: i64| {
                    let d = q - k;
                    let b = match buckets {
                        Some((n, max)) if d.abs() > n / 2 => {
                            let m = (n / 2) as f64;
                            let far = (d.abs() as f64 / m).ln() / ((max - 1) as f64 / m).ln() * (m - 1.0);
                            d.signum() * (n / 2 + far.ceil() as i64)
                        }
                        _ => d,
                    };
                    let r = (8 + b).clamp(0, 15);
                    let row = starts[s] + if of_key { k } else { q };
                    let dot = |c: i64| {
                        f64::from(xs[((row * 4 + h) * 8 + c) as usize])
                            * f64::from(ts[((r * table_heads + h % table_heads) * 8 + c) as usize])
                    };
                    (0..8).map(dot).sum()
                };
                let form = Form::Scores {
                    x: Shared::own(x),
                    rows: rows.clone(),
                    table: Shared::own(table),
                    of_key,
                    buckets,
                };
                check(&Case {
                    bias: bias(form),
                    bias_at: Box::new(at),
                    ..case(
                        Attend {
                            causal: false,
                            ..options()
                        },
                        &RAGGED,
                    )
                });
            }
        }
    }
}

#[test]
fn segments_and_keys_add_up() {
    let rows = set(&RAGGED);
    let (x, table, t) = (
        random(&[rows.len(), 4, 8], 13),
        random(&[2, 4, 8], 14),
        random(&[rows.len(), 4], 15),
    );
    let types: Vec<i64> = (0..rows.len()).map(|i| i / 3 % 2).collect();
    let (xs, ts, keys, starts) = (floats(&x), floats(&table), floats(&t), rows.offsets().to_vec());
    let shared_types = Shared::from_i64(&types, &[rows.len()]).unwrap();
    let segments = Bias::segments(&x, &table, shared_types, rows.clone()).unwrap();
    let sum = Form::Sum(
        Arc::new(segments),
        bias(Form::Keys {
            t: Shared::own(t),
            rows,
        })
        .unwrap(),
    );
    let at = move |s: usize, h: i64, q: i64, k: i64| {
        let (q, k) = (starts[s] + q, starts[s] + k);
        let side = i64::from(types[q as usize] != types[k as usize]);
        let dot =
            |c: i64| f64::from(xs[((q * 4 + h) * 8 + c) as usize]) * f64::from(ts[((side * 4 + h) * 8 + c) as usize]);
        (0..8).map(dot).sum::<f64>() + f64::from(keys[(k * 4 + h) as usize])
    };
    check(&Case {
        bias: bias(sum),
        bias_at: Box::new(at),
        ..case(options(), &RAGGED)
    });
}

#[test]
fn the_best_keys_of_each_query() {
    let lengths = [3, 30, 700];
    let rows = set(&lengths);
    let (q, k, w) = (
        random(&[rows.len(), 2, 4], 16),
        random(&[rows.len(), 1, 4], 17),
        random(&[rows.len(), 2], 18),
    );
    let (qs, ks, ws, starts) = (floats(&q), floats(&k), floats(&w), rows.offsets().to_vec());
    let score = move |s: usize, t: usize| -> f32 {
        let head = |h: usize| {
            let dot: f32 = (0..4).map(|c| qs[(s * 2 + h) * 4 + c] * ks[t * 4 + c]).sum();
            ws[s * 2 + h] * dot.max(0.0)
        };
        head(0) + head(1)
    };
    // the rank of each key for each query, earlier keys first among equals
    let best: Vec<Vec<Vec<i64>>> = (0..3)
        .map(|s| {
            let of = |q: i64| {
                let mut order: Vec<i64> = (0..=q).collect();
                let at = |t: i64| score((starts[s] + q) as usize, (starts[s] + t) as usize);
                order.sort_by(|a, b| at(*b).total_cmp(&at(*a)));
                order.truncate(6);
                order
            };
            (0..lengths[s]).map(of).collect()
        })
        .collect();
    let at = move |s: usize, _: i64, q: i64, k: i64| {
        if best[s][q as usize].contains(&k) {
            0.0
        } else {
            f64::NEG_INFINITY
        }
    };
    let form = Form::TopKeys {
        q: Shared::own(q),
        k: Shared::own(k),
        weight: Shared::own(w),
        n: 6,
        q_rows: rows.clone(),
        k_rows: rows.clone(),
    };
    check(&Case {
        bias: bias(form),
        bias_at: Box::new(at),
        ..case(options(), &lengths)
    });
}

#[test]
fn biases_by_block() {
    let (queries, keys) = (vec![7, 3, 12], vec![3, 1, 4]);
    let inner = Form::alibi(4, Num(1.0), Num(8.0), false, Device::Cpu).unwrap();
    let by_block = Form::ByBlock(bias(inner).unwrap(), 3);
    let lengths = keys.clone();
    let at = move |s: usize, h: i64, q: i64, k: i64| {
        let block = (q / 3).min(lengths[s] - 1);
        -(-2.0 * (h + 1) as f64).exp2() * (block - k) as f64
    };
    check(&Case {
        bias: bias(by_block),
        bias_at: Box::new(at),
        queries,
        keys,
        ..case(
            Attend {
                causal: false,
                ..options()
            },
            &[],
        )
    });
}

#[test]
fn company_does_not_change_a_sequence() {
    let op = Attend {
        window: Some(50),
        ..options()
    };
    let set_all = set(&[120, 33, 120]);
    let (q, k, v) = (
        random(&[273, 4, 16], 1),
        random(&[273, 2, 16], 2),
        random(&[273, 2, 16], 3),
    );
    let run = |from: i64, len: i64, set: &Arc<RowSet>| {
        let part = |t: &Tensor| t.narrow(0, from, len);
        let heads = Heads {
            q: part(&q),
            k: part(&k),
            v: part(&v),
            q_set: set,
            k_set: set,
            bias: None,
            prefix: None,
            sinks: None,
        };
        attend(&op, &heads, Kind::Float).unwrap().0
    };
    let all = run(0, 273, &set_all);
    for (from, len) in [(0, 120), (120, 33), (153, 120)] {
        close(
            &floats(&all.narrow(0, from, len)),
            &floats(&run(from, len, &set(&[len]))),
            1e-5,
        );
    }
}

#[test]
fn bf16_is_near_f32() {
    let one = set(&[300]);
    let heads = |kind: Kind| Heads {
        q: random(&[300, 4, 32], 1).to_kind(kind),
        k: random(&[300, 2, 32], 2).to_kind(kind),
        v: random(&[300, 2, 32], 3).to_kind(kind),
        q_set: &one,
        k_set: &one,
        bias: None,
        prefix: None,
        sinks: None,
    };
    for softcap in [None, Some(Num(5.0))] {
        let op = Attend { softcap, ..options() };
        let (narrow, lse) = attend(&op, &heads(Kind::BFloat16), Kind::BFloat16).unwrap();
        assert_eq!((narrow.kind(), lse.unwrap().kind()), (Kind::BFloat16, Kind::Float));
        let (wide, _) = attend(&op, &heads(Kind::Float), Kind::Float).unwrap();
        close(&floats(&narrow), &floats(&wide), 0.02);
    }
}

#[test]
fn joined_parts_are_one_softmax() {
    // all 40 keys at once, and as two sets of 15 and 25
    let (queries, all) = (set(&[6, 6]), set(&[40, 0]));
    let op = Attend {
        causal: false,
        ..options()
    };
    let (q, k, v) = (random(&[12, 4, 8], 1), random(&[40, 2, 8], 2), random(&[40, 2, 5], 3));
    let run = |from: i64, len: i64, keys: &Arc<RowSet>| {
        let heads = Heads {
            q: q.shallow_clone(),
            k: k.narrow(0, from, len),
            v: v.narrow(0, from, len),
            q_set: &queries,
            k_set: keys,
            bias: None,
            prefix: None,
            sinks: None,
        };
        let (y, lse) = attend(&op, &heads, Kind::Float).unwrap();
        (y, lse.unwrap())
    };
    let whole = run(0, 40, &all);
    let joined = join(&[run(0, 15, &set(&[15, 0])), run(15, 25, &set(&[25, 0]))]).unwrap();
    close(&floats(&joined), &floats(&whole.0), 1e-5);
    assert!(
        floats(&joined)[6 * 4 * 5..].iter().all(|x| *x == 0.0),
        "the second sequence has no keys"
    );
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let two = set(&[2]);
    let heads = |k: &[i64]| Heads {
        q: random(&[2, 4, 8], 1),
        k: random(k, 2),
        v: random(k, 3),
        q_set: &two,
        k_set: &two,
        bias: None,
        prefix: None,
        sinks: None,
    };
    for k in [&[2, 3, 8][..], &[2, 2, 7], &[3, 2, 8], &[2, 16]] {
        assert!(attend(&options(), &heads(k), Kind::Float).is_err(), "{k:?}");
    }
}

/// A graph of one equation of the indices.
struct Equation(Graph);

impl Equation {
    fn op(&mut self, op: Op, inputs: &[Value]) -> Value {
        let inputs = inputs.iter().copied().map(Some).collect();
        self.0.push(op, inputs, Origin::default())
    }

    fn index(&mut self, index: PairIndex) -> Value {
        self.op(Op::Input(GraphInput::Pair(index)), &[])
    }

    fn with(&mut self, op: BinaryOp, x: Value, number: i64) -> Value {
        let number = self.op(Op::Const(Scalar::Int(number)), &[]);
        self.op(Op::Binary(op), &[x, number])
    }

    fn bias(mut self, heads: Option<u64>, out: Value) -> Arc<Bias> {
        self.0.outputs.push(("out".into(), out));
        let pair = PairBias { heads, body: self.0 };
        sli_model::infer::check_pair_bias(&pair).unwrap();
        Arc::new(Bias::new(Form::Pair(Arc::new(pair))))
    }
}

/// Blocks of 3 keys: those of the same and the last block, and every fourth, shifted by the head.
fn blocks() -> Arc<Bias> {
    let mut e = Equation(Graph::default());
    let block = |e: &mut Equation, index| {
        let index = e.index(index);
        let part = e.with(BinaryOp::Div, index, 3);
        e.op(Op::Unary(UnaryOp::Floor), &[part])
    };
    let (q, k, h) = (
        block(&mut e, PairIndex::Query),
        block(&mut e, PairIndex::Key),
        e.index(PairIndex::Head),
    );
    let back = e.op(Op::Binary(BinaryOp::Sub), &[k, q]);
    let back = e.with(BinaryOp::Add, back, 1);
    let near = e.op(Op::Unary(UnaryOp::Step), &[back]);
    let shifted = e.op(Op::Binary(BinaryOp::Add), &[k, h]);
    let rest = e.with(BinaryOp::Mod, shifted, 4);
    let rest = e.op(Op::Unary(UnaryOp::Neg), &[rest]);
    let far = e.op(Op::Unary(UnaryOp::Step), &[rest]);
    let mark = e.op(Op::Binary(BinaryOp::Max), &[near, far]);
    let numbers = [Scalar::Int(0), Scalar::Float(Num(f64::NEG_INFINITY))].map(|n| e.op(Op::Const(n), &[]));
    let out = e.op(Op::Where, &[mark, numbers[0], numbers[1]]);
    e.bias(Some(4), out)
}

fn blocks_at(_: usize, h: i64, q: i64, k: i64) -> f64 {
    if q / 3 - k / 3 <= 1 || (k / 3 + h) % 4 == 0 {
        0.0
    } else {
        f64::NEG_INFINITY
    }
}

#[test]
fn equations_of_the_indices() {
    for (lengths, softcap) in [(&RAGGED[..], None), (&[700, 20], None), (&RAGGED, Some(Num(2.0)))] {
        check(&Case {
            bias: Some(blocks()),
            bias_at: Box::new(blocks_at),
            ..case(Attend { softcap, ..options() }, lengths)
        });
    }
    // beside another bias, the same for all heads, to other keys than queries
    let mut e = Equation(Graph::default());
    let (q, k) = (e.index(PairIndex::Query), e.index(PairIndex::Key));
    let product = e.op(Op::Binary(BinaryOp::Mul), &[q, k]);
    let tenth = e.with(BinaryOp::Div, product, 10);
    let sine = e.op(Op::Unary(UnaryOp::Sin), &[tenth]);
    let both = Bias::new(Form::Sum(blocks(), e.bias(None, sine)));
    assert!(both.shared());
    check(&Case {
        bias: Some(Arc::new(both)),
        bias_at: Box::new(|s, h, q, k| blocks_at(s, h, q, k) + (q as f64 * k as f64 / 10.0).sin()),
        queries: vec![3, 5, 4, 9],
        keys: vec![7, 5, 0, 30],
        ..case(
            Attend {
                causal: false,
                ..options()
            },
            &[],
        )
    });
}
