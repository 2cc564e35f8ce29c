//! Mixtures of experts against plain loops.

use super::*;
use crate::exec::{Batch, run};
use crate::testing::{close, floats, random};
use crate::{ParamValue, RtValue, prepare};
use sli_model::{Base, BinaryOp, DType, Graph, GraphInput, Op, Origin, Param, ParamForm, ParamId, ParamName, Value};
use std::collections::HashMap;
use std::sync::Arc;

const WIDTH: i64 = 6;
const COUNT: i64 = 4;

fn param(form: ParamForm) -> Param {
    let name = ParamName {
        base: Base::Root,
        path: "experts.w".into(),
    };
    Param {
        name,
        shape: None,
        optional: false,
        form,
        origin: Origin::default(),
    }
}

/// out = linear(x, w) * x, w `[6, 6]` of each expert.
fn body(form: ParamForm) -> Graph {
    let mut graph = Graph {
        params: vec![param(form)],
        ..Graph::default()
    };
    let mut push = |op, inputs: &[Value]| graph.push(op, inputs.iter().map(|v| Some(*v)).collect(), Origin::default());
    let x = push(Op::Input(GraphInput::X), &[]);
    let w = push(Op::Param(ParamId(0)), &[]);
    let y = push(Op::Linear { transposed: false }, &[x, w]);
    let out = push(Op::Binary(BinaryOp::Mul), &[y, x]);
    graph.outputs.push(("out".into(), out));
    graph
}

fn options(form: ParamForm) -> Experts {
    Experts {
        body: body(form),
        count: COUNT as u64,
        identity: 0,
        scale_input: false,
        keep: false,
        capacity: None,
    }
}

/// Inputs of a mixture: x, index, weight and the set of the rows.
struct Tokens {
    x: Tensor,
    index: Vec<i64>,
    weight: Option<Tensor>,
    set: Arc<RowSet>,
    k: i64,
}

fn weights(form: ParamForm, w: &Tensor, kind: Kind) -> Weights {
    let stored = w.to_kind(kind);
    let value = match form {
        ParamForm::Slice => ParamValue::One(Shared::own(stored.reshape([COUNT * WIDTH, WIDTH]))),
        _ => ParamValue::Many((0..COUNT).map(|e| Shared::own(stored.select(0, e))).collect()),
    };
    let bodies = HashMap::from([(
        3,
        Weights {
            params: vec![value],
            experts: HashMap::new(),
        },
    )]);
    Weights {
        params: vec![],
        experts: bodies,
    }
}

/// Runs the mixture as node 3 of a graph.
fn mixture(op: &Experts, tokens: &Tokens, weights: Weights) -> std::result::Result<Tensor, ExecError> {
    let mut graph = Graph::default();
    let input = |name: &str| Op::Input(GraphInput::Field(name.into()));
    let x = graph.push(input("x"), vec![], Origin::default());
    let index = graph.push(input("index"), vec![], Origin::default());
    let weight = graph.push(input("weight"), vec![], Origin::default());
    let origin = Origin {
        chain: "decoder.1 > moe(mlp)".into(),
        ..Origin::default()
    };
    let weight = tokens.weight.as_ref().map(|_| weight);
    let out = graph.push(
        Op::Experts(Box::new(op.clone())),
        vec![Some(x), Some(index), weight],
        origin,
    );
    let rows = tokens.set.len();
    let give = |input: &GraphInput| {
        let GraphInput::Field(name) = input else { return None };
        let tensor = match name.as_str() {
            "x" => Shared::own(tokens.x.shallow_clone()),
            "index" => Shared::from_i64(&tokens.index, &[rows, tokens.k]).ok()?,
            _ => Shared::own(tokens.weight.as_ref()?.shallow_clone()),
        };
        Some(RtValue::packed(tensor, &tokens.set))
    };
    let weights = prepare(&graph, weights, DType::F32)?;
    let batch = Batch {
        set: tokens.set.clone(),
        inputs: &give,
        compute: DType::F32,
        known: &crate::exec::Known::new(),
    };
    let made = run(&graph, &weights, &batch, &[out])?;
    Ok(made[0].tensor().unwrap().raw().shallow_clone())
}

