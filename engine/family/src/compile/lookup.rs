//! What a name means (the resolution order of section 4 of the language).

use std::sync::Arc;

use sli_config::suggest;
use sli_model::{GraphInput, Op, StackValue};

use super::frame::Sight;
use super::values::LAYER;
use super::{Compiler, Frame, FrameId, Path, R};
use crate::expr::{Expr, Parsed};
use crate::value::Val;

/// How the message about a stack that does not exist ends.
pub(super) const SWITCHED_OFF: &str = "is switched off for this model";

/// Where a name was asked for.
pub(super) type At<'p> = (FrameId, &'p Parsed, &'p Expr);

impl Compiler<'_> {
    /// The value of a name; an error if nothing has it.
    pub(super) fn name(&mut self, name: &str, at: At<'_>) -> R<Val> {
        if let Some(value) = self.find(name, at)? {
            return Ok(value);
        }
        let near = suggest(name, self.visible(at.0).iter().map(String::as_str)).map(str::to_owned);
        let mut error = self.fail(at.0, at.1, at.2, self.unknown(name, at.0));
        if let Some(near) = near {
            *error = error.help(format!("did you mean `{near}`?"));
        }
        Err(error)
    }

    fn unknown(&self, name: &str, frame: FrameId) -> String {
        if self.scope.off.iter().any(|s| &**s == name) {
            return format!("the stack `{name}` {SWITCHED_OFF}");
        }
        match (name, self.frames[frame.0].sight) {
            ("i", _) => "`i` has no value here: it is the index of a layer".to_owned(),
            ("tokens" | "positions" | "token_type_ids" | "x", Sight::Plan) => {
                format!("`{name}` is a tensor; plan values cannot use it")
            }
            (_, Sight::Config) => {
                format!("nothing here is called `{name}`: the `when` of `[match]` sees `config` only")
            }
            _ => format!("nothing is called `{name}`"),
        }
    }

    fn find(&mut self, name: &str, at: At<'_>) -> R<Option<Val>> {
        let sight = self.frames[at.0.0].sight;
        if sight == Sight::Tensors {
            if self.frames[at.0.0].table.equations.contains_key(name) {
                return self.equation(at.0, name, at).map(Some);
            }
            if let Some(value) = self.argument(name, at.0)? {
                return Ok(Some(value));
            }
        }
        if sight != Sight::Config
            && let Some(value) = self.surroundings(name)
        {
            return Ok(Some(value));
        }
        if sight == Sight::Tensors
            && let Some(value) = self.beyond(name, at)?
        {
            return Ok(Some(value));
        }
        if sight != Sight::Config
            && let Some(value) = self.family_value(name, at)?
        {
            return Ok(Some(value));
        }
        match (name, sight) {
            ("config", _) => Ok(Some(self.config.clone())),
            ("tokens", Sight::Tensors) => Ok(Some(self.input(GraphInput::Tokens, at))),
            ("positions", Sight::Tensors) => Ok(Some(self.input(GraphInput::Positions, at))),
            ("token_type_ids", Sight::Tensors) => Ok(Some(self.input(GraphInput::TokenTypes, at))),
            ("input", Sight::Tensors) => Ok(Some(Val::Fields)),
            _ => Ok(None),
        }
    }

    /// An argument of the frame's table: given, or its default, evaluated in the block. In its own
    /// default the name means the outer one.
    fn argument(&mut self, name: &str, frame: FrameId) -> R<Option<Val>> {
        if let Some(value) = self.frames[frame.0].args.get(name) {
            return Ok(Some(value.clone()));
        }
        let Some(block) = &self.frames[frame.0].block else {
            return Ok(None);
        };
        let Some(default) = block.args.equations.get(name).cloned() else {
            return Ok(None);
        };
        let key = format!("argument {name}");
        if self.frames[frame.0].pending.contains(&key) {
            return Ok(None);
        }
        self.frames[frame.0].pending.push(key);
        let value = self.eval(frame, &default, &default.root);
        self.frames[frame.0].pending.pop();
        let value = value?;
        self.frames[frame.0].args.insert(name.to_owned(), value.clone());
        Ok(Some(value))
    }

    /// `i`, `count`, `carry`, `stack`.
    fn surroundings(&mut self, name: &str) -> Option<Val> {
        let value = match name {
            "i" => Val::Int(self.scope.layer?.0),
            "count" => Val::Int(self.scope.layer?.1),
            "stack" => Val::Str(self.scope.stack.clone()?),
            "carry" if !self.scope.carry.is_empty() => Val::Map(Arc::new(self.scope.carry.clone())),
            _ => return None,
        };
        self.touched |= LAYER;
        Some(value)
    }

    /// `let` values, finished stacks, the equations of `[embed]`.
    fn beyond(&mut self, name: &str, at: At<'_>) -> R<Option<Val>> {
        if let Some(value) = self.scope.lets.get(name) {
            return Ok(Some(value.clone()));
        }
        if let Some(frame) = self.scope.let_frame.filter(|f| *f != at.0)
            && self.frames[frame.0].table.equations.contains_key(name)
        {
            return self.equation(frame, name, at).map(Some);
        }
        if let Some(stack) = self.scope.finished.iter().find(|s| &***s == name) {
            return Ok(Some(Val::Stack(stack.clone())));
        }
        if self.scope.embed && self.family.embed.equations.contains_key(name) && name != "out" {
            let frame = self.embed_frame();
            if frame != at.0 {
                return self.equation(frame, name, at).map(Some);
            }
        }
        Ok(None)
    }

    /// `[args]` and `[values]`.
    fn family_value(&mut self, name: &str, at: At<'_>) -> R<Option<Val>> {
        let family = self.family;
        if let Some(default) = family.args.equations.get(name) {
            let frame = self.plan_frame("args");
            return self.eval(frame, default, &default.root).map(Some);
        }
        self.value(name, at)
    }

    /// The frame of `[embed]` in the current graph.
    pub(super) fn embed_frame(&mut self) -> FrameId {
        if let Some(frame) = self.scope.embed_frame {
            return frame;
        }
        let frame = self.add_frame(Frame::new(
            self.family.embed.clone(),
            Sight::Tensors,
            Path::root(),
            "embed".to_owned(),
        ));
        self.scope.embed_frame = Some(frame);
        frame
    }

    /// A value from outside the graph.
    pub(super) fn input(&mut self, input: GraphInput, at: At<'_>) -> Val {
        let origin = self.origin(at.0, at.1, at.2);
        let builder = self.builder();
        Val::Tensor(builder.serial, builder.push(Op::Input(input), Vec::new(), origin))
    }

    /// `encoder.final`, `encoder.out`.
    pub(super) fn stack_value(&mut self, stack: &str, value: StackValue, at: At<'_>) -> Val {
        self.input(
            GraphInput::Stack {
                stack: stack.to_owned(),
                value,
            },
            at,
        )
    }

    /// The value of an equation of a frame's table, evaluated once.
    pub(super) fn equation(&mut self, frame: FrameId, name: &str, at: At<'_>) -> R<Val> {
        if let Some(value) = self.frames[frame.0].memo.get(name) {
            return Ok(value.clone());
        }
        let state = &mut self.frames[frame.0];
        let parsed = state.table.equations[name].clone();
        if let Some(start) = state.pending.iter().position(|p| p == name) {
            let circle = state.pending[start..].join(" -> ");
            return Err(self.fail(
                at.0,
                at.1,
                at.2,
                format!("the equations go in a circle: {circle} -> {name}"),
            ));
        }
        state.pending.push(name.to_owned());
        let result = self.eval(frame, &parsed, &parsed.root);
        let state = &mut self.frames[frame.0];
        state.pending.pop();
        let value = result?;
        state.memo.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// Names that could have been meant.
    fn visible(&self, frame: FrameId) -> Vec<String> {
        let state = &self.frames[frame.0];
        let mut names: Vec<String> = state.table.equations.keys().cloned().collect();
        names.extend(state.args.keys().cloned());
        names.extend(state.block.iter().flat_map(|b| b.args.equations.keys().cloned()));
        names.extend(self.scope.lets.keys().cloned());
        names.extend(self.family.values.keys().cloned());
        names.extend(["config", "tokens", "positions"].map(str::to_owned));
        names
    }
}
