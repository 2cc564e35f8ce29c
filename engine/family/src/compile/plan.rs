//! From a flat family and a config.json to a plan: stacks, layers, head.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_config::family::PartsFile;
use sli_model::{
    Graph, GraphInput, InputKind, ModelPlan, NameRules, Op, Packed, ParamName, Part, Parts, StackPlan, Value,
};

use super::frame::Sight;
use super::stack::sorted_names;
use super::{Builder, Compiler, Frame, FrameId, Path, R, Scope};
use crate::check::Reached;
use crate::expr::{Expr, Node, Parsed};
use crate::flat::{Flat, FlatPacked, Table};
use crate::prune::prune;
use crate::value::Val;

/// Head values that this config has no stack for, with the reason.
type Unavailable = Vec<(String, String)>;

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
    let table = Arc::new(Table {
        label: "match".to_owned(),
        ..Table::default()
    });
    let frame = compiler.add_frame(Frame::new(table, Sight::Config, Path::root(), String::new()));
    compiler.condition(frame, when, &when.root)
}

impl Compiler<'_> {
    fn refusals(&mut self) -> R<()> {
        for refuse in &self.family.refuse {
            let frame = self.plan_frame("refuse");
            if self.condition(frame, &refuse.when, &refuse.when.root)? {
                let label = refuse.when.equation.label("true for this config.json");
                return Err(Box::new(
                    Diagnostic::error(format!("this model is refused: {}", refuse.why)).primary(label),
                ));
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
        // Before the stacks: what they leave behind is what `[head]` sees.
        let names = self.name_rules().map_err(|e| errors.push(*e)).ok();
        for stack in &self.family.stacks {
            match self.stack(stack) {
                Ok(Some(plan)) => stacks.push(plan),
                Ok(None) => {}
                Err(error) => errors.push(*error),
            }
        }
        if stacks.is_empty() && errors.is_empty() {
            errors.push(Diagnostic::error(format!(
                "the family `{}` has no stack for this config.json",
                self.family.id.value
            )));
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
            inputs: self
                .family
                .inputs
                .iter()
                .filter_map(|(name, kind)| Some((name.clone(), input_kind(kind)?)))
                .collect(),
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
                        return Err(self.fail(
                            frame,
                            &parsed,
                            &parsed.root,
                            format!("the value `tied` is true or false, not {shown}"),
                        ));
                    }
                }
            }
            false => match &self.config {
                Val::Map(map) => !matches!(map.get("tie_word_embeddings"), Some(Val::Bool(false))),
                _ => true,
            },
        };
        let (frame, here) = (self.plan_frame("names"), nowhere(&family.file, family.id.span.clone()));
        let ignore = family
            .ignore
            .iter()
            .map(|glob| self.fill(glob, (frame, &here, &here.root)));
        let ignore = ignore.collect::<R<Vec<String>>>()?;
        let packed = family
            .packed
            .iter()
            .map(|(left, entry)| self.packed(left, entry, frame));
        let packed = packed.collect::<R<Vec<Packed>>>()?;
        let name = |text: &String| -> ParamName { Path::root().join(text).param() };
        Ok(NameRules {
            root: family.root.clone(),
            tied: family
                .tied
                .iter()
                .map(|(left, right)| (name(left), name(right)))
                .collect(),
            ties_apply,
            rename: family.rename.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            packed,
            joined: family.joined.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            ignore,
        })
    }

    /// An entry of `names.packed`, its sizes evaluated.
    fn packed(&mut self, written: &str, entry: &FlatPacked, frame: FrameId) -> R<Packed> {
        let stated = &entry.stated;
        let part = match (&stated.part, &entry.sizes) {
            (None, _) => None,
            (Some(part), None) => match part.of {
                PartsFile::Equal(n) => Some((part.index, Parts::Equal(n))),
                PartsFile::Equation(_) => None,
            },
            (Some(part), Some(sizes)) => {
                let value = self.eval(frame, sizes, &sizes.root)?;
                let size = |value: &Val| match value {
                    Val::Int(n) if *n > 0 => Some(*n as u64),
                    _ => None,
                };
                let parts = match &value {
                    Val::List(list) => list.iter().map(size).collect::<Option<_>>().map(Parts::Rows),
                    one => size(one).map(Parts::Equal),
                };
                let count = match &parts {
                    Some(Parts::Rows(rows)) => rows.len() as u64,
                    Some(Parts::Equal(n)) => *n,
                    None => 0,
                };
                let Some(parts) = parts.filter(|_| part.index < count) else {
                    let message = format!(
                        "there is no part {} of {}: parts are a number of equal ones or the list of their sizes, counted from 0",
                        part.index,
                        value.show()
                    );
                    return Err(self.fail(frame, sizes, &sizes.root, message));
                };
                Some((part.index, parts))
            }
        };
        Ok(Packed {
            written: written.to_owned(),
            from: stated.from.clone(),
            part: part.map(|(index, of)| Part { index, of }),
            transposed: stated.transposed,
            interleaved: stated.interleaved,
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

    pub(super) fn enter_scope(&mut self, scope: Scope) {
        self.scope = scope;
        self.layer_values.clear();
        self.frames.clear();
        self.builders.clear();
        self.serial += 1;
        self.builders.push(Builder::new(self.serial, None));
    }

    pub(super) fn finish_graph(&mut self, outputs: Vec<(String, Value)>, points: Vec<sli_model::Point>) -> Graph {
        let mut graph = self.builders.pop().expect("a graph is being built").graph;
        graph.outputs = outputs;
        graph.points = points;
        prune(graph)
    }

    fn head(&mut self) -> Result<(Graph, Unavailable), Vec<Diagnostic>> {
        let (lets, carry) = (self.scope.lets.clone(), self.scope.carry.clone());
        let scope = Scope {
            lets: IndexMap::new(),
            carry: IndexMap::new(),
            ..self.scope.clone()
        };
        self.enter_scope(scope);
        let here = nowhere(&self.family.file, self.family.id.span.clone());
        self.import(&lets, &carry, &here);
        let frame = self.add_frame(Frame::new(
            self.family.head.clone(),
            Sight::Tensors,
            Path::root(),
            "head".to_owned(),
        ));
        let x = self.input(GraphInput::X, (frame, &here, &here.root));
        self.frames[frame.0].args.insert("x".to_owned(), x);
        let (mut outputs, mut unavailable, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for name in sorted_names(&self.family.head.clone()) {
            match self.equation(frame, &name, (frame, &here, &here.root)) {
                Ok(Val::Tensor(_, value)) => outputs.push((name.clone(), value)),
                Ok(_) => {}
                Err(error) if error.message.ends_with(super::lookup::SWITCHED_OFF) => {
                    unavailable.push((name.clone(), error.message))
                }
                Err(error) => errors.push(*error),
            }
        }
        if errors.is_empty() {
            Ok((self.finish_graph(outputs, Vec::new()), unavailable))
        } else {
            Err(errors)
        }
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
        stack
            .enter
            .outputs
            .retain(|(name, _)| !name.starts_with("let.") || used.contains(name));
        stack.enter = prune(std::mem::take(&mut stack.enter));
    }
}

/// A place in a file that is no equation.
pub(super) fn nowhere(file: &Arc<sli_config::SourceFile>, span: sli_config::Span) -> Arc<Parsed> {
    let text = String::new();
    Arc::new(Parsed {
        equation: sli_config::family::Equation {
            text,
            file: file.clone(),
            span,
        },
        root: whole(0),
    })
}

pub(super) fn whole(len: usize) -> Expr {
    Expr {
        node: Node::Null,
        span: (0, len),
    }
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
