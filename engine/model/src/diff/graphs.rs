//! In which two graphs differ: their nodes in canonical order, laid side by side.

use std::collections::HashMap;

use crate::display::attributes;
use crate::{Graph, Op, Value};

/// Beyond this many pairs of nodes graphs are not laid side by side.
const MOST_PAIRS: usize = 4_000_000;

/// What changed, one thing a text, equal things counted; empty if both compute the same and have the same points.
pub(super) fn diff(old: &Graph, new: &Graph) -> Vec<String> {
    // Equal but for what no output needs; points that other values have are compared with all points.
    let (old, new) = (old.canonical(), new.canonical());
    if old.nodes == new.nodes && old.params == new.params && old.outputs == new.outputs {
        return moved_points(&old, &new);
    }
    let (a, b) = (steps(&old), steps(&new));
    if a.len() * b.len() > MOST_PAIRS {
        return vec!["computed differently".to_owned()];
    }
    let mut texts = Texts::default();
    let pairs = align(&a, &b);
    let mut nodes: HashMap<Option<u32>, Option<u32>> = HashMap::new();
    let mut rest: (Vec<&Step>, Vec<&Step>) = (Vec::new(), Vec::new());
    for pair in &pairs {
        match pair {
            (Some(before), Some(after)) => {
                rest.flush(&mut texts, &mut nodes);
                nodes.insert(before.node, after.node);
            }
            (Some(before), None) => rest.0.push(before),
            (None, Some(after)) => rest.1.push(after),
            (None, None) => {}
        }
    }
    rest.flush(&mut texts, &mut nodes);
    if texts.counted.is_empty() {
        texts.add(wiring(&old, &new, &pairs, &nodes));
    }
    texts.into_lines()
}

/// Names that stand for another value of the same graph.
fn moved_points(old: &Graph, new: &Graph) -> Vec<String> {
    let moved = new.points.iter().filter(|point| {
        let before = old.points.iter().filter(|other| other.name == point.name);
        before.clone().count() > 0 && !before.clone().any(|other| other.value == point.value)
    });
    moved
        .map(|point| format!("the point {} is another value", point.name))
        .collect()
}

/// One node, as far as its kind, its options and the parameters and numbers it reads go.
#[derive(Debug, PartialEq)]
struct Step {
    name: String,
    /// Options by name; what it reads by the number of the input.
    options: Vec<(String, String)>,
    /// Its number, unless it is in the body of another one.
    node: Option<u32>,
}

fn steps(graph: &Graph) -> Vec<Step> {
    let mut steps = Vec::new();
    collect(graph, "", &mut steps);
    steps
}

fn collect(graph: &Graph, within: &str, steps: &mut Vec<Step>) {
    for (index, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Param(_) | Op::Const(_)) {
            continue;
        }
        let mut options: Vec<(String, String)> = Vec::new();
        for (number, input) in node.inputs.iter().enumerate() {
            let Some(text) = input.map_or(Some("nothing".to_owned()), |value| leaf(graph, value)) else {
                continue;
            };
            options.push((format!("input {}", number + 1), text));
        }
        for (name, value) in attributes::of(&node.op) {
            options.push((name.to_owned(), value));
        }
        options.extend(hidden(&node.op));
        let name = match &node.op {
            Op::Input(input) => input.to_string(),
            Op::Foreign(call) => format!("{} of the plugin {}", call.function, call.plugin),
            op => op.name().to_owned(),
        };
        steps.push(Step {
            name: format!("{within}{name}"),
            options,
            node: within.is_empty().then_some(index as u32),
        });
        match &node.op {
            Op::Experts(experts) => collect(&experts.body, "each expert: ", steps),
            Op::PairBias(bias) => collect(&bias.body, "bias: ", steps),
            _ => {}
        }
    }
}

/// The text of a parameter or number.
fn leaf(graph: &Graph, value: Value) -> Option<String> {
    match &graph.nodes[value.node as usize].op {
        Op::Param(id) => Some(graph.params[id.0 as usize].to_string()),
        Op::Const(crate::Scalar::Int(n)) => Some(n.to_string()),
        Op::Const(crate::Scalar::Float(x)) => Some(x.to_string()),
        _ => None,
    }
}

/// Options that listings leave out, though they change what is computed.
fn hidden(op: &Op) -> Vec<(String, String)> {
    let of = |name: &str, value: String| vec![(name.to_owned(), value)];
    match op {
        Op::Rotary(rope) => of("turning", format!("{:?}", rope.frequencies)),
        Op::LinearScan(scan) => of("normalize", format!("{:?}", scan.normalize)),
        Op::Foreign(call) => [of("options", call.options.clone()), of("code", call.digest.clone())].concat(),
        _ => Vec::new(),
    }
}

