//! What a unit made, put where the next ones look for it.

use sli_model::StackValue;
use sli_model::infer::{Dim, ValueType};
use sli_torch::RtValue;

use super::engine::{Engine, failed};
use super::micro::Micro;
use crate::demand::is_last_layer;
use crate::error::Result;
use crate::units::Role;

impl Engine<'_> {
    /// Puts what a unit made where the next ones look for it.
    pub(super) fn advance(&mut self, index: usize, micro: &mut Micro, results: Vec<(String, RtValue)>) -> Result<()> {
        let unit = self.inputs.units[index];
        let stack = self.inputs.plan.stacks[unit.role.stack(self.inputs.plan)].name.clone();
        if matches!(unit.role, Role::Enter { .. }) {
            micro.lets.clear();
            micro.carry.clear();
        }
        for (name, value) in results {
            if let Some(leaf) = name.strip_prefix("let.") {
                if self.is_constant(index, &name) {
                    self.shared.insert(leaf.to_owned(), value);
                } else {
                    micro.lets.insert(leaf.to_owned(), value);
                }
            } else if let Some(leaf) = name.strip_prefix("carry.") {
                micro.carry.insert(leaf.to_owned(), value);
            } else if name == "final" {
                micro.keep(&stack, StackValue::Final, &self.kept, &value);
            } else {
                let x = self.narrow(value)?;
                match unit.role {
                    Role::Enter { .. } => micro.keep(&stack, StackValue::Hidden(0), &self.kept, &x),
                    Role::Layer { layer, .. } => {
                        micro.keep(&stack, StackValue::Hidden(layer as u32 + 1), &self.kept, &x)
                    }
                    Role::Last { .. } | Role::Head => {}
                }
                let next_is_layer = self
                    .inputs
                    .units
                    .get(index + 1)
                    .is_some_and(|next| matches!(next.role, Role::Layer { .. }));
                let ends = is_last_layer(self.inputs.units, index)
                    || (matches!(unit.role, Role::Enter { .. }) && !next_is_layer);
                if ends {
                    micro.keep(&stack, StackValue::Out, &self.kept, &x);
                }
                micro.x = Some(x);
            }
        }
        Ok(())
    }

    /// The residual stream in the compute type: a value that met an f32 vector became f32.
    fn narrow(&self, value: RtValue) -> Result<RtValue> {
        match value {
            RtValue::Tensor { tensor, rows } if tensor.dtype().is_float() => {
                let tensor = tensor
                    .cast(self.inputs.compute)
                    .map_err(|error| failed("residual stream", &error))?;
                Ok(RtValue::Tensor { tensor, rows })
            }
            other => Ok(other),
        }
    }

    /// Whether a result is a `let` value that is there already for all micro-batches.
    pub(super) fn is_shared(&self, name: &str) -> bool {
        name.strip_prefix("let.")
            .is_some_and(|leaf| self.shared.contains_key(leaf))
    }

    /// Whether a `let` value is the same whatever the documents are.
    fn is_constant(&self, index: usize, name: &str) -> bool {
        let unit = self.inputs.units[index];
        let Some(value) = unit.graph.output(name) else {
            return false;
        };
        let fixed = match unit.value_type(value) {
            Some(ValueType::Tensor { dims, .. }) => dims.iter().all(|dim| matches!(dim, Dim::Size(_))),
            Some(ValueType::Bias { query, key, .. }) => query.is_none() && key.is_none(),
            Some(ValueType::Scalar) => true,
            None => false,
        };
        fixed && !unit.reads(&[value], |_| true)
    }
}
