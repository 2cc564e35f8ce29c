//! `--set section.key=value`: values from the command line, laid over a file before anything is checked.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Label};
use crate::read::table::Errors;
use crate::read::tree::{Entry, Node, NodeValue, Table, parse_bare};
use crate::source::SourceFile;

/// Lays `key = value` over the document. The value is TOML, or a bare string where it is not. The new value's
/// place is in a text of its own, called `--set`, so that later errors underline what was typed.
pub(super) fn apply(root: &mut Node, key: &str, value: &str, errors: &Errors) {
    let file = SourceFile::new("--set", format!("{key}={value}"));
    let mut segments = Vec::new();
    let mut start = 0;
    for name in key.split('.') {
        segments.push((name, Label::new(&file, start..start + name.len(), "")));
        start += name.len() + 1;
    }
    let value = parse_bare(&file, key.len() + 1);
    if let Err(diagnostic) = set(root, &segments, value) {
        errors.borrow_mut().push(diagnostic);
    }
}

fn set(node: &mut Node, segments: &[(&str, Label)], value: Node) -> Result<(), Diagnostic> {
    let Some(((name, place), rest)) = segments.split_first() else {
        *node = value;
        return Ok(());
    };
    if name.is_empty() {
        let key = place.file.text.find('=').unwrap_or(place.span.end);
        return Err(Diagnostic::error("a part of this key is empty")
            .primary(Label::new(&place.file, 0..key, ""))
            .help("write `section.key=value`, as `engine.memory=8GiB`"));
    }
    let kind = node.kind();
    match &mut node.value {
        NodeValue::Table(table) => {
            let entry = table.entry((*name).to_owned()).or_insert_with(|| empty_table(place));
            if rest.is_empty() {
                entry.key = place.clone();
            }
            set(&mut entry.node, rest, value)
        }
        NodeValue::Array(items) => {
            let count = items.len();
            let item = name.parse().ok().and_then(|index: usize| items.get_mut(index));
            let item = item.ok_or_else(|| no_item(name, place, count))?;
            set(item, rest, value)
        }
        _ => Err(Diagnostic::error(format!("there is no `{name}` in {kind}"))
            .primary(place.clone())
            .secondary(Label::new(&node.file, node.span.clone(), kind))),
    }
}

fn empty_table(place: &Label) -> Entry {
    let node = Node {
        file: Arc::clone(&place.file),
        span: place.span.clone(),
        value: NodeValue::Table(Table::new()),
        bare: false,
    };
    Entry {
        key: place.clone(),
        node,
    }
}

fn no_item(name: &str, place: &Label, count: usize) -> Diagnostic {
    let help = match count {
        0 => "the list is empty".to_owned(),
        1 => "the list has one item, which is number 0".to_owned(),
        count => format!("count from 0: the numbers are 0 to {}", count - 1),
    };
    Diagnostic::error(format!("the list has no item `{name}`"))
        .primary(place.clone())
        .help(help)
}
