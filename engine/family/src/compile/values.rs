//! `[values]`: plan values, computed once per plan, or per layer if they mention `i` or `stack`.

use std::sync::Arc;

use super::frame::Sight;
use super::{Compiler, Frame, FrameId, Path, R};
use crate::expr::{Expr, Parsed};
use crate::flat::{FlatValue, Table};
use crate::value::Val;

/// The evaluation looked at the layer or the stack.
pub(super) const LAYER: u8 = 1;
/// The evaluation made a node of the current graph (a score bias).
pub(super) const GRAPH: u8 = 2;

impl Compiler<'_> {
    /// The entry `name` of `[values]`, if there is one. `at` is where it was asked for.
    pub(super) fn value(&mut self, name: &str, at: (FrameId, &Parsed, &Expr)) -> R<Option<Val>> {
        if let Some(value) = self.plan_values.get(name) {
            return Ok(Some(value.clone()));
        }
        if let Some((value, touched)) = self.layer_values.get(name) {
            self.touched |= touched;
            return Ok(Some(value.clone()));
        }
        let family = self.family;
        let value = match family.values.get(name) {
            None => return Ok(None),
            Some(FlatValue::Constant(json, _)) => Val::from_json(json),
            Some(FlatValue::Equation(parsed)) => return self.compute(name, parsed, at).map(Some),
        };
        self.plan_values.insert(name.to_owned(), value.clone());
        Ok(Some(value))
    }

    fn compute(&mut self, name: &str, parsed: &Arc<Parsed>, at: (FrameId, &Parsed, &Expr)) -> R<Val> {
        if let Some(start) = self.pending.iter().position(|p| p == name) {
            let circle = self.pending[start..].join(" -> ");
            return Err(self.fail(
                at.0,
                at.1,
                at.2,
                format!("the values go in a circle: {circle} -> {name}"),
            ));
        }
        self.pending.push(name.to_owned());
        let around = std::mem::take(&mut self.touched);
        let frame = self.plan_frame("values");
        let result = self.eval(frame, parsed, &parsed.root);
        let touched = std::mem::replace(&mut self.touched, around);
        self.touched |= touched;
        self.pending.pop();
        let value = result.map_err(|diagnostic| Box::new(diagnostic.note(format!("in the value `{name}`"))))?;
        match touched {
            0 => drop(self.plan_values.insert(name.to_owned(), value.clone())),
            t if t & GRAPH == 0 => drop(self.layer_values.insert(name.to_owned(), (value.clone(), t))),
            _ => {}
        }
        Ok(value)
    }

    /// A frame that sees plan values only.
    pub(super) fn plan_frame(&mut self, label: &str) -> FrameId {
        let table = Arc::new(Table {
            label: label.to_owned(),
            ..Table::default()
        });
        let chain = match (&self.scope.stack, self.scope.layer) {
            (Some(stack), Some((i, _))) => format!("{stack}.{i}"),
            (Some(stack), None) => stack.to_string(),
            _ => String::new(),
        };
        self.add_frame(Frame::new(table, Sight::Plan, Path::root(), chain))
    }

    pub(super) fn add_frame(&mut self, frame: Frame) -> FrameId {
        self.frames.push(frame);
        FrameId(self.frames.len() - 1)
    }
}
