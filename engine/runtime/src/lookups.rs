//! Tables of which only the rows of tokens that occur are read.
//!
//! The table of token embeddings can be the largest tensor of a model, and a run of a few thousand tokens needs a few
//! thousand of its rows. Where that is much less than the table, these rows are read, and the look-up is done with
//! them before the unit's graph runs.

use std::collections::BTreeSet;

use sli_checkpoint::{Checkpoint, Span, TensorId};
use sli_model::bind::{BoundParam, Source};
use sli_model::{GraphInput, Op, ParamForm, Value};

use crate::data::Field;
use crate::units::Unit;

/// A look-up of token ids in a table that is read row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The result in the unit's graph.
    pub(crate) value: Value,
    /// The table.
    pub(crate) tensor: TensorId,
    /// Bytes of a row.
    pub(crate) row: u64,
}

/// What a row costs beside its bytes: reads are rounded out to whole pages.
const PAGES: u64 = 8 << 10;

/// Rows are read on their own if they are at most this part of the table.
const PART: u64 = 2;

/// The look-ups of `unit` that are worth it for the documents of `field`; tables that are `resident` are there anyway.
pub(crate) fn lookups(
    unit: &Unit<'_>,
    wanted: &[Value],
    field: &Field,
    resident: &[u32],
    checkpoint: &Checkpoint,
) -> Vec<Lookup> {
    let need = unit.graph.needed(wanted.iter().copied());
    let found: Vec<Lookup> = (0..unit.graph.nodes.len())
        .filter(|node| need[*node])
        .filter_map(|node| lookup(unit, node, checkpoint))
        .filter(|lookup| resident.binary_search(&lookup.tensor.0).is_err())
        .collect();
    if found.is_empty() {
        return found;
    }
    let rows = distinct(field).len() as u64;
    let worth = |lookup: &Lookup| rows * (lookup.row + PAGES) * PART <= checkpoint.tensor(lookup.tensor).len;
    found.into_iter().filter(worth).collect()
}

/// Whether a node looks up the tokens as they are in a stored table that nothing else reads.
fn lookup(unit: &Unit<'_>, node: usize, checkpoint: &Checkpoint) -> Option<Lookup> {
    let graph = unit.graph;
    let Op::Embedding = graph.nodes[node].op else {
        return None;
    };
    let [ids, table] = [0, 1].map(|slot| graph.nodes[node].inputs.get(slot).copied().flatten());
    let (ids, table) = (ids?, table?);
    let tokens = matches!(graph.nodes[ids.node as usize].op, Op::Input(GraphInput::Tokens));
    let Op::Param(param) = graph.nodes[table.node as usize].op else {
        return None;
    };
    let index = param.0 as usize;
    let plain = graph.params[index].form == ParamForm::One && graph.params[index].shape.is_none();
    let readers = graph.nodes.iter().flat_map(|other| other.inputs.iter().flatten());
    let alone = readers.filter(|value| value.node == table.node).count() == 1;
    let BoundParam::One(Source::Whole(tensor)) = unit.bound.params[index] else {
        return None;
    };
    // Several parameters may be tied to one tensor: then another one reads it.
    let mut uses = 0;
    unit.bound
        .each_source(&mut |source| uses += usize::from(source.tensors().contains(&tensor)));
    let entry = checkpoint.tensor(TensorId(tensor));
    let [rows, _] = entry.shape[..] else { return None };
    (tokens && plain && alone && uses == 1 && rows > 0).then(|| Lookup {
        value: Value {
            node: node as u32,
            out: 0,
        },
        tensor: TensorId(tensor),
        row: entry.len / rows,
    })
}

/// The rows that the documents of `field` look up.
pub(crate) fn spans(lookup: &Lookup, field: &Field) -> impl Iterator<Item = Span> {
    let Lookup { tensor, row, .. } = *lookup;
    distinct(field).into_iter().map(move |id| Span {
        tensor,
        start: u64::from(id) * row,
        len: row,
    })
}

fn distinct(field: &Field) -> BTreeSet<u32> {
    field.ids().iter().copied().collect()
}
