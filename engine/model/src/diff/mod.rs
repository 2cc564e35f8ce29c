//! In which two plans differ, in words: what another edit of a descriptor has changed.
//!
//! Graphs are compared in canonical form, so that another order of equations is no difference. Layers that change alike
//! are named together: `decoder.0-31`.

mod bound;
mod display;
mod graphs;
mod group;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bind::Binding;
use crate::{Base, Graph, ModelPlan, Op, Param, ParamForm};
use group::{Names, ranges};

/// In which two plans differ. All texts are for people; names of layers that are alike hold `*` for their number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// The family, if it is another one: before, after.
    pub family: Option<(String, String)>,
    /// Stacks and layers that came or went, and what changed in the others.
    pub parts: Vec<PartDiff>,
    /// Named values that came or went.
    pub points: SetDiff,
    /// Tensors that are read or are no longer read.
    pub tensors: SetDiff,
    /// How names meet those of a checkpoint, head values that are unavailable, declared inputs.
    pub rules: Vec<String>,
    /// Named values of another shape, and parameters that come from another stored tensor; only of bound plans.
    pub bound: Vec<String>,
}

/// What changed in parts of a model that changed alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartDiff {
    /// The parts: `decoder.0-31`, `decoder (entering)`, `head`.
    pub part: String,
    /// What changed, one thing a text: `rms_norm: eps 1e-6 -> 1e-5`.
    pub changes: Vec<String>,
}

/// What came and what went of a set of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SetDiff {
    /// What is there now and was not before.
    pub added: Vec<String>,
    /// What was there before.
    pub removed: Vec<String>,
}

impl PlanDiff {
    /// Whether the plans say the same.
    pub fn is_empty(&self) -> bool {
        *self == PlanDiff::default()
    }
}

/// In which `new` differs from `old`.
pub fn plan_diff(old: &ModelPlan, new: &ModelPlan) -> PlanDiff {
    PlanDiff {
        family: (old.family != new.family).then(|| (old.family.clone(), new.family.clone())),
        parts: parts(old, new),
        points: names_diff(points(old), points(new)),
        tensors: names_diff(tensors(old), tensors(new)),
        rules: rules(old, new),
        bound: Vec::new(),
    }
}

/// The same of plans that are bound: shapes of named values and where parameters come from, too. `name` is the name of
/// a stored tensor.
pub fn bound_diff(old: (&ModelPlan, &Binding), new: (&ModelPlan, &Binding), name: &dyn Fn(u32) -> String) -> PlanDiff {
    PlanDiff {
        bound: bound::diff(old, new, name),
        ..plan_diff(old.0, new.0)
    }
}

/// Every graph of a plan with its place: what it is part of, and the number of a layer.
fn graphs(plan: &ModelPlan) -> Vec<(Place, &Graph)> {
    let mut graphs = Vec::new();
    for stack in &plan.stacks {
        let place = |kind| Place {
            stack: stack.name.clone(),
            kind,
        };
        graphs.push((place(Kind::Enter), &stack.enter));
        for (index, layer) in stack.layers.iter().enumerate() {
            graphs.push((place(Kind::Layer(index)), &layer.graph));
        }
        graphs.extend(stack.last.as_ref().map(|last| (place(Kind::Last), last)));
    }
    let head = Place {
        stack: String::new(),
        kind: Kind::Head,
    };
    graphs.push((head, &plan.head));
    graphs
}

/// Where a graph is in a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    stack: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Enter,
    Layer(usize),
    Last,
    Head,
}

impl Place {
    /// What comes before the names of its points.
    fn prefix(&self) -> String {
        match self.kind {
            Kind::Layer(index) => format!("{}.{index}", self.stack),
            Kind::Enter | Kind::Last => self.stack.clone(),
            Kind::Head => String::new(),
        }
    }
}

