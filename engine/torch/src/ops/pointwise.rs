//! Elementwise arithmetic, activations and reductions over the last dim.

use crate::error::Result;
use crate::kinds::{cast, float_kind, is_float, upcast};
use sli_model::{Activation, BinaryOp, Num, Scalar, UnaryOp, round_bf16, round_f16};
use tch::{Device, Kind, Tensor};

/// `Op::Unary`.
pub(crate) fn unary(op: UnaryOp, x: &Tensor) -> Result<Tensor> {
    Ok(match op {
        UnaryOp::Neg => x.f_neg()?,
        UnaryOp::Exp => x.f_exp()?,
        UnaryOp::Log => x.f_log()?,
        UnaryOp::Sqrt => x.f_sqrt()?,
        UnaryOp::Rsqrt => x.f_rsqrt()?,
        UnaryOp::Sin => x.f_sin()?,
        UnaryOp::Cos => x.f_cos()?,
        UnaryOp::Tanh => x.f_tanh()?,
        UnaryOp::Abs => x.f_abs()?,
        UnaryOp::Floor => x.f_floor()?,
        UnaryOp::Ceil => x.f_ceil()?,
        UnaryOp::Int => x.f_to_kind(Kind::Int64)?,
        UnaryOp::Bf16 => cast(&cast(x, Kind::BFloat16)?, float_kind(x))?,
        UnaryOp::F16 => cast(&cast(x, Kind::Half)?, float_kind(x))?,
        UnaryOp::Step => cast(&x.f_ge(0)?, x.kind())?,
    })
}

/// `Op::Unary` of a plain number.
pub(crate) fn unary_number(op: UnaryOp, x: Scalar) -> Scalar {
    if let (Scalar::Int(i), UnaryOp::Neg) = (x, op) {
        return Scalar::Int(i.wrapping_neg());
    }
    if let (Scalar::Int(i), UnaryOp::Abs) = (x, op) {
        return Scalar::Int(i.wrapping_abs());
    }
    if let (Scalar::Int(i), UnaryOp::Step) = (x, op) {
        return Scalar::Int((i >= 0).into());
    }
    if let UnaryOp::Int = op {
        return Scalar::Int(x.as_f64() as i64);
    }
    let x = x.as_f64();
    Scalar::Float(Num(match op {
        UnaryOp::Int => x.trunc(),
        UnaryOp::Neg => -x,
        UnaryOp::Exp => x.exp(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Abs => x.abs(),
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Bf16 => round_bf16(x),
        UnaryOp::F16 => round_f16(x),
        UnaryOp::Step => f64::from(u8::from(x >= 0.0)),
    }))
}

/// `Op::Activation`.
pub(crate) fn activation(kind: Activation, x: &Tensor) -> Result<Tensor> {
    let x = &cast(x, float_kind(x))?;
    Ok(match kind {
        Activation::Silu => x.f_silu()?,
        Activation::Gelu => x.f_gelu("none")?,
        Activation::GeluTanh => x.f_gelu("tanh")?,
        Activation::Gelu10 => x.f_gelu("none")?.f_clamp_(-10.0, 10.0)?,
        Activation::QuickGelu => x.f_mul_scalar(1.702)?.f_sigmoid_()?.f_mul_(x)?,
        Activation::Relu => x.f_relu()?,
        Activation::Relu2 => x.f_relu()?.f_square_()?,
        Activation::Tanh => x.f_tanh()?,
        Activation::Sigmoid => x.f_sigmoid()?,
        Activation::Softplus => x.f_softplus()?,
        Activation::Mish => x.f_mish()?,
        Activation::Elu => x.f_elu()?,
        Activation::LeakyRelu => x.f_leaky_relu()?,
        Activation::Identity => x.shallow_clone(),
    })
}

/// The same for an `x` that nobody else holds: the result takes its place where libtorch can do that.
pub(crate) fn activation_in_place(kind: Activation, mut x: Tensor) -> Result<Tensor> {
    if !is_float(x.kind()) {
        return activation(kind, &x);
    }
    Ok(match kind {
        Activation::Silu => x.f_silu_()?,
        Activation::Gelu => x.f_gelu_("none")?,
        Activation::GeluTanh => x.f_gelu_("tanh")?,
        Activation::Relu => x.f_relu_()?,
        _ => activation(kind, &x)?,
    })
}

/// [`binary`] where nobody else holds the operands marked `spare`: a sum or product of equal shapes and types
/// takes the place of one of them.
pub(crate) fn binary_in_place(op: BinaryOp, mut a: Tensor, mut b: Tensor, spare: [bool; 2]) -> Result<Tensor> {
    if a.kind() != b.kind() || a.size() != b.size() {
        return binary(op, &a, &b);
    }
    Ok(match (op, spare) {
        (BinaryOp::Add, [true, _]) => a.f_add_(&b)?,
        (BinaryOp::Add, [_, true]) => b.f_add_(&a)?,
        (BinaryOp::Mul, [true, _]) => a.f_mul_(&b)?,
        (BinaryOp::Mul, [_, true]) => b.f_mul_(&a)?,
        _ => binary(op, &a, &b)?,
    })
}

/// `Op::Binary` of two tensors, with libtorch's broadcasting and promotion.
pub(crate) fn binary(op: BinaryOp, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(match op {
        BinaryOp::Add => a.f_add(b)?,
        BinaryOp::Sub => a.f_sub(b)?,
        BinaryOp::Mul => a.f_mul(b)?,
        BinaryOp::Div => a.f_div(b)?,
        BinaryOp::Pow => a.f_pow(b)?,
        BinaryOp::Min => a.f_minimum(b)?,
        BinaryOp::Max => a.f_maximum(b)?,
        BinaryOp::Mod => a.f_remainder_tensor(b)?,
    })
}

/// `Op::Binary` of two numbers; whole numbers stay whole where the result is.
pub(crate) fn binary_numbers(op: BinaryOp, a: Scalar, b: Scalar) -> Scalar {
    if op == BinaryOp::Mod {
        return BinaryOp::modulo(a, b);
    }
    if let (Scalar::Int(x), Scalar::Int(y)) = (a, b) {
        let whole = match op {
            BinaryOp::Add => x.checked_add(y),
            BinaryOp::Sub => x.checked_sub(y),
            BinaryOp::Mul => x.checked_mul(y),
            BinaryOp::Div | BinaryOp::Mod => None,
            BinaryOp::Pow => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
            BinaryOp::Min => Some(x.min(y)),
            BinaryOp::Max => Some(x.max(y)),
        };
        if let Some(whole) = whole {
            return Scalar::Int(whole);
        }
    }
    let (x, y) = (a.as_f64(), b.as_f64());
    Scalar::Float(Num(match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Pow => x.powf(y),
        BinaryOp::Min => x.min(y),
        BinaryOp::Max => x.max(y),
        BinaryOp::Mod => BinaryOp::modulo(a, b).as_f64(),
    }))
}

