//! Names of the values that stages can ask for (section 8 of the language).

use std::collections::{BTreeMap, HashSet};

use sli_model::{Point, Value};

use super::{Compiler, FrameId};
use crate::value::Val;

/// Calls of one block: module -> (equation, frame).
type ByModule<'a> = BTreeMap<&'a str, Vec<(&'a str, FrameId)>>;

impl Compiler<'_> {
    /// The points of a graph, from the frame of its layer.
    pub(super) fn points(&self, frame: FrameId) -> Vec<Point> {
        let mut points = Vec::new();
        self.collect(frame, "", &mut points);
        let mut seen = HashSet::new();
        points.retain(|p| seen.insert(p.name.clone()));
        points.sort_by(|a, b| a.value.cmp(&b.value).then_with(|| a.name.cmp(&b.name)));
        points
    }

    fn collect(&self, id: FrameId, prefix: &str, points: &mut Vec<Point>) {
        let frame = &self.frames[id.0];
        if frame.hidden {
            return;
        }
        let name = |member: &str| {
            if prefix.is_empty() {
                member.to_owned()
            } else {
                format!("{prefix}.{member}")
            }
        };
        match frame.memo.get("out") {
            Some(Val::Tensor(_, value)) if !prefix.is_empty() => points.push(Point {
                name: prefix.to_owned(),
                value: *value,
            }),
            Some(Val::Map(map)) => push_members(map, &name, points),
            _ => {}
        }
        for (equation, value) in &frame.memo {
            if let (Val::Tensor(_, value), true) = (value, equation != "out") {
                points.push(Point {
                    name: name(equation),
                    value: *value,
                });
            }
        }
        for (call, id) in self.call_names(id) {
            self.collect(id, &name(&call), points);
        }
        let known: HashSet<Value> = points.iter().map(|p| p.value).collect();
        for (equation, value) in &frame.memo {
            if let (Val::Map(map), true) = (value, equation != "out") {
                let fresh = map
                    .iter()
                    .filter(|(_, v)| !matches!(v, Val::Tensor(_, value) if known.contains(value)));
                let fresh = fresh.map(|(k, v)| (k.clone(), v.clone())).collect();
                push_members(&fresh, &|member: &str| name(&format!("{equation}.{member}")), points);
            }
        }
    }

    /// `norm`, or `norm(q_norm)` where a table calls the block with several modules, or `rest(.)@2` where it
    /// calls it several times with the same; numbered in the order of the equations' names.
    fn call_names(&self, id: FrameId) -> Vec<(String, FrameId)> {
        let mut blocks: BTreeMap<&str, ByModule<'_>> = BTreeMap::new();
        for call in &self.frames[id.0].calls {
            let calls = blocks.entry(&call.block).or_default().entry(&call.module).or_default();
            calls.push((&call.equation, call.frame));
        }
        let mut names = Vec::new();
        for (block, modules) in &mut blocks {
            let several = modules.len() > 1;
            for (module, calls) in modules {
                calls.sort_by_key(|c| c.0); // stable: within an equation in the order of the text
                let shown = if module.is_empty() { "." } else { module };
                let name = if several || calls.len() > 1 {
                    format!("{block}({shown})")
                } else {
                    (*block).to_owned()
                };
                let numbered = calls.len() > 1;
                for (k, call) in calls.iter().enumerate() {
                    names.push((
                        if numbered {
                            format!("{name}@{}", k + 1)
                        } else {
                            name.clone()
                        },
                        call.1,
                    ));
                }
            }
        }
        names
    }
}

fn push_members(map: &indexmap::IndexMap<String, Val>, name: &dyn Fn(&str) -> String, points: &mut Vec<Point>) {
    for (member, value) in map {
        if let Val::Tensor(_, value) = value {
            points.push(Point {
                name: name(member),
                value: *value,
            });
        }
    }
}
