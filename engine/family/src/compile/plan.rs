//! From a flat family and a config.json to a plan: stacks, layers, head.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_model::{Graph, GraphInput, InputKind, LayerPlan, ModelPlan, NameRules, Op, ParamName, StackPlan, Value};

use super::frame::Sight;
use super::lookup::At;
use super::{Builder, Compiler, Frame, FrameId, Path, R, Scope};
use crate::check::Reached;
use crate::expr::{Expr, Node, Parsed};
use crate::flat::{Flat, FlatStack, Table};
use crate::prune::prune;
use crate::value::Val;

/// Most layers a stack may have; far beyond any published model.
const MAX_LAYERS: i64 = 4096;

/// Compiles the plan of a family for one config.json.
///
/// # Errors
/// Everything that is wrong with this family and this config together.
pub(crate) fn compile(family: &Flat, reached: &Reached, config: &Json) -> Result<ModelPlan, Vec<Diagnostic>> {
    let mut compiler = Compiler::new(family, &with_defaults(family, config));
    compiler.reached = Some(reached);
    compiler.refusals().map_err(|e| vec![*e])?;
    compiler.plan()
}

fn with_defaults(family: &Flat, config: &Json) -> Json {
    let mut config = config.clone();
    if let Some(map) = config.as_object_mut() {
        for (key, value) in &family.defaults {
            map.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    config
}

/// Evaluates the `when` of a `[match]` table, which sees `config` only.
pub(crate) fn match_condition(family: &Flat, config: &Json, when: &Parsed) -> R<bool> {
    let mut compiler = Compiler::new(family, config);
    let table = Arc::new(Table { label: "match".to_owned(), ..Table::default() });
    let frame = compiler.add_frame(Frame::new(table, Sight::Config, Path::root(), String::new()));
    compiler.condition(frame, when, &when.root)
}

impl Compiler<'_> {
    fn refusals(&mut self) -> R<()> {
        for refuse in &self.family.refuse {
            let frame = self.plan_frame("refuse");
            if self.condition(frame, &refuse.when, &refuse.when.root)? {
                let label = refuse.when.equation.label("true for this config.json");
                return Err(Box::new(Diagnostic::error(format!("this model is refused: {}", refuse.why)).primary(label)));
            }
        }
        if let Some((name, file, span)) = self.family.parts.first() {
            let message = format!("the part `{name}`: models of several parts come with a later release");
            return Err(Box::new(Diagnostic::error(message).at(file, span.clone(), "")));
        }
        Ok(())
    }

    fn plan(&mut self) -> Result<ModelPlan, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let mut stacks = Vec::new();
        for stack in &self.family.stacks {
            match self.stack(stack) {
                Ok(Some(plan)) => stacks.push(plan),
                Ok(None) => {}
                Err(error) => errors.push(*error),
            }
        }
        let names = self.name_rules().map_err(|e| errors.push(*e)).ok();
        if stacks.is_empty() && errors.is_empty() {
            errors.push(Diagnostic::error(format!("the family `{}` has no stack for this config.json", self.family.id.value)));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let (head, unavailable) = self.head()?;
        drop_unused_lets(&mut stacks, &head);
        Ok(ModelPlan {
            family: self.family.id.value.clone(),
            names: names.expect("no errors"),
            stacks,
            head,
            unavailable,
            inputs: self.family.inputs.iter().filter_map(|(name, kind)| Some((name.clone(), input_kind(kind)?))).collect(),
        })
    }

    fn name_rules(&mut self) -> R<NameRules> {
        let family = self.family;
        self.enter_scope(Scope::default());
        let ties_apply = match family.values.contains_key("tied") {
            true => {
                let (frame, parsed) = self.asking("tied");
                let value = self.value("tied", (frame, &parsed, &parsed.root))?;
                match value {
                    Some(Val::Bool(b)) => b,
                    other => {
                        let shown = other.map_or("nothing".to_owned(), |v| v.show());
                        return Err(self.fail(frame, &parsed, &parsed.root, format!("the value `tied` is true or false, not {shown}")));
                    }
                }
            }
            false => match &self.config {
                Val::Map(map) => !matches!(map.get("tie_word_embeddings"), Some(Val::Bool(false))),
                _ => true,
            },
        };
        let name = |text: &String| -> ParamName { Path::root().join(text).param() };
        Ok(NameRules {
            root: family.root.clone(),
            tied: family.tied.iter().map(|(left, right)| (name(left), name(right))).collect(),
            ties_apply,
            rename: family.rename.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            ignore: family.ignore.clone(),
        })
    }

    /// A frame and a place for a value that the engine itself asks for.
    fn asking(&mut self, value: &str) -> (FrameId, Arc<Parsed>) {
        let frame = self.plan_frame("values");
        let parsed = match self.family.values.get(value) {
            Some(crate::flat::FlatValue::Equation(parsed)) => parsed.clone(),
            _ => nowhere(&self.family.file, self.family.id.span.clone()),
        };
        (frame, parsed)
    }

    fn enter_scope(&mut self, scope: Scope) {
        self.scope = scope;
        self.layer_values.clear();
        self.frames.clear();
        self.builders.clear();
        self.serial += 1;
        self.builders.push(Builder::new(self.serial, None));
    }

    fn finish_graph(&mut self, outputs: Vec<(String, Value)>, points: Vec<sli_model::Point>) -> Graph {
        let mut graph = self.builders.pop().expect("a graph is being built").graph;
        graph.outputs = outputs;
        graph.points = points;
        prune(graph)
    }

    fn stack(&mut self, stack: &FlatStack) -> R<Option<StackPlan>> {
        let name: Arc<str> = stack.name.as_str().into();
        let finished = self.scope.finished.clone();
        let off = self.scope.off.clone();
        let base = Scope { stack: Some(name.clone()), finished, off, ..Scope::default() };
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
        self.enter_scope(Scope { embed: true, ..base.clone() });
        let (enter, lets, mut carry) = self.enter(stack, &here)?;
        let mut layers = Vec::new();
        for i in 0..count {
            let scope = Scope { layer: Some((i, count)), ..base.clone() };
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
        Ok(Some(StackPlan { name: stack.name.clone(), tokens, enter, layers, last }))
    }

    fn stack_count(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<i64> {
        let frame = self.plan_frame("stack");
        let Some(count) = &stack.count else {
            return Err(self.fail(frame, here, &here.root, format!("the stack `{}` has no `count`", stack.name)));
        };
        let value = self.eval(frame, count, &count.root)?;
        match value.integer() {
            Some(n) if (0..=MAX_LAYERS).contains(&n) => Ok(n),
            _ => Err(self.fail(frame, count, &count.root, format!("the number of layers must be 0 to {MAX_LAYERS}, not {}", value.show()))),
        }
    }

    /// The graph before layer 0, and the structure of the `let` and `carry` values.
    fn enter(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<(Graph, IndexMap<String, Val>, IndexMap<String, Val>)> {
        let first = self.scope.finished.is_empty();
        let chain = stack.name.clone();
        let lets = self.add_frame(Frame::new(stack.lets.clone(), Sight::Tensors, Path::root(), format!("{chain} let")));
        let x = match &stack.input {
            Some(input) => {
                let table = Arc::new(Table { label: "stack".to_owned(), ..Table::default() });
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
            return Err(self.fail(lets, here, &here.root, format!("what enters the stack `{chain}` is a tensor, not {}", x.show())));
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
        let frame = self.add_frame(Frame::new(stack.carry.clone(), Sight::Tensors, Path::root(), format!("{chain} carry")));
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
        lets: &IndexMap<String, Val>,
        carry: &mut IndexMap<String, Val>,
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
        let frame = self.add_frame(Frame::new(table.clone(), Sight::Tensors, path, format!("{}.{i}", stack.name)));
        let at: At<'_> = (frame, here, &here.root);
        let x = self.input(GraphInput::X, at);
        self.frames[frame.0].args.insert("x".to_owned(), x);
        let out = self.out(frame, at)?;
        let Val::Tensor(_, value) = out else {
            return Err(self.fail(frame, here, &here.root, format!("`out` of [layer.{class}] is a tensor, not {}", out.show())));
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
        Ok(LayerPlan { class, graph: self.finish_graph(outputs, points) })
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
        Err(self.fail(frame, here, &here.root, format!("no class of the stack `{}` holds for layer {i}", stack.name)))
    }

    fn layer_path(&mut self, stack: &FlatStack, here: &Arc<Parsed>) -> R<Path> {
        let frame = self.plan_frame("stack");
        let Some(prefix) = &stack.prefix else {
            return Err(self.fail(frame, here, &here.root, format!("the stack `{}` has no `prefix`", stack.name)));
        };
        let parsed = Parsed { equation: prefix.clone(), root: whole(prefix.text.len()) };
        let filled = self.fill(&prefix.text, (frame, &parsed, &parsed.root))?;
        Ok(Path::root().join(&filled))
    }

    /// Makes `let` and `carry` values inputs of the current graph.
    fn import(&mut self, lets: &IndexMap<String, Val>, carry: &IndexMap<String, Val>, here: &Arc<Parsed>) {
        let frame = self.plan_frame("stack");
        let at: At<'_> = (frame, here, &here.root);
        let lets = lets.iter().map(|(name, value)| (name.clone(), self.imported(value, name, &GraphInput::Let, at))).collect();
        let carry = carry.iter().map(|(name, value)| (name.clone(), self.imported(value, name, &GraphInput::Carry, at))).collect();
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
                let items = list.iter().enumerate().map(|(k, v)| self.imported(v, &format!("{path}.{k}"), kind, at));
                Val::List(Arc::new(items.collect()))
            }
            Val::Map(map) => {
                let items = map.iter().map(|(k, v)| (k.clone(), self.imported(v, &format!("{path}.{k}"), kind, at)));
                Val::Map(Arc::new(items.collect()))
            }
            plain => plain.clone(),
        }
    }

    /// A graph of one equation with `x`, as `final`.
    fn single(&mut self, name: &str, parsed: &Arc<Parsed>) -> R<Graph> {
        let table = Arc::new(Table { label: "stack".to_owned(), ..Table::default() });
        let stack = self.scope.stack.clone().unwrap_or_default();
        let frame = self.add_frame(Frame::new(table, Sight::Tensors, Path::root(), format!("{stack}.{name}")));
        let x = self.input(GraphInput::X, (frame, parsed, &parsed.root));
        self.frames[frame.0].args.insert("x".to_owned(), x);
        match self.eval(frame, parsed, &parsed.root)? {
            Val::Tensor(_, value) => Ok(self.finish_graph(vec![(name.to_owned(), value)], Vec::new())),
            other => Err(self.fail(frame, parsed, &parsed.root, format!("`{name}` is a tensor, not {}", other.show()))),
        }
    }

    fn head(&mut self) -> Result<(Graph, Vec<(String, String)>), Vec<Diagnostic>> {
        let (lets, carry) = (self.scope.lets.clone(), self.scope.carry.clone());
        let scope = Scope { lets: IndexMap::new(), carry: IndexMap::new(), ..self.scope.clone() };
        self.enter_scope(scope);
        let here = nowhere(&self.family.file, self.family.id.span.clone());
        self.import(&lets, &carry, &here);
        let frame = self.add_frame(Frame::new(self.family.head.clone(), Sight::Tensors, Path::root(), "head".to_owned()));
        let x = self.input(GraphInput::X, (frame, &here, &here.root));
        self.frames[frame.0].args.insert("x".to_owned(), x);
        let (mut outputs, mut unavailable, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for name in sorted_names(&self.family.head.clone()) {
            match self.equation(frame, &name, (frame, &here, &here.root)) {
                Ok(Val::Tensor(_, value)) => outputs.push((name.clone(), value)),
                Ok(_) => {}
                Err(error) if error.message.ends_with(super::lookup::SWITCHED_OFF) => unavailable.push((name.clone(), error.message)),
                Err(error) => errors.push(*error),
            }
        }
        if errors.is_empty() { Ok((self.finish_graph(outputs, Vec::new()), unavailable)) } else { Err(errors) }
    }
}

/// The equations of a table in an order that does not depend on the file.
fn sorted_names(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = table.equations.keys().cloned().collect();
    names.sort();
    names
}

/// The tensors and biases in a value, by path.
fn leaves(value: &Val, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        Val::Tensor(_, value) | Val::Bias(_, value) => out.push((path.to_owned(), *value)),
        Val::List(list) => list.iter().enumerate().for_each(|(k, v)| leaves(v, &format!("{path}.{k}"), out)),
        Val::Map(map) => map.iter().for_each(|(k, v)| leaves(v, &format!("{path}.{k}"), out)),
        _ => {}
    }
}

/// `let` values that no layer, `final` or head reads need not be computed nor bound.
fn drop_unused_lets(stacks: &mut [StackPlan], head: &Graph) {
    let count = stacks.len();
    for (k, stack) in stacks.iter_mut().enumerate() {
        let graphs = stack.layers.iter().map(|l| &l.graph).chain(&stack.last);
        let graphs = graphs.chain((k + 1 == count).then_some(head));
        let used: HashSet<String> = graphs
            .flat_map(|graph| &graph.nodes)
            .filter_map(|node| match &node.op {
                Op::Input(GraphInput::Let(path)) => Some(format!("let.{path}")),
                _ => None,
            })
            .collect();
        stack.enter.outputs.retain(|(name, _)| !name.starts_with("let.") || used.contains(name));
        stack.enter = prune(std::mem::take(&mut stack.enter));
    }
}

/// A place in a file that is no equation.
fn nowhere(file: &Arc<sli_config::SourceFile>, span: sli_config::Span) -> Arc<Parsed> {
    let text = String::new();
    Arc::new(Parsed { equation: sli_config::family::Equation { text, file: file.clone(), span }, root: whole(0) })
}

fn whole(len: usize) -> Expr {
    Expr { node: Node::Null, span: (0, len) }
}

fn input_kind(kind: &str) -> Option<InputKind> {
    Some(match kind {
        "images" => InputKind::Images,
        "frames" => InputKind::Frames,
        "samples" => InputKind::Samples,
        "rows" => InputKind::Rows,
        "grid" => InputKind::Grid,
        "ids" => InputKind::Ids,
        "per_token" => InputKind::PerToken,
        _ => return None,
    })
}
