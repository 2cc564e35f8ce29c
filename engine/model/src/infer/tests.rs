//! One line per rule: an op, the shapes it gets, and what it gives or says.

use super::*;
use crate::testing::{Builder, attend, rope};
use crate::{Axes, GraphInput, LinearScan, Num, Relative, Rope, Sizes, Value};

const SETS: [&str; 2] = ["the tokens of `encoder`", "the tokens of `decoder`"];

/// `N` and `M` are the rows of two token sets, `S` the sequences of the first, `L` its distances; a
/// leading `i` makes integers; `bias 2` is a score bias of two heads, `bias` of any, `-` nothing.
fn parse(text: &str) -> Option<ValueType> {
    let mut words = text.split_whitespace().peekable();
    match words.peek() {
        Some(&"-") => return None,
        Some(&"bias") => {
            let heads = words.nth(1).map(|n| n.parse().unwrap());
            return Some(ValueType::Bias {
                heads,
                query: None,
                key: None,
            });
        }
        Some(&"number") => return Some(ValueType::Scalar),
        _ => {}
    }
    let kind = if words.next_if_eq(&"i").is_some() {
        Kind::Int
    } else {
        Kind::Float
    };
    let dim = |word: &str| match word {
        "N" => Dim::Rows(SetId(0)),
        "M" => Dim::Rows(SetId(1)),
        "S" => Dim::Seqs(SetId(0)),
        "L" => Dim::Span(SetId(0)),
        size => Dim::Size(size.parse().unwrap()),
    };
    Some(ValueType::Tensor {
        dims: words.map(dim).collect(),
        kind,
    })
}

