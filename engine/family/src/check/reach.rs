//! What the plan of a family can reach: keys of config.json and values. A static property: both branches
//! of `?:` and all arguments of `get` count (section 5 of the language, strict keys).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::expr::{Expr, Node, Parsed};
use crate::flat::{Block, Flat, FlatValue, Table};
use crate::functions::HANDLED_BY_ROPE;

/// The keys and values that equations reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// Top-level keys of config.json.
    pub(crate) keys: HashSet<String>,
    /// Entries of `[values]`.
    pub(crate) values: HashSet<String>,
    /// Every member name mentioned anywhere (`alpha` of `config.rope_scaling.alpha`).
    pub(crate) members: HashSet<String>,
    /// Functions of plugins.
    pub(crate) foreign: BTreeSet<String>,
}

/// Where names of an equation are looked up.
#[derive(Clone, Copy)]
struct Place<'a> {
    table: Option<&'a Table>,
    block: Option<&'a Block>,
}

const PLAN: Place<'static> = Place {
    table: None,
    block: None,
};

struct Walker<'a> {
    flat: &'a Flat,
    reached: Reached,
    seen: HashSet<*const Parsed>,
}

/// Walks from everything that a plan starts from.
pub(crate) fn reach(flat: &Flat) -> Reached {
    let mut walker = Walker {
        flat,
        reached: Reached::default(),
        seen: HashSet::new(),
    };
    let embed = Place {
        table: Some(&flat.embed),
        block: None,
    };
    flat.embed
        .equations
        .get("out")
        .into_iter()
        .for_each(|p| walker.visit(p, embed));
    for parsed in flat.head.equations.values() {
        walker.visit(
            parsed,
            Place {
                table: Some(&flat.head),
                block: None,
            },
        );
    }
    flat.refuse.iter().for_each(|r| walker.visit(&r.when, PLAN));
    flat.matches
        .iter()
        .flat_map(|m| &m.1)
        .for_each(|when| walker.visit(when, PLAN));
    for stack in &flat.stacks {
        stack
            .count
            .iter()
            .chain(&stack.when)
            .for_each(|p| walker.visit(p, PLAN));
        stack
            .input
            .iter()
            .chain(&stack.last)
            .for_each(|p| walker.visit(p, embed));
        stack.prefix.iter().for_each(|p| walker.template(&p.text, PLAN));
        for table in [&stack.lets, &stack.carry] {
            table.equations.values().for_each(|p| {
                walker.visit(
                    p,
                    Place {
                        table: Some(table),
                        block: None,
                    },
                )
            });
        }
        for case in &stack.layer {
            case.when.iter().for_each(|p| walker.visit(p, PLAN));
            let Some(table) = flat.layers.get(&case.class.value) else {
                continue;
            };
            let carried = table
                .equations
                .iter()
                .filter(|(name, _)| *name == "out" || stack.carry.equations.contains_key(*name));
            carried.for_each(|(_, p)| {
                walker.visit(
                    p,
                    Place {
                        table: Some(table),
                        block: None,
                    },
                )
            });
        }
    }
    let sizes = flat.packed.values().filter_map(|packed| packed.sizes.as_ref());
    sizes.for_each(|parsed| walker.visit(parsed, PLAN));
    flat.ignore.iter().for_each(|glob| walker.template(glob, PLAN));
    if flat.values.contains_key("tied") {
        walker.value("tied");
    } else {
        walker.reached.keys.insert("tie_word_embeddings".to_owned());
    }
    walker.reached
}

impl<'a> Walker<'a> {
    fn visit(&mut self, parsed: &'a Arc<Parsed>, place: Place<'a>) {
        if self.seen.insert(Arc::as_ptr(parsed)) {
            self.expr(&parsed.root, place);
        }
    }

    fn expr(&mut self, expr: &'a Expr, place: Place<'a>) {
        match &expr.node {
            Node::Name(name) => self.name(name, place),
            Node::Str(text) => self.template(text, place),
            Node::Member(base, field) => {
                self.reached.members.insert(field.clone());
                if is_config(base) {
                    self.reached.keys.insert(field.clone());
                }
            }
            Node::Index(base, index) => {
                if let (true, Node::Str(key)) = (is_config(base), &index.node) {
                    self.reached.keys.insert(key.clone());
                }
            }
            Node::Call(name, args) => self.call(name, args),
            _ => {}
        }
        for child in expr.children() {
            self.expr(child, place);
        }
    }

    fn call(&mut self, name: &str, args: &'a [Expr]) {
        self.block(name);
        if self.flat.foreign.get(name).is_some() {
            self.reached.foreign.insert(name.to_owned());
        }
        if name == "rope_config" && args.first().is_some_and(is_config) {
            self.reached.keys.extend(HANDLED_BY_ROPE.map(str::to_owned));
        }
        let options = args.iter().filter_map(|a| {
            if let Node::Map(entries) = &a.node {
                Some(entries)
            } else {
                None
            }
        });
        let mut named: Vec<&Expr> = options
            .flatten()
            .filter(|(key, _)| key == "block")
            .map(|(_, value)| value)
            .collect();
        named.extend(args.first().filter(|_| name == "pair_bias"));
        if named.is_empty() && name == "experts" {
            self.block("expert");
        }
        for value in named {
            let mut names = Vec::new();
            value.walk(&mut |e| {
                if let Node::Str(text) = &e.node {
                    names.push(text.as_str());
                }
            });
            names.into_iter().for_each(|n| self.block(n));
        }
    }

    fn block(&mut self, name: &str) {
        let flat = self.flat;
        let Some(block) = flat.blocks.get(name) else { return };
        let place = Place {
            table: Some(&block.table),
            block: Some(block),
        };
        block
            .table
            .equations
            .get("out")
            .into_iter()
            .for_each(|p| self.visit(p, place));
    }

    fn name(&mut self, name: &str, place: Place<'a>) {
        let flat = self.flat;
        if let Some(parsed) = place.table.and_then(|t| t.equations.get(name)) {
            return self.visit(parsed, place);
        }
        if let Some(default) = place.block.and_then(|b| b.args.equations.get(name)) {
            self.visit(default, place);
        }
        for stack in &flat.stacks {
            if let Some(parsed) = stack.lets.equations.get(name) {
                self.visit(
                    parsed,
                    Place {
                        table: Some(&stack.lets),
                        block: None,
                    },
                );
            }
        }
        if let Some(parsed) = flat.embed.equations.get(name) {
            self.visit(
                parsed,
                Place {
                    table: Some(&flat.embed),
                    block: None,
                },
            );
        }
        if let Some(parsed) = flat.args.equations.get(name) {
            self.visit(parsed, PLAN);
        }
        self.value(name);
    }

    fn value(&mut self, name: &str) {
        let flat = self.flat;
        let Some(value) = flat.values.get(name) else { return };
        self.reached.values.insert(name.to_owned());
        if let FlatValue::Equation(parsed) = value {
            self.visit(parsed, PLAN);
        }
    }

    /// Values named in `{…}` of a module or prefix.
    fn template(&mut self, text: &str, place: Place<'a>) {
        for piece in text.split('{').skip(1) {
            let Some((path, _)) = piece.split_once('}') else {
                continue;
            };
            let mut parts = path.split('.');
            match (parts.next(), parts.next()) {
                (Some("config"), Some(key)) => drop(self.reached.keys.insert(key.to_owned())),
                (Some(name), _) => self.name(name, place),
                _ => {}
            }
        }
    }
}

fn is_config(expr: &Expr) -> bool {
    matches!(&expr.node, Node::Name(name) if name == "config")
}