/// Stacks and layers that came or went, then what changed in those of both plans.
fn parts(old: &ModelPlan, new: &ModelPlan) -> Vec<PartDiff> {
    let mut parts = stacks(old, new);
    let before: BTreeMap<Place, &Graph> = graphs(old).into_iter().collect();
    // What changed, and where; in the order of the model.
    let mut alike: Vec<(Vec<String>, Vec<Place>)> = Vec::new();
    for (place, graph) in graphs(new) {
        let changes = match before.get(&place) {
            Some(other) => graphs::diff(other, graph),
            None => continue,
        };
        if changes.is_empty() {
            continue;
        }
        // Of layers that are alike the texts are, too, but for the numbers in names of tensors.
        let changes: Vec<String> = changes.iter().map(|text| group::without_numbers(text)).collect();
        let same = |entry: &&mut (Vec<String>, Vec<Place>)| {
            entry.0 == changes && entry.1.last().is_some_and(|last| last.stack == place.stack)
        };
        match alike.iter_mut().find(same) {
            Some(entry) => entry.1.push(place),
            None => alike.push((changes, vec![place])),
        }
    }
    parts.extend(alike.into_iter().map(|(changes, places)| PartDiff {
        part: called(&places),
        changes,
    }));
    parts
}

/// `decoder.0-31`, `decoder (entering)`, `head`.
fn called(places: &[Place]) -> String {
    let mut layers = Vec::new();
    let mut others = Vec::new();
    for place in places {
        match place.kind {
            Kind::Layer(index) => layers.push(index),
            Kind::Enter => others.push(format!("{} (entering)", place.stack)),
            Kind::Last => others.push(format!("{} (leaving)", place.stack)),
            Kind::Head => others.push("head".to_owned()),
        }
    }
    if !layers.is_empty() {
        others.insert(0, format!("{}.{}", places[0].stack, ranges(&layers)));
    }
    others.join(", ")
}

fn stacks(old: &ModelPlan, new: &ModelPlan) -> Vec<PartDiff> {
    let mut parts = Vec::new();
    let mut say = |part: &str, change: String| {
        parts.push(PartDiff {
            part: part.to_owned(),
            changes: vec![change],
        });
    };
    for stack in &new.stacks {
        let Some(before) = old.stacks.iter().find(|other| other.name == stack.name) else {
            say(&stack.name, format!("a new stack of {} layers", stack.layers.len()));
            continue;
        };
        let (from, to) = (before.layers.len(), stack.layers.len());
        if from != to {
            say(&stack.name, format!("{from} -> {to} layers"));
        }
        if before.tokens != stack.tokens {
            say(&stack.name, format!("tokens {} -> {}", before.tokens, stack.tokens));
        }
        if before.last.is_some() != stack.last.is_some() {
            let there = if stack.last.is_some() { "now" } else { "no longer" };
            say(&stack.name, format!("something is {there} done after the last layer"));
        }
        let classes = before.layers.iter().zip(&stack.layers).enumerate();
        let mut changed: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (index, (a, b)) in classes.filter(|(_, (a, b))| a.class != b.class) {
            changed.entry((&a.class, &b.class)).or_default().push(index);
        }
        for ((from, to), layers) in changed {
            say(
                &format!("{}.{}", stack.name, ranges(&layers)),
                format!("class {from} -> {to}"),
            );
        }
    }
    let gone = |stack: &&crate::StackPlan| !new.stacks.iter().any(|other| other.name == stack.name);
    for stack in old.stacks.iter().filter(gone) {
        say(
            &stack.name,
            format!("this stack of {} layers is gone", stack.layers.len()),
        );
    }
    let order = |plan: &ModelPlan| plan.stacks.iter().map(|stack| stack.name.clone()).collect::<Vec<_>>();
    let (from, to) = (order(old), order(new));
    let same = from.iter().collect::<BTreeSet<_>>() == to.iter().collect();
    if same && from != to {
        say("stacks", format!("now run in the order {}", to.join(", ")));
    }
    parts
}

fn names_diff(old: Names, new: Names) -> SetDiff {
    SetDiff {
        added: new.minus(&old),
        removed: old.minus(&new),
    }
}

