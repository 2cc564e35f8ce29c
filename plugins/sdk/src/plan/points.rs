//! Names of the values that stages can ask for (section 8 of the language).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use super::graph::{Point, Value};

/// One run of a layer or a block: the values it named and the blocks it called.
#[derive(Default)]
pub(crate) struct Frame {
    out: Cell<Option<Value>>,
    named: RefCell<Vec<(String, Value)>>,
    calls: RefCell<Vec<Call>>,
    /// The equation whose calls are being recorded.
    equation: RefCell<String>,
}

struct Call {
    equation: String,
    block: String,
    module: String,
    frame: Rc<Frame>,
}

impl Frame {
    pub(crate) fn set_out(&self, value: Value) {
        self.out.set(Some(value));
    }

    pub(crate) fn name(&self, name: &str, value: Value) {
        self.named.borrow_mut().push((name.to_owned(), value));
    }

    /// Runs `body` as the equation `name`.
    pub(crate) fn within<T>(&self, name: &str, body: impl FnOnce() -> T) -> T {
        let around = self.equation.replace(name.to_owned());
        let result = body();
        self.equation.replace(around);
        result
    }

    /// The frame of a block called from this one.
    pub(crate) fn call(&self, block: &str, module: &str) -> Rc<Frame> {
        let frame = Rc::new(Frame::default());
        self.calls.borrow_mut().push(Call {
            equation: self.equation.borrow().clone(),
            block: block.to_owned(),
            module: module.to_owned(),
            frame: frame.clone(),
        });
        frame
    }

    /// The points of a graph, from the frame of its layer. Of two with one name the first counts.
    pub(crate) fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        self.collect("", &mut points);
        let mut seen = HashSet::new();
        points.retain(|point| seen.insert(point.name.clone()));
        points
    }

    fn collect(&self, prefix: &str, points: &mut Vec<Point>) {
        let name = |member: &str| match prefix {
            "" => member.to_owned(),
            _ => format!("{prefix}.{member}"),
        };
        if let (Some(value), false) = (self.out.get(), prefix.is_empty()) {
            let name = prefix.to_owned();
            points.push(Point { name, value });
        }
        let named = self.named.borrow();
        points.extend(named.iter().map(|(member, value)| Point {
            name: name(member),
            value: *value,
        }));
        for (call, frame) in self.call_names() {
            frame.collect(&name(&call), points);
        }
    }

    /// `norm`, or `norm(q_norm)` where a block is called with several modules, or `rest(.)@2` where it is called several
    /// times with the same.
    fn call_names(&self) -> Vec<(String, Rc<Frame>)> {
        let mut blocks: BTreeMap<String, BTreeMap<String, Vec<Rc<Frame>>>> = BTreeMap::new();
        // stable: within an equation in the order of the calls
        self.calls.borrow_mut().sort_by(|a, b| a.equation.cmp(&b.equation));
        for call in self.calls.borrow().iter() {
            let modules = blocks.entry(call.block.clone()).or_default();
            modules.entry(call.module.clone()).or_default().push(call.frame.clone());
        }
        let mut names = Vec::new();
        for (block, modules) in &blocks {
            let several = modules.len() > 1;
            for (module, frames) in modules {
                let shown = if module.is_empty() { "." } else { module };
                let numbered = frames.len() > 1;
                let name = match several || numbered {
                    true => format!("{block}({shown})"),
                    false => block.clone(),
                };
                for (k, frame) in frames.iter().enumerate() {
                    let number = if numbered { format!("@{}", k + 1) } else { String::new() };
                    names.push((format!("{name}{number}"), frame.clone()));
                }
            }
        }
        names
    }
}