type Pairs<'a> = Vec<(Option<&'a Step>, Option<&'a Step>)>;

/// The longest common subsequence of equal steps; what is between them stands alone.
fn align<'a>(a: &'a [Step], b: &'a [Step]) -> Pairs<'a> {
    let equal = |x: &Step, y: &Step| x.name == y.name && x.options == y.options;
    let width = b.len() + 1;
    let mut lengths = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = if equal(&a[i], &b[j]) {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && equal(&a[i], &b[j]) {
            pairs.push((Some(&a[i]), Some(&b[j])));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
            pairs.push((Some(&a[i]), None));
            i += 1;
        } else {
            pairs.push((None, Some(&b[j])));
            j += 1;
        }
    }
    pairs
}

/// Texts with how often each was said, in the order of the first time.
#[derive(Default)]
struct Texts {
    counted: Vec<(String, usize)>,
}

impl Texts {
    fn add(&mut self, text: String) {
        match self.counted.iter_mut().find(|entry| entry.0 == text) {
            Some(entry) => entry.1 += 1,
            None => self.counted.push((text, 1)),
        }
    }

    fn into_lines(self) -> Vec<String> {
        let line = |(text, count): (String, usize)| match count {
            1 => text,
            2 => format!("{text} (twice)"),
            count => format!("{text} ({count} times)"),
        };
        self.counted.into_iter().map(line).collect()
    }
}

/// Steps of both graphs between two that are equal.
trait Rest {
    fn flush(&mut self, texts: &mut Texts, nodes: &mut HashMap<Option<u32>, Option<u32>>);
}

impl Rest for (Vec<&Step>, Vec<&Step>) {
    /// Steps of the same kind are the same step with other options; the others came or went.
    fn flush(&mut self, texts: &mut Texts, nodes: &mut HashMap<Option<u32>, Option<u32>>) {
        let (old, mut new) = (std::mem::take(&mut self.0), std::mem::take(&mut self.1));
        for before in old {
            match new.iter().position(|after| after.name == before.name) {
                Some(at) => {
                    let after = new.remove(at);
                    nodes.insert(before.node, after.node);
                    texts.add(changed(before, after));
                }
                None => texts.add(format!("no longer {}", told(before))),
            }
        }
        for after in new {
            texts.add(format!("now {}", told(after)));
        }
    }
}

/// `rms_norm: eps 1e-6 -> 1e-5`.
fn changed(before: &Step, after: &Step) -> String {
    let value = |step: &Step, name: &str| {
        let found = step.options.iter().find(|option| option.0 == name);
        found.map_or("-".to_owned(), |option| option.1.clone())
    };
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in before.options.iter().chain(&after.options) {
        if !names.contains(&name.as_str()) && value(before, name) != value(after, name) {
            names.push(name);
        }
    }
    let parts = names
        .into_iter()
        .map(|name| format!("{name} {} -> {}", short(value(before, name)), short(value(after, name))));
    let parts: Vec<String> = parts.collect();
    format!("{}: {}", before.name, parts.join(", "))
}

/// `linear (param layers.0.q_proj.weight)`.
fn told(step: &Step) -> String {
    let reads: Vec<&str> = step
        .options
        .iter()
        .filter(|option| option.1.starts_with("param "))
        .map(|option| option.1.trim_start_matches("param "))
        .collect();
    match reads.is_empty() {
        true => step.name.clone(),
        false => format!("{} of {}", step.name, reads.join(", ")),
    }
}

/// Lists of frequencies and the like, cut.
fn short(text: String) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// All steps are equal, so what differs is what goes where.
fn wiring(old: &Graph, new: &Graph, pairs: &Pairs<'_>, nodes: &HashMap<Option<u32>, Option<u32>>) -> String {
    let is_leaf = |graph: &Graph, value: Value| leaf(graph, value).is_some();
    for pair in pairs {
        let (Some(before), Some(after)) = pair else { continue };
        let (Some(a), Some(b)) = (before.node, after.node) else {
            continue;
        };
        let inputs = old.nodes[a as usize].inputs.iter().zip(&new.nodes[b as usize].inputs);
        let same = |(x, y): (&Option<Value>, &Option<Value>)| match (x, y) {
            (Some(x), Some(y)) if is_leaf(old, *x) => is_leaf(new, *y),
            (Some(x), Some(y)) => x.out == y.out && nodes.get(&Some(x.node)) == Some(&Some(y.node)),
            (x, y) => x.is_none() && y.is_none(),
        };
        if !inputs.clone().all(same) {
            return format!("{} takes other values", told(after));
        }
    }
    "the same operations give other results".to_owned()
}
