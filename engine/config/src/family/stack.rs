//! `[[stack]]` tables.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::family::types::{LayerCase, LayerChoice, StackFile};
use crate::read::table::TableReader;
use crate::read::tree::NodeValue;
use crate::source::Located;

/// All stacks of the file, whose names must differ.
pub(super) fn read_stacks(reader: &mut TableReader<'_>) -> Vec<StackFile> {
    let mut stacks: Vec<StackFile> = Vec::new();
    for table in reader.tables("stack", false) {
        let Some(stack) = read_stack(table) else {
            continue;
        };
        if let Some(first) = stacks.iter().find(|other| other.name == stack.name) {
            reader.report(
                Diagnostic::error(format!("two stacks are called `{}`", stack.name))
                    .at(&stack.file, stack.name.span.clone(), "the second")
                    .secondary(crate::diagnostic::Label::new(
                        &first.file,
                        first.name.span.clone(),
                        "the first",
                    ))
                    .help("give one of them another name"),
            );
            continue;
        }
        stacks.push(stack);
    }
    stacks
}

fn read_stack(mut table: TableReader<'_>) -> Option<StackFile> {
    let name = table.required("name", "name = \"decoder\"").map(Located::spanned);
    let prefix = table.template("prefix");
    let count = table.equation("count");
    let layer = read_layer(&mut table);
    let tokens = table.text("tokens");
    let input = table.equation("input");
    let final_ = table.equation("final");
    let when = table.equation("when");
    let let_ = table.equations("let", "a `let` entry");
    let carry = table.equations("carry", "a `carry` entry");
    let file = Arc::clone(table.file());
    table.finish_below();
    Some(StackFile {
        name: name?,
        prefix,
        count,
        layer,
        tokens,
        input,
        final_,
        when,
        let_,
        carry,
        file,
    })
}

/// A class, or a list of `{ class, when }`.
fn read_layer(table: &mut TableReader<'_>) -> Option<LayerChoice> {
    let node = &table.entry("layer")?.node;
    match &node.value {
        NodeValue::String(_) => Some(LayerChoice::One(table.node_string(node, "layer")?.spanned())),
        NodeValue::Array(cases) if !cases.is_empty() => {
            let read = |case| {
                let title = "an entry of `layer`".to_owned();
                let mut case = TableReader::new(case, title, case.label(""), table.errors())?;
                let class = case.required("class", "class = \"…\"");
                let when = case.equation("when");
                case.finish();
                Some(LayerCase {
                    class: class?.spanned(),
                    when,
                })
            };
            Some(LayerChoice::Cases(cases.iter().filter_map(read).collect()))
        }
        _ => table.wrong(
            node,
            "layer",
            "the name of a layer class or a list of `{ class = \"…\", when = \"…\" }`",
        ),
    }
}
