//! The inputs of a node, by kind.

use crate::error::{Result, fail};
use crate::ops::pointwise::number_on;
use crate::{Bias, RowSet, RtValue, Tensor};
use std::sync::Arc;

/// The inputs of a node; `None` is an optional one that is not there.
pub(crate) struct Args {
    values: Vec<Option<RtValue>>,
    /// Inputs that nobody else holds, by slot.
    spare: Vec<bool>,
}

impl Args {
    /// `spare[slot]`: neither the value of that input nor a view of it is held by anyone else.
    pub(crate) fn new(values: Vec<Option<RtValue>>, spare: Vec<bool>) -> Args {
        Args { values, spare }
    }

    /// The tensor of an input that the operation may write its result into.
    pub(crate) fn spare(&self, slot: usize) -> Result<Option<tch::Tensor>> {
        match self.spare.get(slot) {
            Some(true) => Ok(Some(self.tensor(slot)?)),
            _ => Ok(None),
        }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&RtValue> {
        self.values.get(slot).and_then(Option::as_ref)
    }

    /// The value of input `slot`.
    pub(crate) fn value(&self, slot: usize) -> Result<&RtValue> {
        match self.get(slot) {
            Some(value) => Ok(value),
            None => fail!("input {slot} is missing"),
        }
    }

    /// A tensor as the crate's users see it.
    pub(crate) fn shared(&self, slot: usize) -> Result<Tensor> {
        match self.value(slot)? {
            RtValue::Tensor { tensor, .. } => Ok(tensor.clone()),
            RtValue::Scalar(number) => {
                let beside = tch::Tensor::f_zeros([0], (tch::Kind::Float, self.device()))?;
                let wide = number_on(*number, &beside)?;
                Ok(Tensor::own(wide.f_to_kind(tch::Kind::Float)?))
            }
            RtValue::Bias(_) => fail!("input {slot} is a score bias, a tensor is expected"),
        }
    }

    /// Where the inputs are; the CPU if there is no tensor among them.
    fn device(&self) -> tch::Device {
        let mut tensors = self.values.iter().flatten().filter_map(RtValue::tensor);
        tensors.next().map_or(tch::Device::Cpu, |tensor| tensor.raw().device())
    }

    /// A tensor.
    pub(crate) fn tensor(&self, slot: usize) -> Result<tch::Tensor> {
        Ok(self.shared(slot)?.raw().shallow_clone())
    }

    /// An optional tensor.
    pub(crate) fn optional(&self, slot: usize) -> Result<Option<tch::Tensor>> {
        self.get(slot).map(|_| self.tensor(slot)).transpose()
    }

    /// A score bias.
    pub(crate) fn bias(&self, slot: usize) -> Result<Arc<Bias>> {
        match self.value(slot)? {
            RtValue::Bias(bias) => Ok(bias.clone()),
            other => fail!("input {slot} is {}, a score bias is expected", other.describe()),
        }
    }

    /// The token set of an input's rows, if it has one.
    pub(crate) fn rows(&self, slot: usize) -> Option<&Arc<RowSet>> {
        self.get(slot).and_then(RtValue::rows)
    }

    /// The token set of an input's rows.
    pub(crate) fn set(&self, slot: usize) -> Result<&Arc<RowSet>> {
        match self.rows(slot) {
            Some(rows) => Ok(rows),
            None => fail!("input {slot} has no token set: its rows do not belong to sequences"),
        }
    }

    /// All inputs as tensors.
    pub(crate) fn tensors(&self) -> Result<Vec<tch::Tensor>> {
        (0..self.values.len()).map(|slot| self.tensor(slot)).collect()
    }

    /// The first token set among the inputs.
    pub(crate) fn any_rows(&self) -> Option<&Arc<RowSet>> {
        self.values.iter().flatten().find_map(RtValue::rows)
    }

    /// Number of inputs.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Shapes and dtypes of the inputs, for messages.
    pub(crate) fn describe(&self) -> String {
        let one = |value: &Option<RtValue>| value.as_ref().map_or("nothing".to_string(), RtValue::describe);
        let all: Vec<String> = self.values.iter().map(one).collect();
        if all.is_empty() {
            "nothing".to_string()
        } else {
            all.join(", ")
        }
    }
}
