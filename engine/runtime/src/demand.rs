//! What a sweep computes: what it needs itself and what stages ask for, unit by unit.

use sli_model::Value;

use crate::points::{PointId, Points, RowsOf, Sort};
use crate::units::{Role, Unit};

/// What is wanted of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnitDemand {
    /// Results that the sweep itself needs: `x`, `out`, `let.<leaf>`, `carry.<leaf>`, `final`.
    pub(crate) results: Vec<(String, Value)>,
    /// Points that are made for a whole micro-batch at once.
    pub(crate) points: Vec<PointId>,
    /// Points that are made a chunk of tokens at a time, because their rows are wide.
    pub(crate) chunked: Vec<PointId>,
    point_values: Vec<Value>,
    chunked_values: Vec<Value>,
}

impl UnitDemand {
    /// Values that are made for a whole micro-batch: results, then points.
    pub(crate) fn whole(&self) -> Vec<Value> {
        self.results
            .iter()
            .map(|result| result.1)
            .chain(self.point_values.iter().copied())
            .collect()
    }

    /// Values that are made a chunk at a time.
    pub(crate) fn chunked_values(&self) -> &[Value] {
        &self.chunked_values
    }

    /// All values.
    pub(crate) fn all(&self) -> Vec<Value> {
        let mut all = self.whole();
        all.extend(&self.chunked_values);
        all
    }
}

/// What a sweep computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// One per unit of the plan.
    pub(crate) units: Vec<UnitDemand>,
    /// How many units run: what comes after the last value that somebody wants is not read.
    pub(crate) count: usize,
    /// Tensors that several units read, by the binding.
    pub(crate) shared: Vec<u32>,
}

impl Demand {
    /// What it takes to make the points `wanted` and those of them that must come `whole`, document by
    /// document. `shared` are the tensors that several units read.
    pub(crate) fn new(
        units: &[Unit<'_>],
        points: &Points,
        wanted: &[PointId],
        whole: &[PointId],
        shared: &[u32],
    ) -> Demand {
        let mut demands: Vec<UnitDemand> = units.iter().map(own).collect();
        let hidden = residual_width(points);
        let mut ids = wanted.to_vec();
        ids.sort();
        ids.dedup();
        for id in &ids {
            let point = points.get(*id);
            let wide = point.sort == Sort::Head && matches!(point.rows, RowsOf::Tokens { .. }) && point.width > hidden;
            let demand = &mut demands[point.unit];
            if wide && !whole.contains(id) {
                demand.chunked.push(*id);
                demand.chunked_values.push(point.value);
            } else {
                demand.points.push(*id);
                demand.point_values.push(point.value);
            }
        }
        let count = ids.iter().map(|id| points.get(*id).unit + 1).max().unwrap_or(0);
        Demand {
            units: demands,
            count,
            shared: shared.to_vec(),
        }
    }
}

/// What the sweep itself needs of a unit.
fn own(unit: &Unit<'_>) -> UnitDemand {
    let results = unit
        .results()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    UnitDemand {
        results,
        ..UnitDemand::default()
    }
}

/// Elements of a row of the residual stream.
fn residual_width(points: &Points) -> u64 {
    let streams = points
        .iter()
        .filter(|(_, point)| point.unit == 0 || point.sort == Sort::Layer);
    streams.map(|(_, point)| point.width).max().unwrap_or(u64::MAX)
}

/// Whether a role is that of a stack's last layer.
pub(crate) fn is_last_layer(units: &[Unit<'_>], index: usize) -> bool {
    let stack_of = |role: Role| match role {
        Role::Layer { stack, .. } => Some(stack),
        _ => None,
    };
    let own = stack_of(units[index].role);
    own.is_some() && units.get(index + 1).is_none_or(|next| stack_of(next.role) != own)
}
