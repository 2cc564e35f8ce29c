//! The whole of a family or std file.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::family::equation::Equations;
use crate::family::header::{read_abstract, read_id, read_matches};
use crate::family::stack::read_stacks;
use crate::family::tensor_names::read_names;
use crate::family::types::{BlockFile, FamilyFile, PartFile, Refuse};
use crate::read::table::{Errors, TableReader};
use crate::read::tree::{Entry, Node, parse_document};
use crate::source::{Located, SourceFile, Spanned};

/// The version of the family language that this crate reads.
pub const SCHEMA: u32 = 1;

/// Keys of the document that come before its first table.
const TOP_KEYS: &[&str] = &[
    "schema", "id", "title", "extends", "include", "needs", "abstract", "config",
];

/// Kinds of `[inputs]`, and what each holds for a row.
pub(crate) const INPUT_KINDS: &[(&str, &str)] = &[
    ("images", "Images, `[C, H, W]` each, already scaled and normalised."),
    ("frames", "Spectrograms, `[mel, T]` each."),
    ("samples", "Audio samples."),
    ("rows", "Ready vectors, `[N, C]`: they enter a stack as they are."),
    ("grid", "Lists of `[t, h, w]`: how patches are arranged."),
    ("ids", "Integers, a list of them per row: a token set of their own."),
    ("per_token", "One number per token."),
];

/// Reads a family file. `file.name` may be a path; its stem must be the file's `id`.
///
/// # Errors
/// All that is wrong with the file taken alone: syntax, keys, types, names. Equations are not parsed, and
/// `extends` and `include` are not followed.
pub fn parse_family(file: Arc<SourceFile>) -> Result<FamilyFile, Vec<Diagnostic>> {
    let (root, found) = parse_document(&file);
    if found.has_errors() {
        return Err(found.into_sorted());
    }
    let errors = Errors::default();
    let family = read_family(&root, &errors);
    finish(errors, family)
}

/// Reads a std file, `families/<id>.toml` with an id like `std/moe`, which has no `schema`, `id` or `title`
/// of its own and only the tables that can be included.
///
/// # Errors
/// As for [`parse_family`].
pub fn parse_std(file: Arc<SourceFile>, id: &str) -> Result<FamilyFile, Vec<Diagnostic>> {
    let (root, found) = parse_document(&file);
    if found.has_errors() {
        return Err(found.into_sorted());
    }
    let errors = Errors::default();
    let mut reader = TableReader::document(&root, &errors);
    let family = FamilyFile {
        id: Spanned::new(id.to_owned(), 0..0),
        title: id.to_owned(),
        ..read_shared(&mut reader)
    };
    reader.finish_with(|key, diagnostic| {
        let family_only = TOP_KEYS.contains(&key)
            || ["match", "refuse", "defaults", "args", "inputs", "stack", "part"].contains(&key);
        if family_only {
            diagnostic.note("this key belongs to families; a std file is only included by them")
        } else {
            diagnostic
        }
    });
    finish(errors, Some(family))
}

fn finish(errors: Errors, family: Option<FamilyFile>) -> Result<FamilyFile, Vec<Diagnostic>> {
    let found: Diagnostics = errors.into_inner();
    match family {
        Some(family) => found.or(family),
        None => Err(found.into_sorted()),
    }
}

fn read_family(root: &Node, errors: &Errors) -> Option<FamilyFile> {
    let mut reader = TableReader::document(root, errors);
    // Another version may have other keys, so nothing more could be said about the file.
    let schema = read_schema(&mut reader);
    if schema.is_none() && reader.entry("schema").is_some() {
        return None;
    }
    let id = read_id(&mut reader);
    let title = reader.required("title", "title = \"…\"");
    let extends = reader.string("extends").map(Located::spanned);
    let config = reader.text("config");
    let is_abstract = read_abstract(&mut reader);
    let matches = read_matches(&mut reader, is_abstract);
    let refuse = reader
        .tables("refuse", false)
        .into_iter()
        .filter_map(read_refuse)
        .collect();
    let defaults = reader.json_map("defaults");
    let args = reader.equations("args", "an argument");
    let inputs = read_inputs(&mut reader);
    let stacks = read_stacks(&mut reader);
    let parts = named_tables(&mut reader, "part", read_part);
    let shared = read_shared(&mut reader);
    reader.finish();
    Some(FamilyFile {
        schema: schema?,
        id: id?,
        title: title?.value,
        extends,
        config,
        is_abstract,
        matches,
        refuse,
        defaults,
        args,
        inputs,
        stacks,
        parts,
        ..shared
    })
}

