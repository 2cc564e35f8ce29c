//! Every name and call of every equation, reached or not.

use std::collections::HashSet;

use sli_config::{Diagnostic, suggest};

use crate::expr::{Expr, Node, Parsed};
use crate::flat::{Flat, FlatValue, Table};

/// Names that mean something in equations on tensors.
const TENSOR_NAMES: [&str; 9] = [
    "x",
    "i",
    "count",
    "carry",
    "stack",
    "tokens",
    "positions",
    "token_type_ids",
    "input",
];
/// Names that mean something in plan values.
const PLAN_NAMES: [&str; 3] = ["i", "stack", "count"];

/// Names and functions that nothing declares.
pub(super) fn unknown_names(flat: &Flat) -> Vec<Diagnostic> {
    let mut checker = Checker {
        flat,
        errors: Vec::new(),
    };
    let mut plan: HashSet<&str> = flat.values.keys().map(String::as_str).collect();
    plan.extend(flat.args.equations.keys().map(String::as_str));
    plan.insert("config");
    let mut common = plan.clone();
    common.extend(TENSOR_NAMES);
    for stack in &flat.stacks {
        common.insert(&stack.name);
        common.extend(stack.lets.equations.keys().map(String::as_str));
    }
    common.extend(flat.parts.iter().map(|p| p.0.as_str()));
    plan.extend(PLAN_NAMES);
    for value in flat.values.values() {
        if let FlatValue::Equation(parsed) = value {
            checker.equation(parsed, &plan);
        }
    }
    for refuse in &flat.refuse {
        checker.equation(&refuse.when, &plan);
    }
    for sizes in flat.packed.values().filter_map(|packed| packed.sizes.as_ref()) {
        checker.equation(sizes, &plan);
    }
    let mut embed = common.clone();
    embed.extend(flat.embed.equations.keys().map(String::as_str));
    checker.table(&flat.embed, &embed);
    checker.table(&flat.head, if flat.parts.is_empty() { &common } else { &embed });
    for stack in &flat.stacks {
        checker.table(&stack.lets, &embed);
        checker.table(&stack.carry, &embed);
        stack.input.iter().for_each(|p| checker.equation(p, &embed));
        stack.last.iter().for_each(|p| checker.equation(p, &common));
        stack
            .count
            .iter()
            .chain(&stack.when)
            .for_each(|p| checker.equation(p, &plan));
        stack
            .layer
            .iter()
            .flat_map(|c| &c.when)
            .for_each(|p| checker.equation(p, &plan));
    }
    flat.layers.values().for_each(|table| checker.table(table, &common));
    for block in flat.blocks.values() {
        let mut names = common.clone();
        names.extend(block.args.equations.keys().map(String::as_str));
        names.extend(block.table.equations.keys().map(String::as_str));
        checker.table(&block.table, &names);
        checker.table(&block.args, &names);
    }
    checker.errors
}

struct Checker<'a> {
    flat: &'a Flat,
    errors: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn table(&mut self, table: &Table, names: &HashSet<&str>) {
        let mut names = names.clone();
        names.extend(table.equations.keys().map(String::as_str));
        for parsed in table.equations.values() {
            self.equation(parsed, &names);
        }
    }

    fn equation(&mut self, parsed: &Parsed, names: &HashSet<&str>) {
        let flat = self.flat;
        let mut found = Vec::new();
        parsed.root.walk(&mut |expr: &Expr| match &expr.node {
            Node::Name(name) if !names.contains(name.as_str()) => {
                let near = suggest(name, names.iter().copied()).filter(|_| name.len() > 2);
                let message = match TENSOR_NAMES.contains(&name.as_str()) {
                    true => format!("`{name}` is a tensor; plan values cannot use it"),
                    false => format!("nothing is called `{name}`"),
                };
                found.push((expr.span, message, near.map(str::to_owned)));
            }
            Node::Call(name, _) if !flat.can_call(name) => {
                let near = suggest(name, flat.callable());
                found.push((
                    expr.span,
                    format!("there is no function or block `{name}`"),
                    near.map(str::to_owned),
                ));
            }
            _ => {}
        });
        for (span, message, near) in found {
            let label = parsed.equation.label_at(span.0, span.1, "");
            self.errors.push(
                Diagnostic::error(message)
                    .primary(label)
                    .help_opt(near.map(|n| format!("did you mean `{n}`?"))),
            );
        }
    }
}

/// Equations with the name of a value, of an argument of their table or of a `let` entry of their stack.
pub(super) fn shadowing(flat: &Flat) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut check = |table: &Table, what: &str, taken: &dyn Fn(&str) -> bool| {
        for (name, parsed) in table.equations.iter().filter(|(name, _)| taken(name)) {
            let message = format!("the equation `{name}` of [{}] has the name of {what}", table.label);
            errors.push(
                Diagnostic::error(message)
                    .primary(parsed.equation.label(""))
                    .help("give the equation another name"),
            );
        }
    };
    let tables = [&flat.embed, &flat.head]
        .into_iter()
        .chain(flat.layers.values())
        .chain(flat.blocks.values().map(|b| &b.table));
    for table in tables.chain(flat.stacks.iter().flat_map(|s| [&s.lets, &s.carry])) {
        check(table, "an entry of [values]", &|name| flat.values.contains_key(name));
    }
    for block in flat.blocks.values() {
        check(&block.table, "an argument of the block", &|name| {
            block.args.equations.contains_key(name)
        });
    }
    for stack in &flat.stacks {
        for class in &stack.layer {
            if let Some(table) = flat.layers.get(&class.class.value) {
                check(
                    table,
                    &format!("a `let` entry of the stack `{}`", stack.name),
                    &|name| stack.lets.equations.contains_key(name),
                );
            }
        }
    }
    errors
}
