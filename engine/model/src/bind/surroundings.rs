//! What a graph of a plan can read from outside, and of which type it is.

use crate::infer::{Dim, InputType, SetId, ValueType};
use crate::{GraphInput, InputKind, StackValue};
use std::collections::HashMap;

/// Types of the values of a finished stack.
pub(super) struct StackTypes {
    pub(super) name: String,
    pub(super) layers: usize,
    pub(super) stream: InputType,
    pub(super) last: InputType,
}

/// Everything that a graph may read.
pub(super) struct Surroundings<'a> {
    pub(super) x: InputType,
    pub(super) set: SetId,
    pub(super) lets: &'a HashMap<String, InputType>,
    pub(super) carries: &'a HashMap<String, InputType>,
    pub(super) stacks: &'a [StackTypes],
    pub(super) fields: &'a [(String, InputKind)],
}

impl Surroundings<'_> {
    /// The type of a graph input.
    pub(super) fn input(&self, input: &GraphInput) -> InputType {
        let per_token = vec![Dim::Rows(self.set)];
        match input {
            GraphInput::X => self.x.clone(),
            GraphInput::Tokens | GraphInput::Positions | GraphInput::TokenTypes => {
                InputType::Known(ValueType::int(per_token))
            }
            GraphInput::Field(name) => match self.fields.iter().find(|field| field.0 == *name) {
                Some((_, InputKind::Ids)) => InputType::Known(ValueType::int(per_token)),
                Some((_, InputKind::PerToken)) => InputType::Known(ValueType::float(per_token)),
                Some(_) => InputType::Missing(format!(
                    "`input.{name}` is an image or audio input, which is not supported"
                )),
                None => InputType::Missing(format!("`input.{name}` is not declared in `[inputs]`")),
            },
            GraphInput::Let(name) => leaf(self.lets, name, "let"),
            GraphInput::Carry(name) => leaf(self.carries, name, "carry"),
            GraphInput::Stack { stack, value } => self.stack(stack, *value),
            GraphInput::Pair(_) => InputType::Missing("an index of `pair_bias` is known in its block only".to_string()),
        }
    }

    fn stack(&self, name: &str, value: StackValue) -> InputType {
        let Some(stack) = self.stacks.iter().find(|stack| stack.name == name) else {
            return InputType::Missing(format!("this model has no stack `{name}`, or it runs later"));
        };
        match value {
            StackValue::Final => stack.last.clone(),
            StackValue::Hidden(k) if k as usize > stack.layers => InputType::Missing(format!(
                "`{name}.hidden[{k}]` is beyond the {} layers of the stack",
                stack.layers
            )),
            StackValue::Out | StackValue::Hidden(_) => stack.stream.clone(),
        }
    }
}

fn leaf(leaves: &HashMap<String, InputType>, name: &str, what: &str) -> InputType {
    match leaves.get(name) {
        Some(found) => found.clone(),
        None => InputType::Missing(format!("there is no `{what}` value `{name}` here")),
    }
}
