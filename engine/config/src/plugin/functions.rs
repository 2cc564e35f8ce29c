//! `[functions.<name>]` of `op` plugins.

use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::family::reserved_word;
use crate::plugin::types::FunctionDef;
use crate::read::table::TableReader;
use crate::read::tree::NodeValue;
use crate::source::Located;

/// Most results of a function.
const MAX_OUTPUTS: usize = 64;

/// Reads the tables of all functions.
pub(super) fn read_functions(tables: &TableReader<'_>) -> IndexMap<String, FunctionDef> {
    let mut functions = IndexMap::new();
    for (name, entry) in tables.rest() {
        if let Some(reason) = reserved_word(name) {
            tables.report(
                Diagnostic::error(format!("`{name}` cannot be the name of a function"))
                    .primary(entry.key.clone())
                    .note(reason)
                    .help("choose another name"),
            );
        }
        let title = tables.sub_title(name);
        let Some(table) = TableReader::new(&entry.node, title, entry.key.clone(), tables.errors()) else {
            continue;
        };
        if let Some(function) = read_function(table) {
            functions.insert(name.to_owned(), function);
        }
    }
    functions
}

fn read_function(mut table: TableReader<'_>) -> Option<FunctionDef> {
    table.require("doc", "doc = \"x [N, C] -> [N, C]: …\"");
    let doc = table.entry("doc").and_then(|_| table.filled("doc", ""));
    table.require("inputs", "inputs = [\"x\"]");
    let inputs = read_names(&mut table, "inputs", true);
    table.require("outputs", "outputs = [\"out\"]");
    let outputs = read_names(&mut table, "outputs", false);
    if let (Some(outputs), Some(entry)) = (&outputs, table.entry("outputs"))
        && matches!(&entry.node.value, NodeValue::Array(items) if items.is_empty())
    {
        debug_assert!(outputs.is_empty());
        let place = entry.node.label("");
        table.report(
            Diagnostic::error("a function without results would never be called")
                .primary(place)
                .help("name its results, as `outputs = [\"out\"]`"),
        );
    }
    let options = table.options("options");
    table.finish();
    Some(FunctionDef {
        doc: doc?.value,
        inputs: inputs?,
        outputs: outputs?,
        options,
    })
}

/// Names of tensors, each once; inputs may end in `?`.
fn read_names(table: &mut TableReader<'_>, key: &'static str, may_be_null: bool) -> Option<Vec<String>> {
    let names = table.strings(key)?;
    let mut seen: Vec<&Located<String>> = Vec::new();
    for name in &names {
        let bare = if may_be_null {
            name.strip_suffix('?').unwrap_or(name)
        } else {
            name
        };
        if let Some(reason) = reserved_word(bare) {
            let help = (!may_be_null && bare.ends_with('?')).then(|| "only inputs may be null".to_owned());
            table.report(
                Diagnostic::error(format!("`{}` cannot be one of the `{key}`", name.value))
                    .primary(name.label(""))
                    .note(reason)
                    .help_opt(help),
            );
        }
        let same = |other: &&Located<String>| other.trim_end_matches('?') == bare;
        if let Some(first) = seen.iter().copied().find(|other| same(other)) {
            table.report(
                Diagnostic::error(format!("`{bare}` stands twice in `{key}`"))
                    .primary(name.label("the second"))
                    .secondary(first.label("the first")),
            );
        }
        seen.push(name);
    }
    if names.len() > MAX_OUTPUTS {
        let place = names[MAX_OUTPUTS].label("");
        table.report(Diagnostic::error(format!("at most {MAX_OUTPUTS} `{key}` are allowed")).primary(place));
    }
    Some(names.into_iter().map(|name| name.value).collect())
}