/// What families and std files have in common; the rest is empty.
fn read_shared(reader: &mut TableReader<'_>) -> FamilyFile {
    FamilyFile {
        file: Arc::clone(reader.file()),
        schema: SCHEMA,
        id: Spanned::new(String::new(), 0..0),
        title: String::new(),
        extends: None,
        config: None,
        include: spanned_list(reader, "include"),
        needs: spanned_list(reader, "needs"),
        is_abstract: false,
        matches: Vec::new(),
        refuse: Vec::new(),
        ignore_config: reader.string_map("ignore_config"),
        defaults: IndexMap::new(),
        values: reader.values("values"),
        args: Equations::new(),
        inputs: IndexMap::new(),
        names: reader.sub("names").map(read_names).unwrap_or_default(),
        embed: reader.equations("embed", "an equation"),
        stacks: Vec::new(),
        layers: named_tables(reader, "layer", |table| Some(table.rest_as_equations("an equation"))),
        blocks: read_blocks(reader),
        parts: IndexMap::new(),
        head: reader.equations("head", "an equation"),
    }
}

fn spanned_list(reader: &mut TableReader<'_>, key: &'static str) -> Vec<Spanned<String>> {
    reader
        .strings(key)
        .unwrap_or_default()
        .into_iter()
        .map(Located::spanned)
        .collect()
}

fn read_schema(reader: &mut TableReader<'_>) -> Option<u32> {
    reader.require("schema", "schema = 1");
    let version = reader.integer("schema", 0..=u64::from(u32::MAX))?;
    if version == u64::from(SCHEMA) {
        return Some(SCHEMA);
    }
    let label = reader.entry("schema")?.node.label("");
    reader.report(
        Diagnostic::error(format!("this family is written in version {version} of the language"))
            .primary(label)
            .help(format!(
                "this program reads version {SCHEMA}: use another version of it, or write `schema = {SCHEMA}`"
            )),
    );
    None
}

fn read_inputs(reader: &mut TableReader<'_>) -> IndexMap<String, String> {
    let Some(table) = reader.sub("inputs") else {
        return IndexMap::new();
    };
    let kind = |(name, entry): (&str, &Entry)| {
        let kind = table.node_string(&entry.node, name)?;
        let known = INPUT_KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        if !known.contains(&kind.as_str()) {
            table.report(
                Diagnostic::error(format!("`{}` is no kind of input", kind.value))
                    .primary(kind.label(""))
                    .help(crate::suggest::known_help(&kind, &known)),
            );
            return None;
        }
        Some((name.to_owned(), kind.value))
    };
    table.rest().filter_map(kind).collect()
}

fn read_refuse(mut table: TableReader<'_>) -> Option<Refuse> {
    let name = table.text("name");
    table.require("when", "when = \"…\"");
    let when = table.equation("when");
    let why = table.required("why", "why = \"…\"");
    table.finish_below();
    Some(Refuse {
        name,
        when: when?,
        why: why?.value,
    })
}

fn read_blocks(reader: &mut TableReader<'_>) -> IndexMap<String, BlockFile> {
    let Some(blocks) = reader.sub("block") else {
        return IndexMap::new();
    };
    for (name, entry) in blocks.rest() {
        blocks.check_name(name, "a block", entry);
    }
    each_table(&blocks, |mut table| {
        Some(BlockFile {
            args: table.equations("args", "an argument"),
            doc: table.text("doc"),
            equations: table.rest_as_equations("an equation"),
            file: Arc::clone(table.file()),
            span: table.place().span.clone(),
        })
    })
}

fn read_part(mut table: TableReader<'_>) -> Option<PartFile> {
    let part = PartFile {
        family: table.equation("family"),
        config: table.equation("config"),
        at: table.texts("at"),
        input: table.equation("input"),
        positions: table.equation("positions"),
        blocks: table.equation("blocks"),
        args: table.equations("args", "an argument"),
        set: table.json_map("set"),
        ignore_config: table.string_map("ignore_config"),
        file: Arc::clone(table.file()),
        span: table.place().span.clone(),
    };
    table.finish_below();
    Some(part)
}

/// The tables `[key.<name>]`.
fn named_tables<T>(
    reader: &mut TableReader<'_>,
    key: &'static str,
    read: impl FnMut(TableReader<'_>) -> Option<T>,
) -> IndexMap<String, T> {
    reader
        .sub(key)
        .map(|tables| each_table(&tables, read))
        .unwrap_or_default()
}

fn each_table<T>(tables: &TableReader<'_>, mut read: impl FnMut(TableReader<'_>) -> Option<T>) -> IndexMap<String, T> {
    let one = |(name, entry): (&str, &Entry)| {
        let table = TableReader::new(&entry.node, tables.sub_title(name), entry.key.clone(), tables.errors())?;
        Some((name.to_owned(), read(table)?))
    };
    tables.rest().filter_map(one).collect()
}

impl TableReader<'_> {
    /// [`finish`](Self::finish), with the reason where a key of the document slipped below a table.
    pub(super) fn finish_below(self) {
        let title = self.title().to_owned();
        self.finish_with(|key, diagnostic| {
            if !TOP_KEYS.contains(&key) {
                return diagnostic;
            }
            diagnostic
                .note(format!(
                    "a key below {title} belongs to that table, whatever blank lines are between"
                ))
                .help(format!("move `{key}` above the first table of the file"))
        });
    }
}
