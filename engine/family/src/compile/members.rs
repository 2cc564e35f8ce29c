//! `a.b` and `a[i]`, with what may be missing.

use sli_model::StackValue;

use super::lookup::At;
use super::{Compiler, FrameId, R};
use crate::expr::{Expr, Node, Parsed};
use crate::value::Val;

impl Compiler<'_> {
    /// The value of a path; `None` if a key, element or map on the way is missing.
    pub(crate) fn path_value(&mut self, frame: FrameId, parsed: &Parsed, expr: &Expr) -> R<Option<Val>> {
        match &expr.node {
            Node::Member(base, field) => match self.path_value(frame, parsed, base)? {
                None | Some(Val::Null) => Ok(None),
                Some(base) => self.member(base, field, (frame, parsed, expr)),
            },
            Node::Index(base, index) => match self.path_value(frame, parsed, base)? {
                None | Some(Val::Null) => Ok(None),
                Some(base) => {
                    let index = self.eval(frame, parsed, index)?;
                    self.element(base, &index, (frame, parsed, expr))
                }
            },
            _ => self.eval(frame, parsed, expr).map(Some),
        }
    }

    /// As `path_value`, where something missing is an error.
    pub(super) fn present(&mut self, frame: FrameId, parsed: &Parsed, expr: &Expr) -> R<Val> {
        if let Some(value) = self.path_value(frame, parsed, expr)? {
            return Ok(value);
        }
        let (start, end) = expr.span;
        let text = &parsed.equation.text[start..end];
        let of_config = text.starts_with("config.");
        let message = if of_config {
            format!("config.json has no `{}`", text.trim_start_matches("config."))
        } else {
            format!("`{text}` does not exist")
        };
        let mut error = self.fail(frame, parsed, expr, message);
        if of_config {
            *error = error.help(format!("where the key may be missing, write `get({text}, default)`"));
        }
        Err(error)
    }

    fn member(&mut self, base: Val, field: &str, at: At<'_>) -> R<Option<Val>> {
        match base {
            Val::Map(map) => Ok(map.get(field).cloned()),
            Val::Stack(stack) => match field {
                "final" => Ok(Some(self.stack_value(&stack, StackValue::Final, at))),
                "out" => Ok(Some(self.stack_value(&stack, StackValue::Out, at))),
                "hidden" => Ok(Some(Val::Hidden(stack))),
                _ => Err(self.fail(
                    at.0,
                    at.1,
                    at.2,
                    format!("a stack has `final`, `out` and `hidden[k]`, not `{field}`"),
                )),
            },
            Val::Fields => {
                if !self.family.inputs.contains_key(field) {
                    return Err(self.fail(
                        at.0,
                        at.1,
                        at.2,
                        format!("the family declares no input `{field}` in `[inputs]`"),
                    ));
                }
                Ok(Some(self.input(sli_model::GraphInput::Field(field.to_owned()), at)))
            }
            other => Err(self.fail(at.0, at.1, at.2, format!("{} has no member `{field}`", other.kind()))),
        }
    }

    fn element(&mut self, base: Val, index: &Val, at: At<'_>) -> R<Option<Val>> {
        match (&base, index) {
            (Val::Map(map), Val::Str(key)) => Ok(map.get(&**key).cloned()),
            (Val::List(list), _) if index.integer().is_some() => Ok(index
                .integer()
                .and_then(|i| usize::try_from(i).ok())
                .and_then(|i| list.get(i).cloned())),
            (Val::Str(text), _) if index.integer().is_some() => {
                let found = index
                    .integer()
                    .and_then(|i| usize::try_from(i).ok())
                    .and_then(|i| text.chars().nth(i));
                Ok(found.map(|c| Val::Str(c.to_string().into())))
            }
            (Val::Hidden(stack), _) if index.integer().is_some() => {
                let k = index.integer().and_then(|i| u32::try_from(i).ok());
                let Some(k) = k else {
                    return Err(self.fail(
                        at.0,
                        at.1,
                        at.2,
                        "the index of `hidden` counts from 0, the stack's input",
                    ));
                };
                let stack = stack.clone();
                Ok(Some(self.stack_value(&stack, StackValue::Hidden(k), at)))
            }
            (Val::Tensor(..), _) => {
                Err(self.fail(at.0, at.1, at.2, "a tensor cannot be indexed; a list from `split` can"))
            }
            _ => Err(self.fail(
                at.0,
                at.1,
                at.2,
                format!("{} cannot be indexed with {}", base.kind(), index.show()),
            )),
        }
    }
}
