//! Types flow through a plan: enter, layers, last of each stack, then the head, output by output.

use super::resolve::{GraphParams, Resolved, Resolver};
use super::surroundings::{StackTypes, Surroundings};
use super::{BindReport, BoundGraph, BoundParam, BoundStack, HeadStatus, Missing, TensorInfo, shapes};
use crate::infer::{self, Env, Inferred, InputType, SetId, Sets, TypeError, ValueType};
use crate::{Graph, ModelPlan, Op, Origin, StackPlan, Value};
use std::collections::{HashMap, HashSet};

/// The state of a binding under way.
pub(super) struct Binder<'a> {
    plan: &'a ModelPlan,
    tensors: &'a [TensorInfo],
    pub(super) resolver: Resolver<'a>,
    pub(super) report: BindReport,
    sets: Sets,
    finished: Vec<StackTypes>,
    /// Names already reported as missing.
    reported: HashSet<String>,
    /// The stack whose values the next graph sees.
    x: InputType,
    set: SetId,
    lets: HashMap<String, InputType>,
    carries: HashMap<String, InputType>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(plan: &'a ModelPlan, tensors: &'a [TensorInfo]) -> Binder<'a> {
        let resolver = Resolver::new(&plan.names, tensors);
        let report = BindReport {
            root: resolver.root().to_string(),
            ..BindReport::default()
        };
        let names = plan
            .stacks
            .iter()
            .map(|stack| format!("the tokens of `{}`", stack.name))
            .collect();
        Binder {
            plan,
            tensors,
            resolver,
            report,
            sets: Sets::new(names),
            finished: vec![],
            reported: HashSet::new(),
            x: InputType::Missing("there is no `x` before the first stack".to_string()),
            set: SetId(0),
            lets: HashMap::new(),
            carries: HashMap::new(),
        }
    }

    /// Binds stack k; the stacks before it are done.
    pub(super) fn stack(&mut self, k: usize) -> BoundStack {
        let plan = self.plan;
        let stack = &plan.stacks[k];
        let same_field = plan.stacks.iter().position(|other| other.tokens == stack.tokens);
        self.set = SetId(same_field.unwrap_or(k) as u16);
        self.lets.clear();
        self.carries.clear();
        let enter = self.graph(&stack.enter);
        self.take_entered(stack, &enter);
        let layers = stack
            .layers
            .iter()
            .enumerate()
            .map(|(i, layer)| self.layer(stack, i, &layer.graph))
            .collect();
        let last = stack.last.as_ref().map(|graph| self.graph(graph));
        let of_last = match (&stack.last, &last) {
            (Some(graph), Some(bound)) => output(graph, bound, "final"),
            _ => InputType::Missing(format!("stack `{}` has no `final`", stack.name)),
        };
        let stream = self.x.clone();
        let types = StackTypes {
            name: stack.name.clone(),
            layers: stack.layers.len(),
            stream,
            last: of_last,
        };
        self.finished.push(types);
        BoundStack { enter, layers, last }
    }

    /// Takes the stream, `let` and `carry` values from the graph that enters a stack.
    fn take_entered(&mut self, stack: &StackPlan, enter: &BoundGraph) {
        for (name, value) in &stack.enter.outputs {
            let found = value_type(enter, *value);
            if let Some(leaf) = name.strip_prefix("let.") {
                self.lets.insert(leaf.to_string(), found);
            } else if let Some(leaf) = name.strip_prefix("carry.") {
                self.carries.insert(leaf.to_string(), found);
            }
        }
        self.x = output(&stack.enter, enter, "x");
        match &self.x {
            InputType::Known(x) => match x.rows() {
                Some(set) => self.set = set,
                None => {
                    let message = format!(
                        "what enters stack `{}` is {x}: it must have one row per token",
                        stack.name
                    );
                    self.mismatch(message, origin_of(&stack.enter, "x"));
                    self.x = InputType::Unknown;
                }
            },
            InputType::Missing(why) => {
                let message = format!("stack `{}`: {why}", stack.name);
                self.mismatch(message, Origin::default());
                self.x = InputType::Unknown;
            }
            InputType::Unknown => {}
        }
    }

    fn layer(&mut self, stack: &StackPlan, i: usize, graph: &Graph) -> BoundGraph {
        let bound = self.graph(graph);
        match (&self.x, output(graph, &bound, "out")) {
            (InputType::Known(x), InputType::Known(out)) if *x != out => {
                let message = format!(
                    "layer {i} of `{}` gives {out}, but {x} enters it: a layer must keep the stream as it is",
                    stack.name
                );
                self.mismatch(message, origin_of(graph, "out"));
            }
            (_, InputType::Missing(why)) => {
                self.mismatch(format!("layer {i} of `{}`: {why}", stack.name), Origin::default());
            }
            _ => {}
        }
        for (name, value) in &graph.outputs {
            if let Some(leaf) = name.strip_prefix("carry.") {
                self.carries.insert(leaf.to_string(), value_type(&bound, *value));
            }
        }
        bound
    }

    /// Binds a graph whose every parameter must be there.
    fn graph(&mut self, graph: &Graph) -> BoundGraph {
        let found = self.resolver.graph(graph, 1);
        for missing in all_missing(&found) {
            if self.reported.insert(missing.name.clone()) {
                self.report.missing.push(missing.clone());
            }
        }
        let need = vec![true; graph.nodes.len()];
        self.typed(graph, found, &need)
    }

    fn typed(&mut self, graph: &Graph, found: GraphParams, need: &[bool]) -> BoundGraph {
        let params = shapes::param_types(graph, &found, 1, self.tensors, &mut self.report.mismatched);
        let around = Surroundings {
            x: self.x.clone(),
            set: self.set,
            lets: &self.lets,
            carries: &self.carries,
            stacks: &self.finished,
            fields: &self.plan.inputs,
        };
        let mut env = Env {
            inputs: &|input| around.input(input),
            set: self.set,
            sets: &mut self.sets,
        };
        let mut inferred = infer::infer(graph, need, &params, &mut env);
        self.report.mismatched.append(&mut inferred.errors);
        let mut bound = shapes::bound(found);
        give_types(&mut bound, inferred);
        bound
    }

    /// Binds the head: each output on its own, by what this checkpoint and these stacks have.
    pub(super) fn head(&mut self) -> (BoundGraph, Vec<HeadStatus>) {
        let plan = self.plan;
        let graph = &plan.head;
        let mut found = self.resolver.graph(graph, 1);
        let mut need = vec![false; graph.nodes.len()];
        let mut heads = Vec::new();
        for (name, value) in &graph.outputs {
            let mine = graph.needed([*value]);
            let reason = self.obstacle(graph, &mine, &found);
            if let Some(reason) = &reason {
                self.report.unavailable.push((name.clone(), reason.clone()));
            } else {
                need.iter_mut().zip(&mine).for_each(|(all, mine)| *all |= mine);
            }
            heads.push(HeadStatus {
                name: name.clone(),
                value: reason.is_none().then_some(*value),
                reason,
            });
        }
        for (name, reason) in &plan.unavailable {
            self.report.unavailable.push((name.clone(), reason.clone()));
            heads.push(HeadStatus {
                name: name.clone(),
                value: None,
                reason: Some(reason.clone()),
            });
        }
        drop_unneeded(graph, &need, &mut found);
        (self.typed(graph, found, &need), heads)
    }

    /// Why the marked nodes of the head cannot be computed, if so.
    fn obstacle(&self, graph: &Graph, need: &[bool], found: &GraphParams) -> Option<String> {
        let around = Surroundings {
            x: self.x.clone(),
            set: self.set,
            lets: &self.lets,
            carries: &self.carries,
            stacks: &self.finished,
            fields: &self.plan.inputs,
        };
        graph
            .nodes
            .iter()
            .enumerate()
            .filter(|(index, _)| need[*index])
            .find_map(|(index, node)| {
                let missing = match &node.op {
                    Op::Input(input) => match around.input(input) {
                        InputType::Missing(why) => return Some(why),
                        _ => None,
                    },
                    Op::Param(id) => match &found.params[id.0 as usize] {
                        Resolved::Missing(missing, _) => missing.first(),
                        Resolved::Bound(_) | Resolved::Unfit(_) => None,
                    },
                    Op::Experts(_) => {
                        let body = found.experts.iter().find(|body| body.0 == index as u32)?;
                        all_missing(&body.1).first().copied()
                    }
                    _ => None,
                };
                missing.map(|missing| format!("the checkpoint has no tensor `{}`", missing.name))
            })
    }

    fn mismatch(&mut self, message: String, origin: Origin) {
        self.report.mismatched.push(TypeError { message, origin });
    }
}

