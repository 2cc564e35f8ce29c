//! `[names]`: how the names of equations meet those of files.

use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::family::types::{Names, PackedFile, PartOf, PartsFile};
use crate::read::table::TableReader;
use crate::read::tree::{Entry, Node, NodeValue};

/// Most parts of a tensor.
const MAX_PARTS: i64 = 1 << 20;

/// Reads `[names]`.
pub(super) fn read_names(mut table: TableReader<'_>) -> Names {
    let root = table
        .strings("root")
        .map(|roots| roots.into_iter().map(|root| root.value).collect());
    let tied = table.string_map("tied");
    let ignore = table.texts("ignore");
    let rename = table.sub("rename").map(read_rename).unwrap_or_default();
    let packed = table.sub("packed").map(read_packed).unwrap_or_default();
    let joined = table.sub("joined").map(read_joined).unwrap_or_default();
    table.finish_below();
    Names {
        root,
        tied,
        ignore,
        rename,
        packed,
        joined,
    }
}

/// Each right side is a name or a list of names.
fn read_rename(table: TableReader<'_>) -> IndexMap<String, Vec<String>> {
    let names = |(left, entry): (&str, &Entry)| {
        let items = match &entry.node.value {
            NodeValue::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.node),
        };
        (left.to_owned(), texts(&table, items, left))
    };
    table.rest().map(names).collect()
}

/// Each right side is a list of at least two names.
fn read_joined(table: TableReader<'_>) -> IndexMap<String, Vec<String>> {
    let names = |(left, entry): (&str, &Entry)| match &entry.node.value {
        NodeValue::Array(items) if items.len() > 1 => Some((left.to_owned(), texts(&table, items, left))),
        _ => table.wrong(&entry.node, left, "a list of at least two names"),
    };
    table.rest().filter_map(names).collect()
}

fn texts(table: &TableReader<'_>, items: &[Node], key: &str) -> Vec<String> {
    let text = |item| Some(table.node_string(item, key)?.value);
    items.iter().filter_map(text).collect()
}

/// Each right side is a table: which piece of which tensor.
fn read_packed(table: TableReader<'_>) -> IndexMap<String, PackedFile> {
    let one = |(left, entry): (&str, &Entry)| {
        let title = format!("`{}` of {}", left, table.title());
        let piece = TableReader::new(&entry.node, title, entry.key.clone(), table.errors())?;
        if left
            .split('.')
            .filter(|segment| segment.contains("{e}"))
            .any(|s| s != "{e}")
            || left.matches("{e}").count() > 1
        {
            table.report(
                Diagnostic::error(format!("`{{e}}` in `{left}` must be one whole segment"))
                    .primary(entry.key.clone())
                    .help("write `experts.{e}.down_proj.weight`: `{e}` is the index of dim 0 of the stored tensor"),
            );
        }
        Some((left.to_owned(), read_piece(piece)?))
    };
    table.rest().filter_map(one).collect()
}

fn read_piece(mut table: TableReader<'_>) -> Option<PackedFile> {
    let from = table.required("from", "from = \"experts.gate_up_proj\"");
    let part = table.entry("part").map(|entry| (entry, read_part(&table, entry)));
    let transposed = table.boolean("transposed").unwrap_or(false);
    let interleaved = table.boolean("interleaved").unwrap_or(false);
    let equal = matches!(
        &part,
        Some((
            _,
            Some(PartOf {
                of: PartsFile::Equal(_),
                ..
            }) | None
        ))
    );
    if interleaved && !equal {
        let message = "`interleaved` needs equal parts: `part = [k, n]`";
        table.report(Diagnostic::error(message).primary(table.place().clone()));
    }
    table.finish_below();
    Some(PackedFile {
        from: from?.value,
        part: match part {
            Some((_, part)) => Some(part?),
            None => None,
        },
        transposed,
        interleaved,
    })
}

fn read_part(table: &TableReader<'_>, entry: &Entry) -> Option<PartOf> {
    let node = &entry.node;
    let expected = "`[k, n]`, the k-th of n equal parts, or `[k, \"sizes\"]`, an equation for the list of their sizes";
    let NodeValue::Array(items) = &node.value else {
        return table.wrong(node, "part", expected);
    };
    let [index, of] = items.as_slice() else {
        return table.wrong(node, "part", expected);
    };
    let NodeValue::Integer(index) = index.value else {
        return table.wrong(index, "part", expected);
    };
    let equal = match of.value {
        NodeValue::Integer(n) => Some(n),
        _ => None,
    };
    if index < 0 || equal.is_some_and(|n| index >= n || n > MAX_PARTS) {
        let message = match equal {
            Some(n) => format!("there is no part {index} of {n}: parts are counted from 0"),
            None => format!("there is no part {index}: parts are counted from 0"),
        };
        table.report(Diagnostic::error(message).primary(node.label("")));
        return None;
    }
    let of = match equal {
        Some(n) => PartsFile::Equal(n.unsigned_abs()),
        None => PartsFile::Equation(table.node_equation(of, "part")?),
    };
    Some(PartOf {
        index: index.unsigned_abs(),
        of,
    })
}
