//! Norms and reductions over the last dim.

use super::broadcast::broadcast;
use super::site::Site;
use super::{Dim, Kind, Sets, ValueType};

/// `x, [weight], [bias]` -> like x; weight and bias broadcast to x.
pub(super) fn norm(site: &Site<'_>, groups: u64, sets: &Sets) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let width = site.last(x, "x")?;
    if width % groups != 0 {
        return Err(format!(
            "{} cannot cut {width} features of x {} in {groups} equal groups",
            site.op(),
            x.show()
        ));
    }
    for (i, role) in [(1, "the weight"), (2, "the bias")] {
        let Some(weight) = site.optional(i, role)? else {
            continue;
        };
        if weight.rank() > x.rank() || broadcast(x.dims, weight.dims, sets).as_deref() != Ok(x.dims) {
            return Err(format!(
                "{} expects {role} to fit x {}, but it is {}; config and weights disagree",
                site.op(),
                x.show(),
                site.named(i, role)
            ));
        }
    }
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x` -> like x, computed over the last dim.
pub(super) fn over_last(site: &Site<'_>) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    site.last(x, "x")?;
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x [.., C]` -> `[.., 1]`; a sum of integers stays one.
pub(super) fn reduce(site: &Site<'_>, sum: bool) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    site.last(x, "x")?;
    let mut dims = x.dims.to_vec();
    dims[x.rank() - 1] = Dim::Size(1);
    let kind = if sum { x.kind } else { Kind::Float };
    Ok(ValueType::Tensor { dims, kind })
}