fn tokens(rows: i64, k: i64) -> Tokens {
    let index = (0..rows * k).map(|i| (i * 7 + i / k) % COUNT).collect();
    let set = Arc::new(RowSet::from_lengths(&[rows / 2, rows - rows / 2]).unwrap());
    Tokens {
        x: random(&[rows, WIDTH], 1),
        index,
        weight: Some(random(&[rows, k], 2)),
        set,
        k,
    }
}

/// What slot (row, place) contributes, by definition.
fn slot(x: &[f32], w: &[f32], expert: i64, scale: f32, scale_input: bool) -> Vec<f32> {
    let x: Vec<f32> = x.iter().map(|x| if scale_input { x * scale } else { *x }).collect();
    let out = |o: usize| -> f32 {
        let row = (expert as usize * WIDTH as usize + o) * WIDTH as usize;
        let y: f32 = x.iter().enumerate().map(|(i, x)| x * w[row + i]).sum();
        y * x[o] * if scale_input { 1.0 } else { scale }
    };
    (0..WIDTH as usize).map(out).collect()
}

fn expected(op: &Experts, t: &Tokens, w: &Tensor) -> Vec<f32> {
    let (xs, ws) = (floats(&t.x), floats(w));
    let scales = t.weight.as_ref().map(floats);
    let width = WIDTH as usize;
    let mut out = Vec::new();
    for row in 0..t.set.len() as usize {
        let mut sum = vec![0.0; width];
        for place in 0..t.k as usize {
            let at = row * t.k as usize + place;
            let x = if t.x.dim() == 3 {
                &xs[at * width..][..width]
            } else {
                &xs[row * width..][..width]
            };
            let made = slot(
                x,
                &ws,
                t.index[at],
                scales.as_ref().map_or(1.0, |s| s[at]),
                op.scale_input,
            );
            match op.keep {
                true => out.extend(made),
                false => sum.iter_mut().zip(&made).for_each(|(s, m)| *s += m),
            }
        }
        if !op.keep {
            out.extend(sum);
        }
    }
    out
}

#[test]
fn experts_of_both_layouts_and_all_options() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3);
    for form in [ParamForm::Slice, ParamForm::Expert] {
        for (scale_input, keep, own, weighted) in [
            (false, false, false, true),
            (true, false, false, true),
            (false, true, false, true),
            (false, true, false, false),
            (false, false, true, true),
            (false, false, false, false),
        ] {
            let op = Experts {
                scale_input,
                keep,
                ..options(form)
            };
            let mut t = tokens(9, 2);
            if own {
                t.x = random(&[9, 2, WIDTH], 4);
            }
            if !weighted {
                t.weight = None;
            }
            let found = mixture(&op, &t, weights(form, &w, Kind::Float)).unwrap();
            let shape = if keep { vec![9, 2, WIDTH] } else { vec![9, WIDTH] };
            assert_eq!(found.size(), shape);
            close(&floats(&found), &expected(&op, &t, &w), 1e-5);
        }
    }
}

#[test]
fn narrow_weights_are_converted_expert_by_expert() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3).to_kind(Kind::BFloat16);
    let (op, t) = (options(ParamForm::Expert), tokens(5, 2));
    let found = mixture(&op, &t, weights(ParamForm::Expert, &w, Kind::BFloat16)).unwrap();
    close(&floats(&found), &expected(&op, &t, &w.to_kind(Kind::Float)), 1e-5);
}

