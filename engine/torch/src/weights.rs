//! The parameters of a graph: as read, and made ready to compute with.

use crate::Tensor;
use crate::error::{ExecError, Result, fail};
use crate::kinds::{is_float, kind_of};
use sli_model::bind::Piece;
use sli_model::{DType, Graph, Op, Param, ParamForm};
use std::collections::HashMap;
use tch::Kind;

/// What is there for one parameter.
#[derive(Clone, Debug)]
pub enum ParamValue {
    /// The checkpoint does not have it (optional parameters).
    Absent,
    /// One tensor.
    One(Tensor),
    /// Several: one per `{n}` or per expert. An expert that was not read has an empty tensor.
    Many(Vec<Tensor>),
}

/// The parameters of one graph, by [`sli_model::ParamId`]; those of `experts` bodies by node.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// By parameter.
    pub params: Vec<ParamValue>,
    /// Of the bodies, by index of the `experts` node.
    pub experts: HashMap<u32, Weights>,
}

impl Weights {
    /// Every tensor, bodies included.
    pub(crate) fn tensors(&self) -> Box<dyn Iterator<Item = &Tensor> + '_> {
        let own = self.params.iter().flat_map(|param| match param {
            ParamValue::Absent => [].iter(),
            ParamValue::One(tensor) => std::slice::from_ref(tensor).iter(),
            ParamValue::Many(tensors) => tensors.iter(),
        });
        Box::new(own.chain(self.experts.values().flat_map(Weights::tensors)))
    }
}

impl Tensor {
    /// A piece of this stored tensor, sharing its data.
    ///
    /// # Errors
    /// A piece of a tensor of another shape.
    pub fn piece(&self, piece: &Piece) -> Result<Tensor> {
        let mut found = match piece.index {
            None => self.clone(),
            Some(index) => part(self, index.at as usize, index.of as usize)?,
        };
        if piece.transposed {
            found = self.derive(found.raw().f_transpose(-2, -1)?);
        }
        if let Some(rows) = &piece.rows {
            let (start, step) = (rows.start as i64, rows.step as i64);
            let end = start + step * rows.len as i64;
            found = self.derive(found.raw().f_slice(0, start, end, step)?);
        }
        if found
            .shape()
            .iter()
            .zip(&piece.shape)
            .any(|(is, wanted)| *is != *wanted as i64)
        {
            fail!("a piece of {self:?} is {:?}, not {:?}", found.shape(), piece.shape);
        }
        Ok(found)
    }
}

/// A matrix whose converted copy would be larger than this is converted piece by piece where it is used: larger copies
/// get fresh memory from the system each time, and fetching its pages takes ten times as long as converting.
const WHOLE_CAST_LIMIT: usize = 32 << 20;

/// How the nodes of a graph read a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Uses {
    /// As a factor of a matrix product.
    matrix: bool,
    /// As a matrix product's factor other than the plain weight of `linear`.
    reshaped: bool,
    /// As the table of `embedding`.
    table: bool,
    /// In any other way.
    other: bool,
}

/// Makes the parameters of a graph ready, once per layer: pieces are stacked, shapes applied, matrices
/// converted to `compute`, integers to i64.
///
/// Vectors and the parameters of scans keep the dtype they are stored in, unless `compute` is f32:
/// then every float becomes f32. Tables of `embedding` are left alone (only the rows looked up are
/// converted), and so are the weights of experts, which are converted one expert at a time when used.
/// What needs no conversion is not copied.
///
/// # Errors
/// A missing parameter that is not optional, a shape that does not fit, a dtype that cannot compute.
pub fn prepare(graph: &Graph, raw: Weights, compute: DType) -> std::result::Result<Weights, ExecError> {
    let _guard = tch::no_grad_guard();
    let uses = uses_of(graph);
    let mut params = Vec::with_capacity(raw.params.len());
    for (index, (param, value)) in graph.params.iter().zip(raw.params).enumerate() {
        let ready = prepare_one(param, value, uses[index], compute)
            .map_err(|e| ExecError::new(format!("parameter `{}`: {e}", param.name.path), &param.origin))?;
        params.push(ready);
    }
    Ok(Weights {
        params,
        experts: raw.experts,
    })
}

fn prepare_one(param: &Param, value: ParamValue, uses: Uses, compute: DType) -> Result<ParamValue> {
    match (value, param.form) {
        (ParamValue::Absent, _) if param.optional => Ok(ParamValue::Absent),
        (ParamValue::Absent, _) => fail!("it is not optional and was not given"),
        (ParamValue::One(tensor), ParamForm::Stack { .. }) => fail!("one tensor {tensor:?} for a list of them"),
        (ParamValue::One(tensor), _) => Ok(ParamValue::One(fit(tensor, param, uses, compute)?)),
        (ParamValue::Many(tensors), ParamForm::Stack { count }) => {
            if tensors.len() as u64 != count {
                fail!("{} tensors for a list of {count}", tensors.len());
            }
            let raws: Vec<&tch::Tensor> = tensors.iter().map(Tensor::raw).collect();
            let stacked = Tensor::own(tch::Tensor::f_stack(&raws, 0)?);
            Ok(ParamValue::One(fit(stacked, param, uses, compute)?))
        }
        (ParamValue::Many(tensors), _) => fail!("{} tensors where one is expected", tensors.len()),
    }
}