/// Infers one op on inputs of the given types: its outputs joined by `; `, or the message.
fn run(op: Op, inputs: &[&str]) -> String {
    let mut b = Builder::new("");
    let mut values = Vec::new();
    for text in inputs {
        let given = parse(text).map(|_| b.input(GraphInput::Field(text.to_string())));
        values.push(given);
    }
    b.op_with(op, values);
    let graph = b.graph;
    check_structure(&graph).unwrap();
    let mut sets = Sets::new(SETS.map(str::to_string).to_vec());
    let input = |input: &GraphInput| match input {
        GraphInput::Field(text) => InputType::Known(parse(text).unwrap()),
        other => panic!("{other:?}"),
    };
    let mut env = Env {
        inputs: &input,
        set: SetId(0),
        sets: &mut sets,
    };
    let found = infer(&graph, &vec![true; graph.nodes.len()], &ParamTypes::default(), &mut env);
    match found.errors.first() {
        Some(error) => error.message.clone(),
        None => found
            .types
            .last()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// Checks rows of (op, inputs, result).
fn check(rows: &[(Op, &[&str], &str)]) {
    for (op, inputs, expected) in rows {
        assert_eq!(run(op.clone(), inputs), *expected, "{op:?} of {inputs:?}");
    }
}

#[test]
fn matrices() {
    let linear = |transposed| Op::Linear { transposed };
    check(&[
        (linear(false), &["N 8", "5 8", "5"], "[tokens, 5]"),
        (linear(true), &["N 8", "8 5", "-"], "[tokens, 5]"),
        (linear(false), &["L 8", "5 8"], "[distances, 5]"),
        (linear(false), &["N 3 8", "3 5 8", "3 5"], "[tokens, 3, 5]"),
        (linear(true), &["N 3 8", "3 8 5"], "[tokens, 3, 5]"),
        (linear(false), &["N 24", "5 3 2 4"], "[tokens, 5]"),
        (
            linear(false),
            &["N 2 8", "3 5 8"],
            "`linear` has one matrix for each of 3 heads in the weight [3, 5, 8], but x is [tokens, 2, 8]",
        ),
        (
            linear(false),
            &["N 8", "5 8", "6"],
            "`linear` expects a bias of 5, but it is the bias [6]",
        ),
        (
            linear(true),
            &["N 8", "5 3 2 4"],
            "`linear` cannot use the weight [5, 3, 2, 4] as a weight: it has 4 dims",
        ),
        (Op::Embedding, &["i N", "20 8"], "[tokens, 8]"),
        (Op::Embedding, &["i L", "20 8"], "[distances, 8]"),
        (
            Op::Embedding,
            &["N", "20 8"],
            "`embedding` looks up whole numbers, but ids [tokens] are floats",
        ),
        (Op::MatMul, &["N 4 6", "6 3"], "[tokens, 4, 3]"),
        (Op::MatMul, &["N 6", "6 3"], "[tokens, 3]"),
        (Op::MatMul, &["N 2 4 6", "N 1 6 3"], "[tokens, 2, 4, 3]"),
        (
            Op::MatMul,
            &["N 4 6", "5 3"],
            "`matmul` cannot multiply [tokens, 4, 6] by [5, 3]: 6 meets 5",
        ),
        (
            Op::MatMul,
            &["4 N", "N 3"],
            "`matmul` cannot multiply [4, tokens] by [tokens, 3]: it would multiply along the rows",
        ),
    ]);
}

#[test]
fn norms_and_pointwise() {
    let norm = |groups| Op::LayerNorm {
        eps: Num(1e-5),
        offset: Num(0.0),
        groups,
    };
    check(&[
        (norm(1), &["N 8", "8", "8"], "[tokens, 8]"),
        (norm(1), &["N 2 4", "2 4"], "[tokens, 2, 4]"),
        (norm(4), &["N 8", "-", "-"], "[tokens, 8]"),
        (
            norm(3),
            &["N 8"],
            "`layer_norm` cannot cut 8 features of x [tokens, 8] in 3 equal groups",
        ),
        (
            norm(1),
            &["N 8", "6"],
            "`layer_norm` expects the weight to fit x [tokens, 8], but it is the weight [6]; config and weights disagree",
        ),
        (Op::Sum, &["i N 8"], "[tokens, 1] int"),
        (Op::Mean, &["i N 8"], "[tokens, 1]"),
        (
            Op::Softmax,
            &["N"],
            "`softmax` works along the last dim, but x [tokens] has none beside its rows",
        ),
        (Op::Unary(crate::UnaryOp::Abs), &["i N"], "[tokens] int"),
        (Op::Unary(crate::UnaryOp::Exp), &["i N"], "[tokens]"),
        (Op::Unary(crate::UnaryOp::Exp), &["number"], "number"),
        (Op::Binary(crate::BinaryOp::Mul), &["i N", "i N"], "[tokens] int"),
        (Op::Binary(crate::BinaryOp::Div), &["i N", "i N"], "[tokens]"),
        (
            Op::Binary(crate::BinaryOp::Add),
            &["N 4", "S 4"],
            "`add` cannot combine [tokens, 4] with [sequences, 4]: tokens meets sequences",
        ),
        (
            Op::Binary(crate::BinaryOp::Add),
            &["bias", "N 4"],
            "`add` needs a tensor as the left side, but it is a score bias",
        ),
    ]);
}

#[test]
fn shapes() {
    let heads = |heads, dim| Op::SplitHeads { heads, dim };
    let slice = |start, end| Op::Slice { start, end };
    check(&[
        (heads(Some(2), None), &["N 8"], "[tokens, 2, 4]"),
        (heads(None, Some(2)), &["N 8"], "[tokens, 4, 2]"),
        (
            heads(Some(3), None),
            &["N 8"],
            "`split_heads` cannot cut the last dim of x [tokens, 8] by 3; config and weights disagree",
        ),
        (Op::MergeHeads, &["N 2 4"], "[tokens, 8]"),
        (Op::MergeHeads, &["4 1 3 1"], "[4, 1, 3]"),
        (
            Op::MergeHeads,
            &["N 4"],
            "`merge_heads` needs [.., heads, width], but x is [tokens, 4]",
        ),
        (Op::RepeatHeads { n: 3, tile: false }, &["N 2 4"], "[tokens, 6, 4]"),
        (Op::PerHead, &["N 4"], "[tokens, 4, 1]"),
        (Op::Split(Sizes::Each(vec![3, 5])), &["N 8"], "[tokens, 3]; [tokens, 5]"),
        (Op::Split(Sizes::Equal(2)), &["N 8"], "[tokens, 4]; [tokens, 4]"),
        (
            Op::Split(Sizes::Each(vec![3, 4])),
            &["N 8"],
            "`split` wants [3, 4], together 7, but the last dim of x [tokens, 8] is 8; config and weights disagree",
        ),
        (slice(Some(-3), None), &["N 8"], "[tokens, 3]"),
        (slice(Some(1), Some(-1)), &["N 8"], "[tokens, 6]"),
        (
            slice(Some(0), Some(9)),
            &["N 8"],
            "`slice` wants elements 0 .. 9 of the last dim of x [tokens, 8]",
        ),
        (Op::Concat, &["N 2 4", "N 1 3"], "[tokens, 2, 7]"),
        (Op::Concat, &["1 4", "N 3"], "[tokens, 7]"),
        (
            Op::Concat,
            &["N 4", "M 4"],
            "`concat` mixes two token sets: the tokens of `encoder` and the tokens of `decoder`",
        ),
        (Op::JoinRows, &["4 1 3", "2 1 3"], "[6, 1, 3]"),
        (Op::JoinRows, &["-", "-"], ""),
        (Op::Transpose, &["N 2 4"], "[tokens, 4, 2]"),
        (
            Op::Transpose,
            &["N 2"],
            "`transpose` exchanges the last two dims beside the rows, but x is [tokens, 2]",
        ),
    ]);
}

#[test]
fn rows_of_tokens_and_sequences() {
    check(&[
        (Op::Shift(-1), &["N 2 4"], "[tokens, 2, 4]"),
        (
            Op::Shift(1),
            &["4 4"],
            "`shift` needs one row per token, but x [4, 4] has none",
        ),
        (Op::FirstToken, &["N 4"], "[sequences, 4]"),
        (Op::MeanRows, &["M 4"], "[sequences#1, 4]"),
        (Op::RowPositions, &["N 4"], "[tokens] int"),
        (Op::FirstIndex(2), &["i N"], "[tokens] int"),
        (Op::BlockSums(4), &["N 4"], "[tokens#2, 4]"),
        (Op::Distances, &[], "[distances] int"),
    ]);
}

#[test]
fn attention_and_biases() {
    let three = Rope {
        axes: Axes::Sections(vec![0, 1, 2]),
        ..rope(4)
    };
    let lse = crate::Attend { lse: true, ..attend() };
    let relative = Relative {
        of_key: true,
        buckets: None,
    };
    let t5 = Op::RelativeBias {
        buckets: 32,
        max_distance: 128,
        bidirectional: true,
        ahead: 0,
    };
    check(&[
        (Op::Rotary(rope(4)), &["N 2 8"], "[tokens, 2, 8]"),
        (
            Op::Rotary(rope(4)),
            &["N 2 2"],
            "`rotary` turns 4 features of each head, but x [tokens, 2, 2] has 2",
        ),
        (
            Op::Rotary(rope(4)),
            &["N 2 8", "i M"],
            "`rotary` mixes two token sets: the tokens of `encoder` and the tokens of `decoder`",
        ),
        (Op::Rotary(three.clone()), &["N 2 8", "i N 3"], "[tokens, 2, 8]"),
        (
            Op::Rotary(three),
            &["N 2 8", "i N 2"],
            "`rotary` cannot turn x by positions [tokens, 2]: the rope has other axes",
        ),
        (
            Op::Attend(lse),
            &["N 4 8", "M 2 8", "M 2 6"],
            "[tokens, 4, 6]; [tokens, 4]",
        ),
        (
            Op::Attend(attend()),
            &["N 4 8", "M 3 8", "M 3 8"],
            "`attend` needs a number of key heads that divides the 4 heads of q, but q is [tokens, 4, 8], k [tokens#1, 3, 8], v [tokens#1, 3, 8]",
        ),
        (
            Op::Attend(attend()),
            &["N 4 8", "M 2 6", "M 2 6"],
            "`attend` needs q and k of one width, but q is [tokens, 4, 8], k [tokens#1, 2, 6], v [tokens#1, 2, 6]",
        ),
        (
            Op::Attend(attend()),
            &["N 4 8", "N 2 8", "N 2 8", "-", "i N", "4"],
            "[tokens, 4, 8]",
        ),
        (
            Op::Attend(attend()),
            &["N 4 8", "N 2 8", "N 2 8", "-", "-", "2"],
            "`attend` expects `sinks` [4], one per head, but it is sinks [2]",
        ),
        (t5.clone(), &["32 4"], "score bias of 4 heads"),
        (t5.clone(), &["N 32 4"], "score bias of 4 heads"),
        (
            t5,
            &["16 4"],
            "`relative_bias` expects a table [32 buckets, heads], but it is the table [16, 4]; config and weights disagree",
        ),
        (
            Op::RelativeScores(relative.clone()),
            &["N 4 8", "L 1 8"],
            "score bias of 4 heads",
        ),
        (
            Op::RelativeScores(relative),
            &["N 4 8", "9 2 8"],
            "`relative_scores` expects a table [entries, heads or 1, width] for x [tokens, 4, 8], but it is the table [9, 2, 8]",
        ),
        (Op::SegmentScores, &["N 4 8", "2 4 8", "i N"], "score bias of 4 heads"),
        (Op::KeyBias, &["M 4"], "score bias of 4 heads"),
        (Op::TopKeys(3), &["N 4 8", "N 1 8", "N 4"], "score bias"),
        (Op::AddBias, &["bias 4", "bias"], "score bias of 4 heads"),
        (
            Op::AddBias,
            &["bias 4", "bias 2"],
            "`add_bias` cannot add score biases of 4 and of 2 heads",
        ),
        (Op::ByBlock(4), &["bias 4"], "score bias of 4 heads"),
        (Op::JoinAttention, &["N 4 8", "N 4", "N 4 8", "N 4"], "[tokens, 4, 8]"),
        (
            Op::JoinAttention,
            &["N 4 8", "N 2"],
            "`join_attention` needs parts of one shape, but they are [tokens, 4, 8] with lse [tokens, 2] and [tokens, 4, 8]",
        ),
    ]);
}

#[test]
fn choices_of_experts() {
    check(&[
        (Op::TopK(2), &["N 4"], "[tokens, 2] int; [tokens, 2]"),
        (
            Op::TopK(5),
            &["N 4"],
            "`top_k` wants the 5 largest of x [tokens, 4], which has 4",
        ),
        (
            Op::SparseMixer { k: 2, eps: Num(0.1) },
            &["N 4"],
            "[tokens, 2] int; [tokens, 2]",
        ),
        (Op::Gather, &["N 4", "i N 2"], "[tokens, 2]"),
        (Op::Gather, &["4", "i N 2"], "[tokens, 2]"),
        (
            Op::Gather,
            &["4", "N 2"],
            "`gather` expects `index` to be whole numbers, as `top_k` gives, but it is [tokens, 2]",
        ),
        (
            Op::GroupLimit {
                groups: 2,
                keep: 1,
                top: 2,
            },
            &["N 4"],
            "[tokens, 4]",
        ),
        (
            Op::GroupLimit {
                groups: 2,
                keep: 1,
                top: 3,
            },
            &["N 4"],
            "`group_limit` cannot keep 1 of 2 groups by their 3 best: x is [tokens, 4]",
        ),
    ]);
}

#[test]
fn scans_and_convolutions() {
    let scan = Op::LinearScan(LinearScan { normalize: None });
    let conv = |stride, padding| Op::RowConv {
        stride,
        padding,
        groups: 2,
        dilation: 1,
    };
    check(&[
        (Op::CausalConv1d, &["N 8", "8 1 4", "8"], "[tokens, 8]"),
        (
            Op::CausalConv1d,
            &["N 8", "6 1 4"],
            "`causal_conv1d` expects the weight [8, 1, 4], but it is the weight [6, 1, 4]",
        ),
        (
            Op::SelectiveScan,
            &["N 8", "N 8", "8 16", "N 16", "N 16"],
            "[tokens, 8]",
        ),
        (
            Op::SelectiveScan,
            &["N 2 8", "N 2 8", "2 8 16", "N 2 16", "N 2 16"],
            "[tokens, 2, 8]",
        ),
        (
            Op::SelectiveScan,
            &["N 8", "N 8", "8 16", "N 15", "N 16"],
            "`selective_scan` expects b [tokens, 16], but it is b [tokens, 15]",
        ),
        (Op::Recurrence, &["N 8", "N 8"], "[tokens, 8]"),
        (scan.clone(), &["N 2 5", "N 2 5", "N 4 6", "4 1"], "[tokens, 4, 6]"),
        (
            scan.clone(),
            &["N 2 5", "N 2 5", "N 4 6", "4 5", "-", "-", "-", "4 5"],
            "[tokens, 4, 6]",
        ),
        (
            scan.clone(),
            &["-", "-", "N 4 1", "4 1", "-", "-", "-", "4 1", "N 4 1"],
            "[tokens, 4, 1]",
        ),
        (
            scan.clone(),
            &["N 3 5", "N 3 5", "N 4 6"],
            "`linear_scan` needs groups that divide the 4 heads of v [tokens, 4, 6], but q and k are [tokens, 3, 5]",
        ),
        (
            scan.clone(),
            &["N 2 5", "N 2 5", "N 4 6", "4 3"],
            "`linear_scan` expects decay to fit [tokens, 4, 5], but it is decay [4, 3]",
        ),
        (
            scan,
            &["N 2 5", "N 2 5", "N 4 6", "-", "N 4 1", "N 2 5", "N 2 5"],
            "`linear_scan` takes `beta` or `erase`, not both",
        ),
        (Op::LongConv, &["N 8", "64 8"], "[tokens, 8]"),
        (Op::ModalConv, &["N 8", "8 4 2", "8 4 2"], "[tokens, 8]"),
        (Op::DynamicConv, &["N 2 8", "N 2 3"], "[tokens, 2, 8]"),
        (Op::DynamicConv, &["N 2 8", "2 3"], "[tokens, 2, 8]"),
        (
            Op::DynamicConv,
            &["N 2 8", "2 4"],
            "`dynamic_conv` needs an odd number of taps, but its weight is [2, 4]",
        ),
        (conv(1, (1, 1)), &["N 8", "6 4 3"], "[tokens, 6]"),
        (conv(2, (1, 1)), &["N 8", "6 4 3"], "[tokens#2, 6]"),
        (
            conv(1, (1, 1)),
            &["N 8", "6 8 3"],
            "`row_conv` in 2 groups expects a weight [outputs, 8 / 2, taps] for x [tokens, 8], but it is the weight [6, 8, 3]",
        ),
        (Op::Fourier, &["N 8"], "[tokens, 8]"),
    ]);
}

#[test]
fn an_error_is_reported_once_and_the_rest_is_still_checked() {
    let mut b = Builder::new("here");
    let x = b.input(GraphInput::X);
    let bad = b.heads(x, 3, 3);
    let behind = b.exp(bad);
    let apart = b.heads(x, 5, 5);
    b.add(behind, apart);
    let input = |_: &GraphInput| InputType::Known(parse("N 8").unwrap());
    let mut sets = Sets::default();
    let mut env = Env {
        inputs: &input,
        set: SetId(0),
        sets: &mut sets,
    };
    let found = infer(&b.graph, &[true; 5], &ParamTypes::default(), &mut env);
    assert_eq!(found.errors.len(), 2);
    assert!(
        found.errors[0]
            .to_string()
            .starts_with("here: `split_heads` expects the last dim 9 = 3 heads x 3")
    );
    assert_eq!(found.types[0].len(), 1);
    assert!(found.types[1..].iter().all(Vec::is_empty));
}

#[test]
fn structures_that_cannot_be_walked_are_refused() {
    let refuse = |change: &dyn Fn(&mut Graph)| {
        let mut b = Builder::new("");
        let x = b.input(GraphInput::X);
        b.exp(x);
        change(&mut b.graph);
        check_structure(&b.graph).unwrap_err().message
    };
    let op = |op: Op| move |graph: &mut Graph| graph.nodes[1].op = op.clone();
    assert_eq!(
        refuse(&op(Op::Param(crate::ParamId(3)))),
        "`param` 3 is beyond the 0 parameters of its graph"
    );
    assert_eq!(
        refuse(&op(Op::BlockSums(0))),
        "`block_sums` needs `n` of at least 1, not 0"
    );
    assert_eq!(
        refuse(&op(Op::Split(Sizes::Equal(1 << 40)))),
        "`split` cuts in 1 to 65535 parts, not 1099511627776"
    );
    let itself = |graph: &mut Graph| graph.nodes[1].inputs[0] = Some(Value { node: 1, out: 0 });
    assert_eq!(
        refuse(&itself),
        "node 1 (`exp`) reads node 1, which does not come before it"
    );
}
