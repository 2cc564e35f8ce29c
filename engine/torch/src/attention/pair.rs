//! Score biases that are equations of query index, key index and head: their graph, run tile by tile.

use super::bias::At;
use crate::error::{Result, TensorError, fail};
use crate::kinds::cast;
use crate::{Batch, RowSet, RtValue, Tensor as Shared, Weights};
use sli_model::{DType, GraphInput, PairBias, PairIndex};
use std::ops::Range;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// The tile, f32 `[1 or H, 1 or rows, 1 or keys]`, in memory of its own.
pub(super) fn tile(pair: &PairBias, at: &At) -> Result<Tensor> {
    let Some(out) = pair.body.output("out") else {
        fail!("the equation of a score bias has no `out`");
    };
    let index = |numbers: &Range<i64>, size: [i64; 3]| -> Result<RtValue> {
        let numbers = Tensor::f_arange_start(numbers.start, numbers.end, (Kind::Float, at.device))?;
        Ok(RtValue::plain(Shared::own(numbers.f_reshape(size)?)))
    };
    let (q, k) = (index(&at.q, [1, -1, 1])?, index(&at.k, [1, 1, -1])?);
    let h = index(&(0..pair.heads.unwrap_or(0) as i64), [-1, 1, 1])?;
    let inputs = |input: &GraphInput| match input {
        GraphInput::Pair(PairIndex::Query) => Some(q.clone()),
        GraphInput::Pair(PairIndex::Key) => Some(k.clone()),
        GraphInput::Pair(PairIndex::Head) => Some(h.clone()),
        _ => None,
    };
    let batch = Batch {
        set: Arc::new(RowSet::beside(&[], at.device)?),
        inputs: &inputs,
        compute: DType::F32,
        known: &crate::exec::Known::new(),
    };
    let made = crate::exec::run(&pair.body, &Weights::default(), &batch, &[out]);
    match made.map_err(|e| TensorError(e.message))?.first() {
        Some(RtValue::Tensor { tensor, .. }) if tensor.raw().dim() == 3 => cast(tensor.raw(), Kind::Float),
        _ => fail!("the equation of a score bias depends on neither query nor key"),
    }
}
