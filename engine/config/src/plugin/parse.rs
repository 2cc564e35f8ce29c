//! From a manifest's text to a [`PluginManifest`].

use std::sync::Arc;

use semver::Version;

use crate::diagnostic::Diagnostic;
use crate::family::read_match;
use crate::plugin::functions::read_functions;
use crate::plugin::grants::not_an_id;
use crate::plugin::id::{is_extension, is_plugin_id};
use crate::plugin::types::{Asks, PluginKind, PluginManifest};
use crate::read::table::{Errors, TableReader};
use crate::read::tree::{Node, NodeValue, parse_document};
use crate::source::{Located, SourceFile};

/// The version of the manifest's form that this crate reads.
const SCHEMA: u64 = 1;

/// What `version` may be: semantic versioning, as its own page states it, without names for the groups.
pub(crate) const VERSION_PATTERN: &str = concat!(
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)",
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$"
);

/// Keys that some kinds have, and which.
const KEYS_OF_KINDS: &[(&str, &[PluginKind], &str)] = &[
    (
        "match",
        &[PluginKind::Family],
        "it says which models a family describes",
    ),
    ("functions", &[PluginKind::Op], "it lists what equations may call"),
    (
        "options",
        &[PluginKind::Filter, PluginKind::Reducer, PluginKind::Formatter],
        "it describes the `with` table of a stage",
    ),
    (
        "extension",
        &[PluginKind::Formatter],
        "it is how the names of a formatter's files end",
    ),
];

/// Reads a manifest. Where the file's name is that of a plugin (`x.wasm`, or `x.toml` beside it), the plugin's id
/// must be `x`; a manifest in a folder of sources is called `plugin.toml`.
///
/// # Errors
/// All that is wrong with it, in the order of the places.
pub fn parse_plugin(file: Arc<SourceFile>) -> Result<PluginManifest, Vec<Diagnostic>> {
    let (root, found) = parse_document(&file);
    if found.has_errors() {
        return Err(found.into_sorted());
    }
    let errors = Errors::default();
    let manifest = read_manifest(&root, &errors);
    let found = errors.into_inner();
    match manifest {
        Some(manifest) => found.or(manifest),
        None => Err(found.into_sorted()),
    }
}

fn read_manifest(root: &Node, errors: &Errors) -> Option<PluginManifest> {
    let mut reader = TableReader::document(root, errors);
    // Another version may have other keys, so nothing more could be said about the file.
    if !read_schema(&mut reader) {
        return None;
    }
    let id = read_id(&mut reader);
    let version = read_version(&mut reader);
    let title = reader.filled("title", "title = \"…\"");
    reader.require("kind", "kind = \"filter\"");
    let kind = reader.choice::<PluginKind>("kind");
    let asks = read_asks(reader.sub_or_empty("asks"), kind);
    let matches = reader.tables("match", true).into_iter().map(read_match).collect();
    let functions = reader.sub("functions").map(|tables| read_functions(&tables));
    let functions = functions.unwrap_or_default();
    let options = reader.options("options");
    let extension = read_extension(&mut reader);
    if let Some(kind) = kind {
        check_kind(&mut reader, kind);
    }
    let file = Arc::clone(reader.file());
    reader.finish();
    Some(PluginManifest {
        file,
        id: id?,
        version: version?,
        title: title?.value,
        kind: kind?,
        asks,
        matches,
        functions,
        options,
        extension,
    })
}

/// Whether the manifest is of the version that is read here, or does not say.
fn read_schema(reader: &mut TableReader<'_>) -> bool {
    reader.require("schema", "schema = 1");
    let Some(entry) = reader.entry("schema") else {
        return true;
    };
    match reader.integer("schema", 0..=u64::from(u32::MAX)) {
        Some(SCHEMA) => return true,
        Some(version) => reader.report(
            Diagnostic::error(format!("this manifest is written in version {version} of its form"))
                .primary(entry.node.label(""))
                .help(format!(
                    "this program reads version {SCHEMA}: use another version of it, or write `schema = {SCHEMA}`"
                )),
        ),
        None => {}
    }
    false
}

