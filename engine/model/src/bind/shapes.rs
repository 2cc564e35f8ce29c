//! The shape in which a graph sees a parameter: experts cut, pieces stacked, reshaped.

use super::resolve::{GraphParams, Resolved};
use super::{BoundGraph, BoundParam, TensorInfo};
use crate::infer::{Kind, ParamType, ParamTypes, TypeError};
use crate::{Graph, Op, Param, ParamForm};

/// Types of the parameters of a graph and of its bodies. What does not fit goes to `errors`.
/// `count` is the number of experts if the graph is a body.
pub(super) fn param_types(
    graph: &Graph,
    found: &GraphParams,
    count: u64,
    tensors: &[TensorInfo],
    errors: &mut Vec<TypeError>,
) -> ParamTypes {
    let mut types = ParamTypes::default();
    for (param, resolved) in graph.params.iter().zip(&found.params) {
        let result = match resolved {
            Resolved::Missing(..) => Ok(ParamType::Unknown),
            Resolved::Bound(BoundParam::Absent) => Ok(ParamType::Absent),
            Resolved::Bound(BoundParam::One(tensor)) => one(param, &tensors[*tensor as usize], count),
            Resolved::Bound(BoundParam::Many(many)) => several(param, many, tensors),
        };
        types.params.push(result.unwrap_or_else(|message| {
            errors.push(TypeError {
                message,
                origin: param.origin.clone(),
            });
            ParamType::Unknown
        }));
    }
    for (node, body) in &found.experts {
        if let Op::Experts(options) = &graph.nodes[*node as usize].op {
            let body = param_types(&options.body, body, options.count, tensors, errors);
            types.experts.push((*node, body));
        }
    }
    types
}

/// The bound parameters of a graph, without types. Of missing ones what is there counts as read.
pub(super) fn bound(found: GraphParams) -> BoundGraph {
    let params = found.params.into_iter().map(|resolved| match resolved {
        Resolved::Bound(param) => param,
        Resolved::Missing(_, there) => BoundParam::Many(there),
    });
    BoundGraph {
        params: params.collect(),
        experts: found
            .experts
            .into_iter()
            .map(|(node, body)| (node, bound(body)))
            .collect(),
        types: vec![],
    }
}

fn kind(tensor: &TensorInfo) -> Kind {
    if tensor.dtype.is_float() {
        Kind::Float
    } else {
        Kind::Int
    }
}

fn one(param: &Param, tensor: &TensorInfo, count: u64) -> Result<ParamType, String> {
    let shape = match param.form {
        ParamForm::Slice => slice(tensor, count)?,
        _ => tensor.shape.clone(),
    };
    Ok(ParamType::Tensor {
        shape: reshape(param, &tensor.name, shape)?,
        kind: kind(tensor),
    })
}

/// The part of one expert: `[E, a, b]` gives `[a, b]`, `[E*a, b]` gives `[a, b]`; `[E]` gives `[1]`.
fn slice(tensor: &TensorInfo, count: u64) -> Result<Vec<u64>, String> {
    match tensor.shape.split_first() {
        Some((first, rest)) if *first == count && !rest.is_empty() => Ok(rest.to_vec()),
        Some((first, rest)) if first % count == 0 => Ok([&[first / count], rest].concat()),
        _ => Err(format!(
            "`{}` {:?} cannot be cut in {count} equal parts, one per expert",
            tensor.name, tensor.shape
        )),
    }
}

fn several(param: &Param, many: &[u32], tensors: &[TensorInfo]) -> Result<ParamType, String> {
    let all = many.iter().map(|tensor| &tensors[*tensor as usize]);
    let first = &tensors[many[0] as usize];
    if let Some(other) = all.clone().find(|tensor| tensor.shape != first.shape) {
        return Err(format!(
            "`{}` is {:?}, but `{}` is {:?}: they must have one shape",
            first.name, first.shape, other.name, other.shape
        ));
    }
    let shape = match param.form {
        ParamForm::Stack { count } => [&[count], first.shape.as_slice()].concat(),
        _ => first.shape.clone(),
    };
    Ok(ParamType::Tensor {
        shape: reshape(param, &first.name, shape)?,
        kind: kind(first),
    })
}

fn reshape(param: &Param, name: &str, shape: Vec<u64>) -> Result<Vec<u64>, String> {
    let Some(wanted) = &param.shape else {
        return Ok(shape);
    };
    let elements = |shape: &[u64]| shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
    if elements(wanted) == elements(&shape) && elements(wanted).is_some() {
        return Ok(wanted.clone());
    }
    Err(format!(
        "`{name}` {shape:?} cannot be read as {wanted:?}: the number of elements differs"
    ))
}