/// The parameters of expert `index` of `count`, cut out of those of all experts.
pub(crate) fn of_expert(body: &Graph, all: &Weights, index: usize, count: usize) -> Result<Weights> {
    let params = body.params.iter().zip(&all.params);
    let own = params.map(|(param, value)| cut(value, index, count).map_err(|e| named(param, e)));
    Ok(Weights {
        params: own.collect::<Result<_>>()?,
        experts: HashMap::new(),
    })
}

fn named(param: &Param, error: crate::TensorError) -> crate::TensorError {
    crate::TensorError(format!("parameter `{}`: {error}", param.name.path))
}

/// What expert `index` sees of a parameter.
fn cut(value: &ParamValue, index: usize, count: usize) -> Result<ParamValue> {
    let tensor = match value {
        ParamValue::Absent => return Ok(ParamValue::Absent),
        ParamValue::Many(tensors) => match tensors.get(index) {
            None => fail!("there is no expert {index}, only {}", tensors.len()),
            Some(tensor) => tensor.clone(),
        },
        ParamValue::One(tensor) => part(tensor, index, count)?,
    };
    if tensor.numel() == 0 {
        fail!("the weights of expert {index} were not read");
    }
    Ok(ParamValue::One(tensor))
}

/// Part `index` of dim 0: `[E, a, ..]` gives `[a, ..]`, `[E*a, ..]` too.
fn part(tensor: &Tensor, index: usize, count: usize) -> Result<Tensor> {
    let shape = tensor.shape();
    let (rows, count) = (shape.first().copied().unwrap_or(0), count as i64);
    if count == 0 || rows % count != 0 {
        fail!("shape {shape:?} cannot be cut into {count} equal parts");
    }
    let cut = tensor.rows(index as i64 * (rows / count), rows / count)?;
    if rows == count && shape.len() > 1 {
        cut.reshape(&shape[1..])
    } else {
        Ok(cut)
    }
}

/// Shape and dtype as the plan wants them.
fn fit(tensor: Tensor, param: &Param, uses: Uses, compute: DType) -> Result<Tensor> {
    let shaped = match &param.shape {
        Some(shape) => tensor.reshape(&shape.iter().map(|d| *d as i64).collect::<Vec<_>>())?,
        None => tensor,
    };
    let stored = shaped.raw().kind();
    let target = if !is_float(stored) {
        Kind::Int64
    } else if uses.table && !uses.matrix && !uses.other {
        stored
    } else if uses.matrix {
        let whole = shaped.numel() * compute.size();
        let in_pieces = whole > WHOLE_CAST_LIMIT && !uses.reshaped && shaped.raw().dim() == 2;
        if in_pieces { stored } else { kind_of(compute)? }
    } else {
        match (stored, kind_of(compute)?) {
            (_, wide @ (Kind::Float | Kind::Double)) => wide,
            (Kind::Float8e4m3fn | Kind::Float8e5m2, narrow) => narrow,
            // f16 and bf16 do not hold each other's numbers
            (Kind::Half, Kind::BFloat16) | (Kind::BFloat16, Kind::Half) | (Kind::Double, _) => Kind::Float,
            (stored, _) => stored,
        }
    };
    shaped.cast(crate::kinds::dtype_of(target))
}

/// How each parameter is read, looking through operations that only move elements.
fn uses_of(graph: &Graph) -> Vec<Uses> {
    let mut by_node = vec![Uses::default(); graph.nodes.len()];
    let mut by_param = vec![Uses::default(); graph.params.len()];
    for index in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[index];
        if let Op::Param(id) = node.op {
            by_param[id.0 as usize].add(by_node[index]);
        }
        for (slot, input) in node.inputs.iter().enumerate() {
            let Some(input) = input else { continue };
            let seen = match (&node.op, slot) {
                (Op::Linear { transposed: false }, 1) => Uses {
                    matrix: true,
                    ..Uses::default()
                },
                (Op::Linear { .. }, 1) | (Op::MatMul, _) => Uses {
                    matrix: true,
                    reshaped: true,
                    ..Uses::default()
                },
                // a bias is converted where it is added
                (Op::Linear { .. }, 2) => Uses::default(),
                (Op::Embedding, 1) => Uses {
                    table: true,
                    ..Uses::default()
                },
                (op, _) if moves_elements(op) => Uses {
                    reshaped: true,
                    ..by_node[index]
                },
                _ => Uses {
                    other: true,
                    ..Uses::default()
                },
            };
            by_node[input.node as usize].add(seen);
        }
    }
    by_param
}

impl Uses {
    fn add(&mut self, more: Uses) {
        self.matrix |= more.matrix;
        self.reshaped |= more.reshaped;
        self.table |= more.table;
        self.other |= more.other;
    }
}

fn moves_elements(op: &Op) -> bool {
    matches!(
        op,
        Op::Split(_)
            | Op::Slice { .. }
            | Op::Concat
            | Op::JoinRows
            | Op::Transpose
            | Op::SplitHeads { .. }
            | Op::MergeHeads
            | Op::RepeatHeads { .. }
    )
}

#[cfg(test)]
mod tests;