/// Names of all points, heads included.
fn points(plan: &ModelPlan) -> Names {
    let mut names = Names::default();
    for (place, graph) in graphs(plan) {
        let prefix = place.prefix();
        for point in &graph.points {
            names.add(match (prefix.is_empty(), point.name.is_empty()) {
                (true, _) => point.name.clone(),
                (_, true) => prefix.clone(),
                _ => format!("{prefix}.{}", point.name),
            });
        }
    }
    for (name, _) in &plan.head.outputs {
        names.add(name.clone());
    }
    names
}

/// Names of all tensors, with what else says how they are read.
fn tensors(plan: &ModelPlan) -> Names {
    let mut names = Names::default();
    for (_, graph) in graphs(plan) {
        of_graph(graph, &mut names);
    }
    names
}

fn of_graph(graph: &Graph, names: &mut Names) {
    graph.params.iter().for_each(|param| names.add(tensor(param)));
    for node in &graph.nodes {
        if let Op::Experts(experts) = &node.op {
            of_graph(&experts.body, names);
        }
    }
}

fn tensor(param: &Param) -> String {
    let mut text = match param.name.base {
        Base::Root => param.name.path.clone(),
        Base::File => format!("/{}", param.name.path),
    };
    if let ParamForm::Stack { count } = param.form {
        text += &format!(", {count} of them");
    }
    if let Some(shape) = &param.shape {
        text += &format!(" as {shape:?}");
    }
    if param.optional {
        text += " (if it is there)";
    }
    text
}

/// What is said once for the whole plan.
fn rules(old: &ModelPlan, new: &ModelPlan) -> Vec<String> {
    let mut rules = Vec::new();
    let mut say = |what: &str, from: String, to: String| {
        if from != to {
            rules.push(format!("{what}: {from} -> {to}"));
        }
    };
    let (a, b) = (&old.names, &new.names);
    say("roots of names", format!("{:?}", a.root), format!("{:?}", b.root));
    say("ties apply", a.ties_apply.to_string(), b.ties_apply.to_string());
    let unavailable = |plan: &ModelPlan| format!("{:?}", plan.unavailable);
    say("unavailable", unavailable(old), unavailable(new));
    let inputs = |plan: &ModelPlan| format!("{:?}", plan.inputs);
    say("inputs", inputs(old), inputs(new));
    let mut lists = |what: &str, from: Vec<String>, to: Vec<String>| {
        let added = to
            .iter()
            .filter(|rule| !from.contains(rule))
            .map(|rule| format!("{what} added: {rule}"));
        let gone = from
            .iter()
            .filter(|rule| !to.contains(rule))
            .map(|rule| format!("{what} gone: {rule}"));
        let before = rules.len();
        rules.extend(added.chain(gone));
        if rules.len() == before && from != to {
            rules.push(format!("{what}: tried in another order"));
        }
    };
    let arrow = |from: &str, to: &str| format!("{from} -> {to}");
    let tied = |plan: &ModelPlan| {
        let ties = plan.names.tied.iter();
        ties.map(|(left, right)| arrow(&left.path, &right.path)).collect()
    };
    lists("tie", tied(old), tied(new));
    let several = |rules: &[(String, Vec<String>)]| {
        rules
            .iter()
            .map(|(left, right)| arrow(left, &right.join(" | ")))
            .collect()
    };
    lists("rename", several(&a.rename), several(&b.rename));
    lists("joined", several(&a.joined), several(&b.joined));
    let packed = |plan: &ModelPlan| {
        let entries = plan.names.packed.iter();
        entries
            .map(|entry| {
                let part = entry
                    .part
                    .as_ref()
                    .map_or_else(String::new, |part| format!(", {part:?}"));
                let turned = if entry.transposed { ", transposed" } else { "" };
                let mixed = if entry.interleaved { ", interleaved" } else { "" };
                arrow(&entry.written, &entry.from) + &part + turned + mixed
            })
            .collect()
    };
    lists("packed", packed(old), packed(new));
    lists("may stay unused", a.ignore.clone(), b.ignore.clone());
    rules
}