#[test]
fn identity_experts_return_their_input() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3);
    let op = Experts {
        identity: 1,
        ..options(ParamForm::Expert)
    };
    let mut t = tokens(2, 2);
    t.index = vec![COUNT, 0, 1, COUNT];
    let found = floats(&mixture(&op, &t, weights(ParamForm::Expert, &w, Kind::Float)).unwrap());
    let (xs, ws, s) = (floats(&t.x), floats(&w), floats(t.weight.as_ref().unwrap()));
    let mut by_hand = Vec::new();
    for (row, (own, expert)) in [(0, 1), (3, 2)].into_iter().enumerate() {
        let x = &xs[row * 6..][..6];
        let other = slot(x, &ws, t.index[expert], s[expert], false);
        by_hand.extend(x.iter().zip(other).map(|(x, o)| x * s[own] + o));
    }
    close(&found, &by_hand, 1e-5);
}

#[test]
fn capacity_counts_per_sequence() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3);
    let op = Experts {
        capacity: Some(1),
        ..options(ParamForm::Slice)
    };
    let mut t = tokens(5, 1);
    // sequences of 2 and 3: the second choice of an expert within each is dropped
    t.index = vec![0, 0, 0, 2, 0];
    t.weight = None;
    let found = floats(&mixture(&op, &t, weights(ParamForm::Slice, &w, Kind::Float)).unwrap());
    let mut by_hand = expected(&op, &t, &w);
    by_hand[6..12].fill(0.0);
    by_hand[24..30].fill(0.0);
    close(&found, &by_hand, 1e-5);
}

#[test]
fn experts_that_nobody_chose_need_no_weights() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3);
    let (op, mut t) = (options(ParamForm::Expert), tokens(4, 1));
    t.index = vec![1; 4];
    let mut given = weights(ParamForm::Expert, &w, Kind::Float);
    let ParamValue::Many(tensors) = &mut given.experts.get_mut(&3).unwrap().params[0] else {
        unreachable!()
    };
    for unread in [0, 2, 3] {
        tensors[unread] = Shared::from_f32(&[], &[0]).unwrap();
    }
    let found = mixture(&op, &t, given.clone()).unwrap();
    close(&floats(&found), &expected(&op, &t, &w), 1e-5);
    t.index[2] = 3;
    let error = mixture(&op, &t, given).unwrap_err();
    assert!(error.message.contains("expert 3 were not read"), "{error}");
    assert_eq!(error.origin.chain, "decoder.1 > moe(mlp)");
}

#[test]
fn company_changes_nothing() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3);
    let (op, t) = (options(ParamForm::Expert), tokens(9, 3));
    let all = mixture(&op, &t, weights(ParamForm::Expert, &w, Kind::Float)).unwrap();
    for row in 0..9 {
        let alone = Tokens {
            x: t.x.narrow(0, row, 1),
            index: t.index[row as usize * 3..][..3].to_vec(),
            weight: t.weight.as_ref().map(|w| w.narrow(0, row, 1)),
            set: Arc::new(RowSet::from_lengths(&[1]).unwrap()),
            k: 3,
        };
        let found = mixture(&op, &alone, weights(ParamForm::Expert, &w, Kind::Float)).unwrap();
        close(&floats(&all.narrow(0, row, 1)), &floats(&found), 1e-6);
    }
}

#[test]
fn wrong_choices_are_errors() {
    let w = random(&[COUNT, WIDTH, WIDTH], 3);
    let (op, mut t) = (options(ParamForm::Expert), tokens(4, 1));
    t.index[1] = COUNT;
    let error = mixture(&op, &t, weights(ParamForm::Expert, &w, Kind::Float)).unwrap_err();
    assert!(error.message.contains("index 4 was chosen"), "{error}");
    let none = Tokens {
        x: random(&[0, WIDTH], 1),
        index: vec![],
        weight: None,
        set: Arc::new(RowSet::from_lengths(&[]).unwrap()),
        k: 1,
    };
    assert_eq!(
        mixture(&op, &none, weights(ParamForm::Expert, &w, Kind::Float))
            .unwrap()
            .size(),
        [0, WIDTH]
    );
}
