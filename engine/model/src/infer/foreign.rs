//! Functions from outside: their own code says what they give; here its answer is held to the rules.

use super::site::Site;
use super::types::rows_of;
use super::{Dim, Fault, Outputs, SetId, ValueType};
use crate::{Foreign, ForeignDim, ForeignType};

/// Most dims a tensor of a foreign function may have.
const MAX_RANK: usize = 8;

/// Types of the results of a foreign function.
pub(super) fn foreign(site: &Site<'_>, call: &Foreign) -> Outputs {
    let name = format!("`{}` of the plugin `{}`", call.function, call.plugin);
    let Some(code) = &call.code.0 else {
        return Err(format!("{name} is not tied to its code: the plugin is not loaded").into());
    };
    let (inputs, set) = inputs(site, &name)?;
    let types = code
        .infer(&call.options, &inputs)
        .map_err(|why| Fault::Message(format!("{name}: {why}")))?;
    if types.len() != usize::from(call.outputs) {
        let message = format!("{name} gives {} results; {} are declared", types.len(), call.outputs);
        return Err(message.into());
    }
    types.iter().map(|found| output(found, set, &name)).collect()
}

/// The inputs as the function sees them, and the token set of their rows.
fn inputs(site: &Site<'_>, name: &str) -> Result<(Vec<Option<ForeignType>>, Option<SetId>), Fault> {
    let mut set = None;
    let mut inputs = Vec::with_capacity(site.node.inputs.len());
    for index in 0..site.node.inputs.len() {
        let Some(tensor) = site.optional(index, &format!("argument {}", index + 1))? else {
            inputs.push(None);
            continue;
        };
        if let Some(of) = rows_of(tensor.dims) {
            if set.is_some_and(|set| set != of) {
                return Err(format!("{name} is given rows of two token sets; it can take one").into());
            }
            set = Some(of);
        }
        let mut dims = Vec::with_capacity(tensor.rank());
        for dim in tensor.dims {
            dims.push(match dim {
                Dim::Rows(_) => ForeignDim::Rows,
                Dim::Size(size) => ForeignDim::Size(*size),
                Dim::Seqs(_) | Dim::Span(_) => {
                    let shape = tensor.show();
                    return Err(format!("{name} cannot take {shape}: only rows of tokens and fixed sizes").into());
                }
            });
        }
        inputs.push(Some(ForeignType {
            kind: tensor.kind,
            dims,
        }));
    }
    Ok((inputs, set))
}

/// A result as a value of the graph.
fn output(found: &ForeignType, set: Option<SetId>, name: &str) -> Result<ValueType, Fault> {
    if found.dims.is_empty() || found.dims.len() > MAX_RANK {
        let message = format!(
            "{name} gives a result of {} dims; 1 to {MAX_RANK} are possible",
            found.dims.len()
        );
        return Err(message.into());
    }
    let mut dims = Vec::with_capacity(found.dims.len());
    for (at, dim) in found.dims.iter().enumerate() {
        dims.push(match (dim, set) {
            (ForeignDim::Rows, Some(set)) if at == 0 => Dim::Rows(set),
            (ForeignDim::Rows, Some(_)) => return Err(format!("{name} gives rows elsewhere than in dim 0").into()),
            (ForeignDim::Rows, None) => return Err(format!("{name} gives rows, but has none in its inputs").into()),
            (ForeignDim::Size(0), _) => return Err(format!("{name} gives a dim of size 0").into()),
            (ForeignDim::Size(size), _) => Dim::Size(*size),
        });
    }
    Ok(ValueType::Tensor { dims, kind: found.kind })
}