/// `id`, which must be the stem of the file's name where that is a plugin's.
fn read_id(reader: &mut TableReader<'_>) -> Option<Located<String>> {
    let stem = file_stem(&reader.file().name).map(str::to_owned);
    let id = reader.required("id", &format!("id = \"{}\"", stem.as_deref().unwrap_or("…")))?;
    if !is_plugin_id(&id) {
        reader.report(not_an_id(&id, id.label("")));
        return None;
    }
    if let Some(stem) = stem.filter(|stem| *stem != id.value) {
        reader.report(
            Diagnostic::error(format!(
                "the plugin's id is `{}`, but its file is called `{stem}`",
                id.value
            ))
            .primary(id.label("must be the file's name"))
            .help(format!("write `id = \"{stem}\"`, or rename the file to `{}`", id.value)),
        );
    }
    Some(id)
}

/// `x` of `plugins/x.wasm` and of `plugins/x.toml`; nothing of other names.
fn file_stem(name: &str) -> Option<&str> {
    let name = name.rsplit(['/', '\\']).next()?;
    let stem = name.strip_suffix(".toml").or_else(|| name.strip_suffix(".wasm"))?;
    (name != "plugin.toml").then_some(stem)
}

fn read_version(reader: &mut TableReader<'_>) -> Option<String> {
    let version = reader.required("version", "version = \"0.1.0\"")?;
    if let Err(error) = Version::parse(&version) {
        reader.report(
            Diagnostic::error(format!("`{}` is no version: {error}", version.value))
                .primary(version.label(""))
                .help("write it like `0.1.0`: major, minor, patch"),
        );
    }
    Some(version.value)
}

fn read_asks(mut table: TableReader<'_>, kind: Option<PluginKind>) -> Asks {
    let asks = Asks {
        log: table.boolean("log").unwrap_or(false),
        folder: table.boolean("folder").unwrap_or(false),
        memory: table.size("memory"),
        seconds: table.seconds("seconds"),
    };
    if let (true, Some(kind), Some(entry)) = (asks.folder, kind, table.entry("folder"))
        && !kind.is_stage()
    {
        table.report(
            Diagnostic::error(format!("a plugin of kind `{kind}` cannot read a folder"))
                .primary(entry.key.clone())
                .note("what it gives depends on its arguments alone; only stages may read files"),
        );
    }
    table.finish();
    asks
}

fn read_extension(reader: &mut TableReader<'_>) -> Option<String> {
    let extension = reader.string("extension")?;
    if !is_extension(&extension) {
        reader.report(
            Diagnostic::error(format!("`{}` cannot end the name of a file", extension.value))
                .primary(extension.label(""))
                .help("write small letters and digits without the first dot, as `csv`"),
        );
    }
    Some(extension.value)
}

/// Reports keys that other kinds have, and missing ones that this kind must have.
fn check_kind(reader: &mut TableReader<'_>, kind: PluginKind) {
    for (key, kinds, what) in KEYS_OF_KINDS {
        let Some(entry) = reader.entry(key).filter(|_| !kinds.contains(&kind)) else {
            continue;
        };
        let whose: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        reader.report(
            Diagnostic::error(format!("a plugin of kind `{kind}` has no `{key}`"))
                .primary(entry.key.clone())
                .note(format!("{what}; it belongs to {}", whose.join(", ")))
                .help(format!("remove `{key}`, or change `kind`")),
        );
    }
    let (key, example) = match kind {
        PluginKind::Family => ("match", "[match]` with `model_types = [\"…\"]"),
        PluginKind::Op => ("functions", "[functions.name]` with `doc`, `inputs` and `outputs"),
        PluginKind::Formatter => ("extension", "extension = \"csv\""),
        PluginKind::Filter | PluginKind::Reducer => return,
    };
    let empty = reader.entry(key).is_none_or(|entry| match &entry.node.value {
        NodeValue::Table(table) => key == "functions" && table.is_empty(),
        NodeValue::Array(items) => items.is_empty(),
        _ => false,
    });
    if empty {
        let place = reader.entry(key).map(|entry| entry.key.clone());
        let place = place.unwrap_or_else(|| {
            reader
                .entry("kind")
                .map_or(reader.place().clone(), |entry| entry.node.label(""))
        });
        reader.report(
            Diagnostic::error(format!("a plugin of kind `{kind}` must have `{key}`"))
                .primary(place)
                .help(format!("add `{example}`")),
        );
    }
}
