//! The shape in which a graph sees a parameter: experts cut, pieces stacked, reshaped.

use super::resolve::{GraphParams, Resolved};
use super::source::part_of_dim_0;
use super::{BoundGraph, BoundParam, Source, TensorInfo};
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
            Resolved::Unfit(message) => Err(message.clone()),
            Resolved::Bound(BoundParam::One(source)) => one(param, source, tensors, count),
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
        Resolved::Unfit(_) => BoundParam::Absent,
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

fn one(param: &Param, source: &Source, tensors: &[TensorInfo], count: u64) -> Result<ParamType, String> {
    let tensor = source.info(tensors);
    let shape = match (param.form, source) {
        (ParamForm::Slice, Source::Whole(_)) => part_of_dim_0(tensor, count)?,
        (ParamForm::Slice, _) => {
            let seen = TensorInfo {
                shape: source.shape(tensors)?,
                ..tensor.clone()
            };
            part_of_dim_0(&seen, count)?
        }
        _ => source.shape(tensors)?,
    };
    Ok(ParamType::Tensor {
        shape: reshape(param, &tensor.name, shape)?,
        kind: kind(tensor),
    })
}

fn several(param: &Param, many: &[Source], tensors: &[TensorInfo]) -> Result<ParamType, String> {
    let first = &many[0];
    let shape = first.shape(tensors)?;
    for source in many {
        let other = source.shape(tensors)?;
        if other != shape {
            return Err(format!(
                "`{}` is {shape:?}, but `{}` is {other:?}: they must have one shape",
                first.name(tensors),
                source.name(tensors)
            ));
        }
    }
    let shape = match param.form {
        ParamForm::Stack { count } => [&[count], shape.as_slice()].concat(),
        _ => shape,
    };
    Ok(ParamType::Tensor {
        shape: reshape(param, first.name(tensors), shape)?,
        kind: kind(first.info(tensors)),
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