/// The missing tensors of a graph and of its bodies.
fn all_missing(found: &GraphParams) -> Vec<&Missing> {
    let own = found.params.iter().flat_map(|resolved| match resolved {
        Resolved::Missing(missing, _) => missing.as_slice(),
        Resolved::Bound(_) | Resolved::Unfit(_) => &[],
    });
    own.chain(found.experts.iter().flat_map(|body| all_missing(&body.1)))
        .collect()
}

/// Makes the parameters of a head absent that no available output needs.
fn drop_unneeded(graph: &Graph, need: &[bool], found: &mut GraphParams) {
    let wanted: HashSet<u32> = graph.params_of(need).iter().map(|id| id.0).collect();
    for (index, resolved) in found.params.iter_mut().enumerate() {
        if !wanted.contains(&(index as u32)) {
            *resolved = Resolved::Bound(BoundParam::Absent);
        }
    }
    found.experts.retain(|(node, _)| need[*node as usize]);
}

fn give_types(bound: &mut BoundGraph, inferred: Inferred) {
    bound.types = inferred.types;
    for (node, types) in inferred.experts {
        if let Some((_, body)) = bound.experts.iter_mut().find(|body| body.0 == node) {
            give_types(body, types);
        }
    }
}

fn output(graph: &Graph, bound: &BoundGraph, name: &str) -> InputType {
    match graph.output(name) {
        Some(value) => value_type(bound, value),
        None => InputType::Missing(format!("its graph has no output `{name}`")),
    }
}

fn value_type(bound: &BoundGraph, value: Value) -> InputType {
    let found: Option<&ValueType> = bound.value_type(value);
    found.map_or(InputType::Unknown, |found| InputType::Known(found.clone()))
}

fn origin_of(graph: &Graph, output: &str) -> Origin {
    graph
        .output(output)
        .map(|value| graph.nodes[value.node as usize].origin.clone())
        .unwrap_or_default()
}
