//! A micro-batch on its way through the layers: its hidden state and what goes along.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sli_model::{DType, GraphInput, StackValue};
use sli_torch::{Device, Known, RowSet, RtValue, Tensor, TensorError};

use crate::data::Dataset;
use crate::stages::Piece;

/// Whole documents that go through a unit together.
pub(super) struct Micro {
    /// Which documents.
    pub(super) documents: Range<usize>,
    /// Their rows, by field of the dataset.
    pub(super) sets: Vec<Arc<RowSet>>,
    /// The residual stream.
    pub(super) x: Option<RtValue>,
    /// Values of the stack's `let` that belong to this micro-batch.
    pub(super) lets: HashMap<String, RtValue>,
    /// Values carried from layer to layer.
    pub(super) carry: HashMap<String, RtValue>,
    /// Values of finished stacks that later ones read.
    pub(super) kept: HashMap<(String, StackValue), RtValue>,
    /// Values of the current unit that were made in an earlier part of it.
    pub(super) known: Known,
}

impl Micro {
    /// The documents `documents`, before the first unit.
    pub(super) fn new(dataset: &Dataset, documents: Range<usize>, device: Device) -> Result<Micro, TensorError> {
        let set = |field: &crate::data::Field| {
            let lengths: Vec<i64> = documents
                .clone()
                .map(|document| field.tokens(document) as i64)
                .collect();
            RowSet::from_lengths_on(&lengths, device).map(Arc::new)
        };
        let sets: Result<Vec<_>, _> = dataset.fields.iter().map(set).collect();
        let (lets, carry, kept) = (HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Micro {
            documents,
            sets: sets?,
            x: None,
            lets,
            carry,
            kept,
            known: Known::new(),
        })
    }

    /// Forgets all values.
    pub(super) fn clear(&mut self) {
        self.x = None;
        self.lets.clear();
        self.carry.clear();
        self.kept.clear();
    }

    /// Where each document's rows of a field are.
    pub(super) fn pieces(&self, field: usize) -> Vec<Piece> {
        let set = &self.sets[field];
        let piece = |(index, document): (usize, usize)| {
            let range = set.range(index);
            Piece {
                document,
                first: 0,
                at: range.start as u64,
                len: (range.end - range.start) as u64,
            }
        };
        self.documents.clone().enumerate().map(piece).collect()
    }

    /// One row for each document.
    pub(super) fn document_pieces(&self) -> Vec<Piece> {
        let piece = |(index, document)| Piece {
            document,
            first: 0,
            at: index as u64,
            len: 1,
        };
        self.documents.clone().enumerate().map(piece).collect()
    }

    /// A value from outside a graph of a stack that reads that field of the dataset. `shared` are the `let`
    /// values that are the same for all micro-batches.
    pub(super) fn input(
        &self,
        input: &GraphInput,
        field: usize,
        dataset: &Dataset,
        shared: &HashMap<String, RtValue>,
    ) -> Option<RtValue> {
        let set = &self.sets[field];
        match input {
            GraphInput::X => self.x.clone(),
            GraphInput::Tokens => integers(dataset.fields[field].slice(self.documents.clone()), set),
            GraphInput::Positions => Some(RtValue::packed(set.positions().clone(), set)),
            GraphInput::TokenTypes => match &dataset.token_types {
                Some(types) if field == 0 => integers(types.slice(self.documents.clone()), set),
                _ => {
                    let zeros = Tensor::zeros(&[set.len()], DType::I64).ok()?;
                    let zeros = zeros.to_device(set.positions().device()).ok()?;
                    Some(RtValue::packed(zeros, set))
                }
            },
            GraphInput::Field(_) | GraphInput::Pair(_) => None,
            GraphInput::Let(name) => self.lets.get(name).or_else(|| shared.get(name)).cloned(),
            GraphInput::Carry(name) => self.carry.get(name).cloned(),
            GraphInput::Stack { stack, value } => self.kept.get(&(stack.clone(), *value)).cloned(),
        }
    }

    /// Keeps the residual stream under a name, if a later stack reads it.
    pub(super) fn keep(
        &mut self,
        stack: &str,
        value: StackValue,
        wanted: &HashSet<(String, StackValue)>,
        what: &RtValue,
    ) {
        let key = (stack.to_owned(), value);
        if wanted.contains(&key) {
            self.kept.insert(key, what.clone());
        }
    }
}

fn integers(ids: &[u32], set: &Arc<RowSet>) -> Option<RtValue> {
    let ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let tensor = Tensor::from_i64(&ids, &[ids.len() as i64]).ok()?;
    let tensor = tensor.to_device(set.positions().device()).ok()?;
    Some(RtValue::packed(tensor, set))
}
