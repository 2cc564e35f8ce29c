//! What detection reads: `id`, `abstract` and `[match]`, whatever the rest of the file looks like.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::family::types::{FamilyHeader, MatchTable};
use crate::read::table::{Errors, TableReader};
use crate::read::tree::{NodeValue, parse_document};
use crate::source::{Located, SourceFile, Spanned};

/// Reads what detection needs, from a file that may be broken elsewhere.
///
/// # Errors
/// What is wrong with `id`, `abstract` and `[match]`; the file's syntax errors too if one of these is missing
/// and may be lost behind them.
pub fn parse_header(file: Arc<SourceFile>) -> Result<FamilyHeader, Vec<Diagnostic>> {
    let (root, syntax) = parse_document(&file);
    let errors = Errors::default();
    let mut reader = TableReader::document(&root, &errors);
    let id = read_id(&mut reader);
    let is_abstract = read_abstract(&mut reader);
    let matches = read_matches(&mut reader, is_abstract);
    let found = errors.into_inner();
    match id {
        Some(id) if !found.has_errors() => Ok(FamilyHeader {
            file,
            id,
            is_abstract,
            matches,
        }),
        _ if !syntax.is_empty() => Err(syntax.into_sorted()),
        _ => Err(found.into_sorted()),
    }
}

/// `id`, which must be the stem of the file's name.
pub(super) fn read_id(reader: &mut TableReader<'_>) -> Option<Spanned<String>> {
    let stem = file_stem(&reader.file().name).map(str::to_owned);
    let id = reader.required("id", &format!("id = \"{}\"", stem.as_deref().unwrap_or("…")))?;
    if let Some(stem) = stem.filter(|stem| *stem != id.value) {
        reader.report(
            Diagnostic::error(format!(
                "the family's id is `{}`, but the file is called `{stem}.toml`",
                id.value
            ))
            .primary(id.label("must be the file's name"))
            .help(format!(
                "write `id = \"{stem}\"`, or rename the file to `{}.toml`",
                id.value
            )),
        );
    }
    Some(id.spanned())
}

/// `llama` of `families/llama.toml`; nothing if the name is not that of a TOML file.
fn file_stem(name: &str) -> Option<&str> {
    name.rsplit(['/', '\\']).next()?.strip_suffix(".toml")
}

pub(super) fn read_abstract(reader: &mut TableReader<'_>) -> bool {
    reader.boolean("abstract").unwrap_or(false)
}

/// `[match]` or `[[match]]`.
pub(super) fn read_matches(reader: &mut TableReader<'_>, is_abstract: bool) -> Vec<MatchTable> {
    let absent = reader
        .entry("match")
        .is_none_or(|entry| matches!(&entry.node.value, NodeValue::Array(tables) if tables.is_empty()));
    if absent && !is_abstract {
        reader.report(
            Diagnostic::error("the family says nowhere which models it describes")
                .primary(reader.place().clone())
                .help("add a `[match]` table with `model_types` or `architectures`")
                .help("write `abstract = true` if the family is only a parent of others"),
        );
    }
    reader.tables("match", true).into_iter().map(read_match).collect()
}

/// One `[match]` table.
pub(crate) fn read_match(mut table: TableReader<'_>) -> MatchTable {
    let mut list = |key| {
        let words = table.strings(key)?;
        Some(
            words
                .into_iter()
                .map(|word: Located<String>| word.value)
                .collect::<Vec<_>>(),
        )
    };
    let model_types = list("model_types");
    let architectures = list("architectures");
    let when = table.equation("when");
    let place = table.place().clone();
    if table.is_empty() {
        table.report(
            Diagnostic::error("an empty `[match]` would match every model")
                .primary(place.clone())
                .help("add `model_types`, `architectures` or `when`"),
        );
    }
    table.finish_below();
    MatchTable {
        model_types,
        architectures,
        when,
        span: place.span,
    }
}
