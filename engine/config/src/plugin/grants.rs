//! What a user grants to plugins: `[plugin.<id>]` of a pipeline, `[<id>]` of the user's settings.

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Label};
use crate::pipeline::ByteSize;
use crate::plugin::id::is_plugin_id;
use crate::read::table::{Errors, TableReader};
use crate::read::tree::parse_document;
use crate::source::{Located, SourceFile};

/// What one plugin may do, as one file grants it. A plugin gets only what its manifest asks for as well.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GrantSection {
    /// The plugin's id in its heading.
    #[serde(skip)]
    pub id: Located<String>,
    /// It may write lines to the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub log: Option<Located<bool>>,
    /// The folder whose files it may read, absolute or relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub folder: Option<Located<String>>,
    /// How much memory a call may have at most: `"1GiB"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Located<ByteSize>>,
    /// How many seconds a call may take at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: Option<Located<u32>>,
}

/// Reads the user's settings, `plugins.toml`: a table of grants for each plugin, by its id.
///
/// # Errors
/// All that is wrong with the file, in the order of its places.
pub fn parse_grants(file: Arc<SourceFile>) -> Result<IndexMap<String, GrantSection>, Vec<Diagnostic>> {
    let (root, found) = parse_document(&file);
    if found.has_errors() {
        return Err(found.into_sorted());
    }
    let errors = Errors::default();
    let grants = read_grants(&TableReader::document(&root, &errors));
    errors.into_inner().or(grants)
}

/// All entries of a table of grants.
pub(crate) fn read_grants(tables: &TableReader<'_>) -> IndexMap<String, GrantSection> {
    let mut grants = IndexMap::new();
    for (id, entry) in tables.rest() {
        if !is_plugin_id(id) {
            tables.report(not_an_id(id, entry.key.clone()));
            continue;
        }
        let title = tables.sub_title(id);
        if let Some(table) = TableReader::new(&entry.node, title, entry.key.clone(), tables.errors()) {
            grants.insert(id.to_owned(), read_section(id, &entry.key, table));
        }
    }
    grants
}

fn read_section(id: &str, key: &Label, mut table: TableReader<'_>) -> GrantSection {
    let section = GrantSection {
        id: Located {
            value: id.to_owned(),
            file: Arc::clone(&key.file),
            span: key.span.clone(),
        },
        log: table.located("log", TableReader::boolean),
        folder: table
            .entry("folder")
            .is_some()
            .then(|| table.filled("folder", ""))
            .flatten(),
        memory: table.located("memory", TableReader::size),
        seconds: table.located("seconds", TableReader::seconds),
    };
    table.finish();
    section
}

/// What is said of a name that no plugin can have.
pub(crate) fn not_an_id(id: &str, place: Label) -> Diagnostic {
    Diagnostic::error(format!("`{id}` is no id of a plugin"))
        .primary(place)
        .note("an id is small letters, digits, `-` and `_`, at most 64, and starts with a letter or digit")
}

impl<'a> TableReader<'a> {
    /// What `read` gives, with the place of its value.
    pub(crate) fn located<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<Located<T>> {
        let node = &self.entry(key)?.node;
        let value = read(self, key)?;
        Some(Located {
            value,
            file: Arc::clone(&node.file),
            span: node.span.clone(),
        })
    }

    /// A deadline: at least a second, at most a day.
    pub(crate) fn seconds(&mut self, key: &'static str) -> Option<u32> {
        let seconds = self.integer(key, 1..=86_400)?;
        u32::try_from(seconds).ok()
    }
}