/// `Op::Where`, with libtorch's broadcasting and promotion.
pub(crate) fn choose(mark: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.f_where_self(&mark.f_ne(0)?, b)?)
}

/// A number as a tensor without dims that takes part in arithmetic with `other` and leaves its type:
/// libtorch reads its full value whatever the type of `other`.
pub(crate) fn number_beside(number: Scalar, other: &Tensor) -> Result<Tensor> {
    let raw = match number {
        Scalar::Int(i) if !is_float(other.kind()) => Tensor::f_from_slice(&[i])?,
        _ if !is_float(other.kind()) => Tensor::f_from_slice(&[number.as_f64() as f32])?,
        _ => Tensor::f_from_slice(&[number.as_f64()])?,
    };
    Ok(raw.f_reshape([0i64; 0])?)
}

/// The same on the device of `other`, for operations that take no number of the host.
pub(crate) fn number_on(number: Scalar, other: &Tensor) -> Result<Tensor> {
    let host = number_beside(number, other)?;
    if other.device() == Device::Cpu {
        return Ok(host);
    }
    let options = (host.kind(), other.device());
    // filled there: nothing is copied
    Ok(match number {
        Scalar::Int(i) => Tensor::f_full([0i64; 0], i, options)?,
        number => Tensor::f_full([0i64; 0], number.as_f64(), options)?,
    })
}

/// A number as operand of `op` with `other`. The CUDA kernels of arithmetic read numbers of the host in full;
/// that of powers reads none, and a limit may as well have the type of what it limits.
pub(crate) fn number_for(op: BinaryOp, number: Scalar, other: &Tensor) -> Result<Tensor> {
    match op {
        BinaryOp::Pow | BinaryOp::Min | BinaryOp::Max => number_on(number, other),
        _ => number_beside(number, other),
    }
}

/// `Op::Clamp`.
pub(crate) fn clamp(x: &Tensor, lo: Option<Num>, hi: Option<Num>) -> Result<Tensor> {
    let finite = |n: Option<Num>| n.map(|n| n.0).filter(|n| n.is_finite());
    Ok(match (finite(lo), finite(hi)) {
        (None, None) => x.shallow_clone(),
        (Some(lo), None) => x.f_clamp_min(lo)?,
        (None, Some(hi)) => x.f_clamp_max(hi)?,
        (Some(lo), Some(hi)) => x.f_clamp(lo, hi)?,
    })
}

/// c tanh(x / c) (`Op::Softcap`), in f32.
pub(crate) fn softcap(x: &Tensor, c: f64) -> Result<Tensor> {
    cast(&upcast(x)?.f_div_scalar(c)?.f_tanh_()?.f_mul_scalar_(c)?, float_kind(x))
}

/// Softmax over the last dim; libtorch accumulates in f32.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_softmax(-1, float_kind(x))?)
}

/// Sum over the last dim, which stays as 1.
pub(crate) fn sum(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_sum_dim_intlist(-1, true, None)?)
}

/// Mean over the last dim, which stays as 1; of whole numbers in f32.
pub(crate) fn mean(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_mean_dim(-1, true, float_kind(x))?)
}

#[cfg(test)]
mod tests;
