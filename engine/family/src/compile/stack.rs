//! One stack: what enters it, its layers, what comes after the last.

use std::sync::Arc;

use indexmap::IndexMap;
use sli_model::{Graph, GraphInput, LayerPlan, StackPlan, Value};

use super::frame::Sight;
use super::lookup::At;
use super::plan::{nowhere, whole};
use super::{Compiler, Frame, Path, R, Scope};
use crate::expr::Parsed;
use crate::flat::{FlatStack, Table};
use crate::value::Val;

/// Most layers a stack may have; far beyond any published model.
const MAX_LAYERS: i64 = 4096;

/// Values by name: `let` or `carry`.
type Values = IndexMap<String, Val>;

impl Compiler<'_> {
    /// The plan of a stack; `None` if it is switched off for this config.
    pub(super) fn stack(&mut self, stack: &FlatStack) -> R<Option<StackPlan>> {
        let name: Arc<str> = stack.name.as_str().into();
        let finished = self.scope.finished.clone();
        let off = self.scope.off.clone();
        let base = Scope {
            stack: Some(name.clone()),
            finished,
            off,
            ..Scope::default()
        };
        self.enter_scope(base.clone());
        if let Some(when) = &stack.when {
            let frame = self.plan_frame("stack");
            if !self.condition(frame, when, &when.root)? {
                self.scope.off.push(name);
                return Ok(None);
            }
        }
        let here = nowhere(&stack.file, stack.span.clone());
        let count = self.stack_count(stack, &here)?;
        self.enter_scope(Scope {
            embed: true,
            ..base.clone()
        });
        let (enter, lets, mut carry) = self.enter(stack, &here)?;
        let mut layers = Vec::new();
        for i in 0..count {
            let scope = Scope {
                layer: Some((i, count)),
                ..base.clone()
            };
            layers.push(self.layer(stack, &here, scope, &lets, &mut carry)?);
        }
        let last = match &stack.last {
            None => None,
            Some(parsed) => {
                self.enter_scope(base.clone());
                self.import(&lets, &carry, &here);
                Some(self.single("final", parsed)?)
            }
        };
        self.scope = base;
        self.scope.lets = lets;
        self.scope.carry = carry;
        self.scope.finished.push(name);
        let tokens = stack.tokens.clone().unwrap_or_else(|| "input_ids".to_owned());
        Ok(Some(StackPlan {
            name: stack.name.clone(),
            tokens,
            enter,
            layers,
            last,
        }))
    }

    fn stack_count(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<i64> {
        let frame = self.plan_frame("stack");
        let Some(count) = &stack.count else {
            return Err(self.fail(
                frame,
                here,
                &here.root,
                format!("the stack `{}` has no `count`", stack.name),
            ));
        };
        let value = self.eval(frame, count, &count.root)?;
        match value.integer() {
            Some(n) if (0..=MAX_LAYERS).contains(&n) => Ok(n),
            _ => Err(self.fail(
                frame,
                count,
                &count.root,
                format!("the number of layers must be 0 to {MAX_LAYERS}, not {}", value.show()),
            )),
        }
    }

    /// The graph before layer 0, and the structure of the `let` and `carry` values.
    fn enter(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<(Graph, Values, Values)> {
        let first = self.scope.finished.is_empty();
        let chain = stack.name.clone();
        let lets = self.add_frame(Frame::new(
            stack.lets.clone(),
            Sight::Tensors,
            Path::root(),
            format!("{chain} let"),
        ));
        let x = match &stack.input {
            Some(input) => {
                let table = Arc::new(Table {
                    label: "stack".to_owned(),
                    ..Table::default()
                });
                let frame = self.add_frame(Frame::new(table, Sight::Tensors, Path::root(), chain.clone()));
                if !first {
                    let x = self.input(GraphInput::X, (frame, input, &input.root));
                    self.frames[frame.0].args.insert("x".to_owned(), x);
                }
                self.eval(frame, input, &input.root)?
            }
            None => {
                let frame = self.embed_frame();
                self.out(frame, (lets, here, &here.root))?
            }
        };
        let Val::Tensor(_, x_value) = x else {
            return Err(self.fail(
                lets,
                here,
                &here.root,
                format!("what enters the stack `{chain}` is a tensor, not {}", x.show()),
            ));
        };
        let mut outputs = vec![("x".to_owned(), x_value)];
        self.frames[lets.0].args.insert("x".to_owned(), x.clone());
        self.scope.let_frame = Some(lets);
        let mut let_values = IndexMap::new();
        for name in sorted_names(&stack.lets) {
            let value = self.equation(lets, &name, (lets, here, &here.root))?;
            leaves(&value, &format!("let.{name}"), &mut outputs);
            let_values.insert(name.clone(), value);
        }
        let frame = self.add_frame(Frame::new(
            stack.carry.clone(),
            Sight::Tensors,
            Path::root(),
            format!("{chain} carry"),
        ));
        self.frames[frame.0].args.insert("x".to_owned(), x);
        let mut carry = IndexMap::new();
        for name in sorted_names(&stack.carry) {
            let value = self.equation(frame, &name, (frame, here, &here.root))?;
            leaves(&value, &format!("carry.{name}"), &mut outputs);
            carry.insert(name.clone(), value);
        }
        Ok((self.finish_graph(outputs, Vec::new()), let_values, carry))
    }

    fn layer(
        &mut self,
        stack: &FlatStack,
        here: &Arc<Parsed>,
        scope: Scope,
        lets: &Values,
        carry: &mut Values,
    ) -> R<LayerPlan> {
        let i = scope.layer.map_or(0, |l| l.0);
        self.enter_scope(scope);
        let class = self.layer_class(stack, here)?;
        let Some(table) = self.family.layers.get(&class).cloned() else {
            let frame = self.plan_frame("stack");
            let known: Vec<&str> = self.family.layers.keys().map(String::as_str).collect();
            let message = format!("there is no [layer.{class}]; the family has `{}`", known.join("`, `"));
            return Err(self.fail(frame, here, &here.root, message));
        };
        let path = self.layer_path(stack, here)?;
        self.import(lets, carry, here);
        let frame = self.add_frame(Frame::new(
            table.clone(),
            Sight::Tensors,
            path,
            format!("{}.{i}", stack.name),
        ));
        let at: At<'_> = (frame, here, &here.root);
        let x = self.input(GraphInput::X, at);
        self.frames[frame.0].args.insert("x".to_owned(), x);
        let out = self.out(frame, at)?;
        let Val::Tensor(_, value) = out else {
            return Err(self.fail(
                frame,
                here,
                &here.root,
                format!("`out` of [layer.{class}] is a tensor, not {}", out.show()),
            ));
        };
        let mut outputs = vec![("out".to_owned(), value)];
        let names: Vec<String> = carry.keys().cloned().collect();
        for name in names {
            if table.equations.contains_key(&name) {
                let value = self.equation(frame, &name, at)?;
                leaves(&value, &format!("carry.{name}"), &mut outputs);
                carry.insert(name, value);
            }
        }
        let points = self.points(frame);
        Ok(LayerPlan {
            class,
            graph: self.finish_graph(outputs, points),
        })
    }

    fn layer_class(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<String> {
        let frame = self.plan_frame("stack");
        for case in &stack.layer {
            let holds = match &case.when {
                None => true,
                Some(when) => self.condition(frame, when, &when.root)?,
            };
            if holds {
                return Ok(case.class.value.clone());
            }
        }
        let i = self.scope.layer.map_or(0, |l| l.0);
        Err(self.fail(
            frame,
            here,
            &here.root,
            format!("no class of the stack `{}` holds for layer {i}", stack.name),
        ))
    }

    fn layer_path(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<Path> {
        let frame = self.plan_frame("stack");
        let Some(prefix) = &stack.prefix else {
            return Err(self.fail(
                frame,
                here,
                &here.root,
                format!("the stack `{}` has no `prefix`", stack.name),
            ));
        };
        let parsed = Parsed {
            equation: prefix.clone(),
            root: whole(prefix.text.len()),
        };
        let filled = self.fill(&prefix.text, (frame, &parsed, &parsed.root))?;
        Ok(Path::root().join(&filled))
    }

    /// Makes `let` and `carry` values inputs of the current graph.
    pub(super) fn import(&mut self, lets: &Values, carry: &Values, here: &Arc<Parsed>) {
        let frame = self.plan_frame("stack");
        let at: At<'_> = (frame, here, &here.root);
        let lets = lets
            .iter()
            .map(|(name, value)| (name.clone(), self.imported(value, name, &GraphInput::Let, at)))
            .collect();
        let carry = carry
            .iter()
            .map(|(name, value)| (name.clone(), self.imported(value, name, &GraphInput::Carry, at)))
            .collect();
        self.scope.lets = lets;
        self.scope.carry = carry;
    }

    fn imported(&mut self, value: &Val, path: &str, kind: &dyn Fn(String) -> GraphInput, at: At<'_>) -> Val {
        match value {
            Val::Tensor(..) => self.input(kind(path.to_owned()), at),
            Val::Bias(..) => match self.input(kind(path.to_owned()), at) {
                Val::Tensor(serial, value) => Val::Bias(serial, value),
                other => other,
            },
            Val::List(list) => {
                let items = list
                    .iter()
                    .enumerate()
                    .map(|(k, v)| self.imported(v, &format!("{path}.{k}"), kind, at));
                Val::List(Arc::new(items.collect()))
            }
            Val::Map(map) => {
                let items = map
                    .iter()
                    .map(|(k, v)| (k.clone(), self.imported(v, &format!("{path}.{k}"), kind, at)));
                Val::Map(Arc::new(items.collect()))
            }
            plain => plain.clone(),
        }
    }

    /// A graph of one equation with `x`, as `final`.
    fn single(&mut self, name: &str, parsed: &Arc<Parsed>) -> R<Graph> {
        let table = Arc::new(Table {
            label: "stack".to_owned(),
            ..Table::default()
        });
        let stack = self.scope.stack.clone().unwrap_or_default();
        let frame = self.add_frame(Frame::new(
            table,
            Sight::Tensors,
            Path::root(),
            format!("{stack}.{name}"),
        ));
        let x = self.input(GraphInput::X, (frame, parsed, &parsed.root));
        self.frames[frame.0].args.insert("x".to_owned(), x);
        match self.eval(frame, parsed, &parsed.root)? {
            Val::Tensor(_, value) => Ok(self.finish_graph(vec![(name.to_owned(), value)], Vec::new())),
            other => Err(self.fail(
                frame,
                parsed,
                &parsed.root,
                format!("`{name}` is a tensor, not {}", other.show()),
            )),
        }
    }
}

/// The equations of a table in an order that does not depend on the file.
pub(super) fn sorted_names(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = table.equations.keys().cloned().collect();
    names.sort();
    names
}

/// The tensors and biases in a value, by path.
fn leaves(value: &Val, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        Val::Tensor(_, value) | Val::Bias(_, value) => out.push((path.to_owned(), *value)),
        Val::List(list) => list
            .iter()
            .enumerate()
            .for_each(|(k, v)| leaves(v, &format!("{path}.{k}"), out)),
        Val::Map(map) => map.iter().for_each(|(k, v)| leaves(v, &format!("{path}.{k}"), out)),
        _ => {}
    }
}
