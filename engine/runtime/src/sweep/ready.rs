//! From bytes in an arena to weights that compute.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use sli_checkpoint::{Checkpoint, LoadedUnit, TensorId};
use sli_model::bind::{BoundGraph, BoundParam, Source};
use sli_model::{Graph, Value};
use sli_torch::{ByteView, Bytes, ParamValue, Tensor, TensorError, Weights};

/// The bytes of one tensor, and what keeps them.
struct TensorBytes {
    unit: Arc<LoadedUnit>,
    id: TensorId,
}

impl AsRef<[u8]> for TensorBytes {
    fn as_ref(&self) -> &[u8] {
        self.unit.tensor(self.id)
    }
}

/// A graph as it is run: parameters that nothing wanted needs may be missing.
pub(super) struct Prepared {
    /// The graph.
    pub(super) graph: Graph,
    /// Which parameters are given.
    given: Vec<bool>,
    /// Which nodes are needed.
    need: Vec<bool>,
}

impl Prepared {
    /// `graph` for the values `wanted`.
    pub(super) fn new(graph: &Graph, wanted: &[Value]) -> Prepared {
        let need = graph.needed(wanted.iter().copied());
        let mut graph = graph.clone();
        let mut given = vec![false; graph.params.len()];
        graph
            .params_of(&need)
            .into_iter()
            .for_each(|id| given[id.0 as usize] = true);
        for (param, given) in graph.params.iter_mut().zip(&given) {
            param.optional |= !given;
        }
        Prepared { graph, given, need }
    }

    /// Views of the needed parameters in `loaded`, or in `resident` where they stay in memory.
    pub(super) fn weights(
        &self,
        bound: &BoundGraph,
        checkpoint: &Checkpoint,
        loaded: &Arc<LoadedUnit>,
        resident: Option<&Arc<LoadedUnit>>,
    ) -> Result<Weights, TensorError> {
        // Many pieces are of one tensor, and a view of bytes that are not aligned is a copy.
        let views: RefCell<HashMap<u32, Tensor>> = RefCell::default();
        let view = |id: u32| {
            if let Some(known) = views.borrow().get(&id) {
                return Ok(known.clone());
            }
            let made = view(TensorId(id), checkpoint, loaded, resident)?;
            views.borrow_mut().insert(id, made.clone());
            Ok(made)
        };
        let params = bound.params.iter().zip(&self.given).map(|(param, given)| match param {
            param if *given => value(param, &view),
            _ => Ok(ParamValue::Absent),
        });
        let params: Result<Vec<_>, _> = params.collect();
        let mut experts = HashMap::new();
        for (node, body) in bound.experts.iter().filter(|(node, _)| self.need[*node as usize]) {
            experts.insert(*node, all(body, &view)?);
        }
        Ok(Weights {
            params: params?,
            experts,
        })
    }
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

fn view(
    id: TensorId,
    checkpoint: &Checkpoint,
    loaded: &Arc<LoadedUnit>,
    resident: Option<&Arc<LoadedUnit>>,
) -> Result<Tensor, TensorError> {
    let entry = checkpoint.tensor(id);
    let holder = [Some(loaded), resident]
        .into_iter()
        .flatten()
        .find(|unit| unit.get(id).is_some());
    let unit = holder.ok_or_else(|| TensorError(format!("the tensor `{}` was not read", entry.name)))?;
    let bytes: Bytes = Arc::new(TensorBytes {
        unit: Arc::clone(unit),
        id,
    });
    let len = unit.tensor(id).len();
    let shape: Vec<i64> = entry.shape.iter().map(|dim| *dim as i64).collect();
    Tensor::view(ByteView::new(bytes, 0..len)?, entry.dtype, &shape)
}
