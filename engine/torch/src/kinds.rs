//! Element types: ours and libtorch's.

use crate::error::{Result, fail};
use sli_model::DType;
use tch::Kind;

/// libtorch's name of a dtype; the unsigned types wider than a byte have none that computes.
pub(crate) fn kind_of(dtype: DType) -> Result<Kind> {
    Ok(match dtype {
        DType::F64 => Kind::Double,
        DType::F32 => Kind::Float,
        DType::F16 => Kind::Half,
        DType::BF16 => Kind::BFloat16,
        DType::F8E4M3 => Kind::Float8e4m3fn,
        DType::F8E5M2 => Kind::Float8e5m2,
        DType::I64 => Kind::Int64,
        DType::I32 => Kind::Int,
        DType::I16 => Kind::Int16,
        DType::I8 => Kind::Int8,
        DType::U8 => Kind::Uint8,
        DType::Bool => Kind::Bool,
        DType::U64 | DType::U32 | DType::U16 => fail!("{dtype} is not a type that tensors compute with"),
    })
}

/// Our name of libtorch's type. Only types made by [`kind_of`] and by comparisons occur in this crate.
pub(crate) fn dtype_of(kind: Kind) -> DType {
    match kind {
        Kind::Double => DType::F64,
        Kind::Half => DType::F16,
        Kind::BFloat16 => DType::BF16,
        Kind::Float8e4m3fn => DType::F8E4M3,
        Kind::Float8e5m2 => DType::F8E5M2,
        Kind::Int64 => DType::I64,
        Kind::Int => DType::I32,
        Kind::Int16 => DType::I16,
        Kind::Int8 => DType::I8,
        Kind::Uint8 => DType::U8,
        Kind::Bool => DType::Bool,
        _ => DType::F32,
    }
}

/// True for the floating point kinds.
pub(crate) fn is_float(kind: Kind) -> bool {
    dtype_of(kind).is_float()
}

/// `x` as `kind`; the same tensor if it already is.
pub(crate) fn cast(x: &tch::Tensor, kind: Kind) -> Result<tch::Tensor> {
    if x.kind() == kind {
        Ok(x.shallow_clone())
    } else {
        Ok(x.f_to_kind(kind)?)
    }
}

/// The kind of a float result made of `x`: its own, f32 for whole numbers.
pub(crate) fn float_kind(x: &tch::Tensor) -> Kind {
    if is_float(x.kind()) { x.kind() } else { Kind::Float }
}

/// `x` in f32 unless it is f64: the precision of norms, softmax and scans.
pub(crate) fn upcast(x: &tch::Tensor) -> Result<tch::Tensor> {
    if x.kind() == Kind::Double {
        Ok(x.shallow_clone())
    } else {
        cast(x, Kind::Float)
    }
}
