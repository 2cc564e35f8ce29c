//! Elementwise functions against their definitions.

use super::*;
use crate::testing::{close, floats, random};
use tch::Kind;

const POINTS: [f32; 7] = [-30.0, -2.5, -0.3, 0.0, 0.4, 3.0, 25.0];

#[track_caller]
fn check(found: &Tensor, expected: impl Fn(f64) -> f64) {
    for (x, y) in POINTS.iter().zip(floats(found)) {
        let e = expected(f64::from(*x)) as f32;
        assert!((y - e).abs() <= 2e-6 * (1.0 + e.abs()), "at {x}: {y}, {e} is expected");
    }
}

/// erf by its series and continued fraction, to 1e-12 (Abramowitz and Stegun 7.1.5, 7.1.14).
fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let tail = (1..60).rev().fold(0.0, |t, n| f64::from(n) / 2.0 / (x.abs() + t));
    x.signum() * (1.0 - (-x * x).exp() / (std::f64::consts::PI.sqrt() * (x.abs() + tail)))
}

#[test]
fn activations_follow_their_definitions() {
    let x = Tensor::from_slice(&POINTS);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let gelu = |x: f64| x * 0.5 * (1.0 + erf(x / 2f64.sqrt()));
    let tanh_gelu =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    let run = |kind| activation(kind, &x).unwrap();
    check(&run(Activation::Silu), |x| x * sigmoid(x));
    check(&run(Activation::Gelu), gelu);
    check(&run(Activation::GeluTanh), tanh_gelu);
    check(&run(Activation::Gelu10), |x| gelu(x).clamp(-10.0, 10.0));
    check(&run(Activation::QuickGelu), |x| x * sigmoid(1.702 * x));
    check(&run(Activation::Relu), |x| x.max(0.0));
    check(&run(Activation::Relu2), |x| x.max(0.0).powi(2));
    check(&run(Activation::Tanh), f64::tanh);
    check(&run(Activation::Sigmoid), sigmoid);
    check(&run(Activation::Softplus), |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
    check(&run(Activation::Mish), |x| {
        x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh()
    });
    check(&run(Activation::Elu), |x| if x > 0.0 { x } else { x.exp_m1() });
    check(&run(Activation::LeakyRelu), |x| if x > 0.0 { x } else { 0.01 * x });
    check(&run(Activation::Identity), |x| x);
    assert_eq!(floats(&x), POINTS, "x is not changed");
}

#[test]
fn unary_functions_of_tensors_and_numbers_agree() {
    let x = Tensor::from_slice(&[0.25f32, 1.7, 3.0]);
    let all = [
        UnaryOp::Neg,
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Sqrt,
        UnaryOp::Rsqrt,
        UnaryOp::Sin,
        UnaryOp::Cos,
        UnaryOp::Tanh,
        UnaryOp::Abs,
        UnaryOp::Floor,
        UnaryOp::Ceil,
        UnaryOp::Bf16,
        UnaryOp::F16,
        UnaryOp::Step,
    ];
    for op in all {
        let number = |x: f64| unary_number(op, Scalar::Float(Num(x))).as_f64() as f32;
        let expected = [number(0.25), number(f64::from(1.7f32)), number(3.0)];
        close(&floats(&unary(op, &x).unwrap()), &expected, 1e-6);
    }
    assert_eq!(unary_number(UnaryOp::Exp, Scalar::Int(0)), Scalar::Float(Num(1.0)));
    assert_eq!(unary_number(UnaryOp::Neg, Scalar::Int(3)), Scalar::Int(-3));
    assert_eq!(floats(&unary(UnaryOp::Neg, &x).unwrap()), [-0.25, -1.7, -3.0]);
    assert_eq!(
        floats(&unary(UnaryOp::Sqrt, &Tensor::from_slice(&[0.25f32])).unwrap()),
        [0.5]
    );
}

#[test]
fn numbers_keep_the_type_of_tensors() {
    let half = Tensor::from_slice(&[1.0f32, 2.0]).to_kind(Kind::BFloat16);
    let whole = Tensor::from_slice(&[3i64, 4]);
    let with = |op, number, x: &Tensor| binary(op, x, &number_beside(number, x).unwrap()).unwrap();
    assert_eq!(
        with(BinaryOp::Mul, Scalar::Float(Num(0.5)), &half).kind(),
        Kind::BFloat16
    );
    assert_eq!(with(BinaryOp::Add, Scalar::Int(2), &whole).kind(), Kind::Int64);
    assert_eq!(floats(&with(BinaryOp::Sub, Scalar::Int(2), &whole)), [1.0, 2.0]);
    let halves = with(BinaryOp::Mul, Scalar::Float(Num(0.5)), &whole);
    assert_eq!((halves.kind(), floats(&halves)), (Kind::Float, vec![1.5, 2.0]));
    assert_eq!(floats(&with(BinaryOp::Div, Scalar::Int(2), &whole)), [1.5, 2.0]);
    // 10000 is no bf16 number; the product must not be that of its rounded value
    let product = with(BinaryOp::Mul, Scalar::Float(Num(10001.0)), &half.to_kind(Kind::Float));
    assert_eq!(floats(&product), [10001.0, 20002.0]);
}

#[test]
fn arithmetic_of_tensors_and_numbers_agrees() {
    let (a, b) = (2.5f32, 3.0f32);
    for op in [
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Pow,
        BinaryOp::Mod,
    ] {
        let found = floats(&binary(op, &Tensor::from_slice(&[a]), &Tensor::from_slice(&[b])).unwrap());
        let number = binary_numbers(op, Scalar::Float(Num(2.5)), Scalar::Int(3));
        close(&found, &[number.as_f64() as f32], 1e-6);
    }
    assert_eq!(
        binary_numbers(BinaryOp::Pow, Scalar::Int(2), Scalar::Int(10)),
        Scalar::Int(1024)
    );
    assert_eq!(
        binary_numbers(BinaryOp::Pow, Scalar::Int(2), Scalar::Int(-1)),
        Scalar::Float(Num(0.5))
    );
    assert_eq!(
        binary_numbers(BinaryOp::Div, Scalar::Int(6), Scalar::Int(4)),
        Scalar::Float(Num(1.5))
    );
    assert_eq!(
        binary_numbers(BinaryOp::Sub, Scalar::Int(6), Scalar::Int(4)),
        Scalar::Int(2)
    );
    assert!(binary(BinaryOp::Add, &random(&[2], 1), &random(&[3], 1)).is_err());
}

#[test]
fn steps_and_rests_of_both_signs() {
    let x = Tensor::from_slice(&[-0.5f32, -0.0, 0.0, 2.0, f32::NEG_INFINITY, f32::NAN]);
    assert_eq!(
        floats(&unary(UnaryOp::Step, &x).unwrap()),
        [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    );
    let whole = unary(UnaryOp::Step, &Tensor::from_slice(&[-1i64, 0, 3])).unwrap();
    assert_eq!((whole.kind(), floats(&whole)), (Kind::Int64, vec![0.0, 1.0, 1.0]));
    for (a, b, rest) in [(7, 3, 1), (-7, 3, 2), (7, -3, -2), (-7, -3, -1), (6, 3, 0), (-6, 3, 0)] {
        assert_eq!(
            binary_numbers(BinaryOp::Mod, Scalar::Int(a), Scalar::Int(b)),
            Scalar::Int(rest)
        );
        let float = |x: i64| Scalar::Float(Num(x as f64));
        assert_eq!(binary_numbers(BinaryOp::Mod, float(a), float(b)).as_f64(), rest as f64);
        let whole = binary(BinaryOp::Mod, &Tensor::from_slice(&[a]), &Tensor::from_slice(&[b])).unwrap();
        assert_eq!((whole.kind(), floats(&whole)), (Kind::Int64, vec![rest as f32]));
        let (a, b) = (Tensor::from_slice(&[a as f32]), Tensor::from_slice(&[b as f32]));
        assert_eq!(floats(&binary(BinaryOp::Mod, &a, &b).unwrap()), [rest as f32]);
    }
}

#[test]
fn halves_end_and_tie_as_numbers_do() {
    let points = [
        1.0f32 / 3.0,
        2049.0,
        2051.0,
        65504.0,
        65519.0,
        65520.0,
        -1e9,
        2e-8,
        3e-8,
        6.1e-5,
    ];
    let halves = unary(UnaryOp::F16, &Tensor::from_slice(&points)).unwrap();
    let numbers: Vec<f32> = points.iter().map(|x| round_f16(f64::from(*x)) as f32).collect();
    assert_eq!((halves.kind(), floats(&halves)), (Kind::Float, numbers));
}

#[test]
fn what_is_not_chosen_does_not_show() {
    let mark = Tensor::from_slice(&[1.0f32, 0.0, -2.0]);
    let bad = Tensor::from_slice(&[f32::NAN, 5.0, f32::INFINITY]);
    let chosen = choose(&mark.ne(0).logical_not(), &bad, &Tensor::from_slice(&[1.0f32])).unwrap();
    assert_eq!(floats(&chosen), [1.0, 5.0, 1.0]);
    let hidden = choose(
        &mark,
        &Tensor::from_slice(&[0.0f32]),
        &Tensor::from_slice(&[f32::NEG_INFINITY]),
    )
    .unwrap();
    assert_eq!(floats(&hidden), [0.0, f32::NEG_INFINITY, 0.0]);
}

#[test]
fn limits_and_softcap() {
    let x = Tensor::from_slice(&POINTS);
    check(&clamp(&x, Some(Num(-1.0)), Some(Num(2.0))).unwrap(), |x| {
        x.clamp(-1.0, 2.0)
    });
    check(&clamp(&x, Some(Num(-1.0)), None).unwrap(), |x| x.max(-1.0));
    check(&clamp(&x, Some(Num(f64::NEG_INFINITY)), Some(Num(2.0))).unwrap(), |x| {
        x.min(2.0)
    });
    check(&clamp(&x, None, None).unwrap(), |x| x);
    check(&softcap(&x, 5.0).unwrap(), |x| 5.0 * (x / 5.0).tanh());
    assert_eq!(softcap(&x.to_kind(Kind::BFloat16), 5.0).unwrap().kind(), Kind::BFloat16);
}

#[test]
fn reductions_keep_the_last_dim() {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 5.0]).reshape([2, 2]);
    assert_eq!(
        (sum(&x).unwrap().size(), floats(&sum(&x).unwrap())),
        (vec![2, 1], vec![3.0, 8.0])
    );
    assert_eq!(floats(&mean(&x).unwrap()), [1.5, 4.0]);
    let whole = Tensor::from_slice(&[1i64, 2]);
    assert_eq!(
        (sum(&whole).unwrap().kind(), floats(&mean(&whole).unwrap())),
        (Kind::Int64, vec![1.5])
    );
    let e = 1f32.exp();
    close(
        &floats(&softmax(&x.narrow(0, 0, 1)).unwrap()),
        &[1.0 / (1.0 + e), e / (1.0 + e)],
        1e-6,
    );
    assert_eq!(floats(&softmax(&Tensor::from_slice(&[7i64, 7])).unwrap()), [0.5, 0.5]);
}
