//! Whether a model predicts the next token: whether no row sees a later one.

use sli_model::infer::Dim;
use sli_model::{Op, Value};

use super::Model;
use crate::units::Role;

/// Why the last stack is not causal; `None` if it is.
pub(super) fn why_not(model: &Model<'_>) -> Option<String> {
    let last = model.plan.stacks.len().checked_sub(1)?;
    let layers = model
        .units
        .iter()
        .filter(|unit| matches!(unit.role, Role::Layer { stack, .. } if stack == last));
    for unit in layers {
        let set = |value: Option<Value>| match unit.value_type(value?)?.dims()?.first()? {
            Dim::Rows(set) => Some(*set),
            _ => None,
        };
        for node in &unit.graph.nodes {
            let input = |index: usize| node.inputs.get(index).copied().flatten();
            let sees = match &node.op {
                // Between two token sets (cross-attention) there is no later.
                Op::Attend(options) => !options.causal && set(input(0)) == set(input(1)),
                Op::Shift(by) => *by < 0,
                Op::DynamicConv | Op::Fourier | Op::MeanRows => true,
                _ => false,
            };
            if sees {
                let origin = if node.origin.chain.is_empty() {
                    unit.role.name(model.plan)
                } else {
                    node.origin.chain.clone()
                };
                return Some(format!("in `{origin}` a token sees the tokens after it"));
            }
        }
    }
    None
}
