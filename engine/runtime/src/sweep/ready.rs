//! From bytes in an arena to weights that compute.

use std::cell::RefCell;
use std::collections::HashMap;

use sli_checkpoint::{Checkpoint, TensorId};
use sli_model::bind::{BoundGraph, BoundParam, Index, Piece, Source};
use sli_model::{Graph, Value};
use sli_torch::{ParamValue, Tensor, TensorError, Weights};

use super::placed::Placed;

use crate::lookups::Lookup;
use crate::mixtures::{Expert, Mixture, part};

/// A graph as it is run: parameters that nothing wanted needs may be missing.
pub(super) struct Prepared {
    /// The graph.
    pub(super) graph: Graph,
    /// Which parameters are given.
    given: Vec<bool>,
    /// Which nodes are needed.
    need: Vec<bool>,
    /// Mixtures whose experts are read on their own.
    pub(super) mixtures: Vec<Mixture>,
}

/// The units that hold bytes: those of a graph, and those that stay in memory.
#[derive(Clone, Copy)]
pub(super) struct Holders<'a> {
    /// Where tensors lie.
    pub(super) checkpoint: &'a Checkpoint,
    /// Looked through in this order.
    pub(super) units: &'a [&'a Placed],
}

impl Prepared {
    /// `graph` for the values `wanted`; the experts of `mixtures` and the tables of `lookups` are not among its weights.
    pub(super) fn new(graph: &Graph, wanted: &[Value], mixtures: Vec<Mixture>, lookups: &[Lookup]) -> Prepared {
        let known = |value: Value| lookups.iter().any(|lookup| lookup.value == value);
        let need = graph.needed_beside(wanted.iter().copied(), &known);
        let mut graph = graph.clone();
        let mut given = vec![false; graph.params.len()];
        graph
            .params_of(&need)
            .into_iter()
            .for_each(|id| given[id.0 as usize] = true);
        for (param, given) in graph.params.iter_mut().zip(&given) {
            param.optional |= !given;
        }
        Prepared {
            graph,
            given,
            need,
            mixtures,
        }
    }

    /// Views of the needed parameters.
    pub(super) fn weights(&self, bound: &BoundGraph, holders: Holders<'_>) -> Result<Weights, TensorError> {
        // Many pieces are of one tensor, and a view of bytes that are not aligned is a copy.
        let views: RefCell<HashMap<u32, Tensor>> = RefCell::default();
        let view = |id: u32| {
            if let Some(known) = views.borrow().get(&id) {
                return Ok(known.clone());
            }
            let made = holders.view(id, None)?;
            views.borrow_mut().insert(id, made.clone());
            Ok(made)
        };
        let params = bound.params.iter().zip(&self.given).map(|(param, given)| match param {
            param if *given => value(param, &view),
            _ => Ok(ParamValue::Absent),
        });
        let params: Result<Vec<_>, _> = params.collect();
        let mut experts = HashMap::new();
        let apart = |node: u32| self.mixtures.iter().any(|mixture| mixture.node == node);
        let read = |node: u32| self.need[node as usize] && !apart(node);
        for (node, body) in bound.experts.iter().filter(|(node, _)| read(*node)) {
            experts.insert(*node, all(body, &view)?);
        }
        Ok(Weights {
            params: params?,
            experts,
        })
    }
}

/// The weights of one expert.
pub(super) fn expert(expert: &Expert, holders: Holders<'_>) -> Result<Weights, TensorError> {
    let param = |from: &Option<Source>| match from {
        None => Ok(ParamValue::Absent),
        Some(Source::Piece(piece)) if piece.index.is_some() => {
            let rest = Piece {
                index: None,
                ..(**piece).clone()
            };
            holders
                .view(piece.tensor, piece.index)?
                .piece(&rest)
                .map(ParamValue::One)
        }
        Some(from) => source(from, &|id| holders.view(id, None)).map(ParamValue::One),
    };
    Ok(Weights {
        params: expert.params.iter().map(param).collect::<Result<_, _>>()?,
        experts: HashMap::new(),
    })
}

type View<'a> = dyn Fn(u32) -> Result<Tensor, TensorError> + 'a;

/// Every parameter of a body of `experts`.
fn all(bound: &BoundGraph, view: &View<'_>) -> Result<Weights, TensorError> {
    let params: Result<Vec<_>, _> = bound.params.iter().map(|param| value(param, view)).collect();
    let experts = bound.experts.iter().map(|(node, body)| Ok((*node, all(body, view)?)));
    Ok(Weights {
        params: params?,
        experts: experts.collect::<Result<_, TensorError>>()?,
    })
}

fn value(param: &BoundParam, view: &View<'_>) -> Result<ParamValue, TensorError> {
    Ok(match param {
        BoundParam::Absent => ParamValue::Absent,
        BoundParam::One(from) => ParamValue::One(source(from, view)?),
        BoundParam::Many(all) => ParamValue::Many(all.iter().map(|from| source(from, view)).collect::<Result<_, _>>()?),
    })
}

/// A view of a stored tensor or of a piece of one; joined ones are copied.
fn source(from: &Source, view: &View<'_>) -> Result<Tensor, TensorError> {
    match from {
        Source::Whole(id) => view(*id),
        Source::Piece(piece) => view(piece.tensor)?.piece(piece),
        Source::Joined(ids) => {
            let parts: Vec<Tensor> = ids.iter().map(|id| view(*id)).collect::<Result<_, _>>()?;
            Tensor::concat(&parts.iter().collect::<Vec<_>>())
        }
    }
}

impl Holders<'_> {
    /// A view of a stored tensor, or of a part of its dim 0.
    fn view(&self, id: u32, index: Option<Index>) -> Result<Tensor, TensorError> {
        let id = TensorId(id);
        let entry = self.checkpoint.tensor(id);
        let (start, end) = part(entry.len, index);
        let mut shape: Vec<i64> = entry.shape.iter().map(|dim| *dim as i64).collect();
        if let (Some(index), Some(first)) = (index, shape.first_mut()) {
            *first /= index.of.max(1) as i64;
            if *first == 1 && shape.len() > 1 && entry.shape[0] == index.of {
                shape.remove(0);
            }
        }
        let mut found = self
            .units
            .iter()
            .filter_map(|unit| unit.view(id, start..end, entry.dtype, &shape));
        match found.next() {
            Some(view) => view,
            None => Err(TensorError(format!("the tensor `{}` was not read", entry.name))),
        }
    }
}
