//! Elementwise ops.

use super::broadcast::broadcast;
use super::site::Site;
use super::{Dim, Kind, Sets, ValueType};
use crate::{BinaryOp, UnaryOp};

/// Functions of one value; neg, abs, floor, ceil and step keep integers.
pub(super) fn unary(site: &Site<'_>, op: UnaryOp) -> Result<ValueType, String> {
    match op {
        UnaryOp::Int => Ok(match same(site)? {
            ValueType::Tensor { dims, .. } => ValueType::int(dims),
            other => other,
        }),
        UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Step => same(site),
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
    match (site.value(0), site.value(1)) {
        (Some(ValueType::Scalar), Some(ValueType::Scalar)) => Ok(ValueType::Scalar),
        _ => together(site, &["the left side", "the right side"], sets).map(|dims| ValueType::Tensor { dims, kind }),
    }
}

/// `mark, a, b`: one of them is a tensor. Integers only if a and b are.
pub(super) fn choose(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let kind = match site.is_int(1) && site.is_int(2) {
        true => Kind::Int,
        false => Kind::Float,
    };
    let dims = together(site, &["the mark", "the second argument", "the third argument"], sets)?;
    Ok(ValueType::Tensor { dims, kind })
}

/// The dims of the inputs broadcast one after the other; numbers fit everything.
fn together(site: &Site<'_>, roles: &[&str], sets: &Sets) -> Result<Vec<Dim>, String> {
    let mut dims: Option<Vec<Dim>> = None;
    for (i, role) in roles.iter().enumerate() {
        if site.value(i) == Some(&ValueType::Scalar) {
            continue;
        }
        let next = site.tensor(i, role)?.dims;
        dims = Some(match dims {
            None => next.to_vec(),
            Some(dims) => broadcast(&dims, next, sets).map_err(|why| format!("{} {why}", site.op()))?,
        });
    }
    dims.ok_or_else(|| format!("{} needs a tensor among its arguments", site.op()))
}
