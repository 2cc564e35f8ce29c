//! Elementwise ops.

use super::broadcast::broadcast;
use super::site::Site;
use super::{Kind, Sets, ValueType};
use crate::{BinaryOp, UnaryOp};

/// Functions of one value; neg, abs, floor and ceil keep integers.
pub(super) fn unary(site: &Site<'_>, op: UnaryOp) -> Result<ValueType, String> {
    match op {
        UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Floor | UnaryOp::Ceil => same(site),
        _ => float(site),
    }
}

/// `x` -> like x, float.
pub(super) fn float(site: &Site<'_>) -> Result<ValueType, String> {
    Ok(match same(site)? {
        ValueType::Tensor { dims, .. } => ValueType::float(dims),
        other => other,
    })
}

/// `x` -> like x.
pub(super) fn same(site: &Site<'_>) -> Result<ValueType, String> {
    match site.value(0) {
        Some(ValueType::Scalar) => Ok(ValueType::Scalar),
        _ => site.tensor(0, "x").map(|x| x.with(x.dims.to_vec())),
    }
}

/// Arithmetic of two values. Integers stay integers, but for a quotient.
pub(super) fn binary(site: &Site<'_>, op: BinaryOp, sets: &Sets) -> Result<ValueType, String> {
    let kind = match op {
        BinaryOp::Div => Kind::Float,
        _ if site.is_int(0) && site.is_int(1) => Kind::Int,
        _ => Kind::Float,
    };
    let dims = match (site.value(0), site.value(1)) {
        (Some(ValueType::Scalar), Some(ValueType::Scalar)) => return Ok(ValueType::Scalar),
        (Some(ValueType::Scalar), _) => site.tensor(1, "the right side")?.dims.to_vec(),
        (_, Some(ValueType::Scalar)) => site.tensor(0, "the left side")?.dims.to_vec(),
        _ => {
            let (a, b) = (site.tensor(0, "the left side")?, site.tensor(1, "the right side")?);
            broadcast(a.dims, b.dims, sets).map_err(|why| format!("{} {why}", site.op()))?
        }
    };
    Ok(ValueType::Tensor { dims, kind })
}
