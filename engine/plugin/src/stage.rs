//! Plugins as stages: filters of documents, reducers of values, formatters of rows.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_config::plugin::PluginKind;

use crate::api::{Answer, Guest};
use crate::call::{Call, invalid, refusal};
use crate::data::{Block, Cell, Column, Document, Grants, Message, PointState, TableRows};
use crate::folder::Folder;
use crate::limits::{FORMAT_BYTES, RESULT_SLACK, STATE_BYTES, TABLE_BYTES, TABLE_COLUMNS, TABLE_ROWS, TEXT_FACTOR};
use crate::options::validate_options;
use crate::plugin::Plugin;
use crate::state::State;
use wasmtime::Store;

/// A plugin with the options and grants of one stage.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    plugin: Plugin,
    options: String,
    folder: Option<Arc<Folder>>,
}

impl Stage {
    pub(crate) fn new(plugin: &Plugin, kind: PluginKind, options: &Json, grants: &Grants) -> Result<Stage, Diagnostic> {
        let manifest = plugin.manifest();
        let id = plugin.id();
        if manifest.kind != kind {
            let (is, wanted) = (manifest.kind.as_str(), kind.as_str());
            return Err(Diagnostic::error(format!(
                "the plugin `{id}` is of kind `{is}`, and a `{wanted}` is wanted here"
            ))
            .primary(manifest.id.label("this plugin")));
        }
        let none = Json::Object(serde_json::Map::new());
        let options = if options.is_null() { &none } else { options };
        let wrong = validate_options(manifest.options.as_ref(), options)?;
        if !wrong.is_empty() {
            let error = Diagnostic::error(format!("the options of the plugin `{id}` do not fit"));
            return Err(wrong.iter().fold(error, |error, wrong| {
                let place = if wrong.pointer.is_empty() {
                    "with"
                } else {
                    &wrong.pointer
                };
                error.note(format!("{place}: {}", wrong.message))
            }));
        }
        let folder = match &grants.folder {
            Some(path) if manifest.asks.folder => Some(Arc::new(Folder::open(path, id)?)),
            _ => None,
        };
        Ok(Stage {
            plugin: plugin.granted(grants.clone()),
            options: options.to_string(),
            folder,
        })
    }

    fn run<T>(
        &self,
        function: &str,
        input: usize,
        result: usize,
        call: impl FnOnce(&dyn Guest, &mut Store<State>) -> Answer<T>,
    ) -> Result<T, Diagnostic> {
        let folder = self.folder.clone();
        Call {
            folder,
            ..self.plugin.own_call(function)
        }
        .run(input, result, call)?
        .map_err(|why| refusal(&self.plugin, function, &why))
    }

    fn invalid(&self, function: &str, why: impl std::fmt::Display) -> Diagnostic {
        invalid(&self.plugin, function, why)
    }
}

/// What every stage of a plugin can be asked.
macro_rules! common {
    ($stage:ident) => {
        impl $stage {
            /// The plugin.
            pub fn plugin(&self) -> &Plugin {
                &self.0.plugin
            }

            /// What it wrote to its log since this was last asked.
            pub fn messages(&self) -> Vec<Message> {
                self.0.plugin.messages()
            }
        }
    };
}

/// A filter of documents.
#[derive(Clone, Debug)]
pub struct Filter(pub(crate) Stage);
/// A reducer of the values of points.
#[derive(Clone, Debug)]
pub struct Reducer(pub(crate) Stage);
/// A formatter of rows.
#[derive(Clone, Debug)]
pub struct Formatter(pub(crate) Stage);

common!(Filter);
common!(Reducer);
common!(Formatter);

impl Filter {
    /// What becomes of each document, in their order: no text drops it, one replaces it, several split it.
    ///
    /// # Errors
    /// A call that fails or breaks a limit, another number of answers than documents, the plugin's own words.
    pub fn run(&self, documents: &[Document]) -> Result<Vec<Vec<String>>, Diagnostic> {
        let size = |d: &Document| d.id.len() + d.text.len() + d.fields.len();
        let input: usize = documents.iter().map(size).sum();
        let result = input * TEXT_FACTOR + documents.len() * 64 + RESULT_SLACK;
        let answers = self.0.run("filter", input, result, |guest, store| {
            guest.filter(store, &self.0.options, documents)
        })?;
        if answers.len() == documents.len() {
            return Ok(answers);
        }
        let (given, found) = (documents.len(), answers.len());
        Err(self
            .0
            .invalid("filter", format!("{found} answers for {given} documents")))
    }
}

impl Reducer {
    /// The next state of a point; `state` is what its last step gave, empty at first.
    ///
    /// # Errors
    /// A call that fails or breaks a limit, the plugin's own words.
    pub fn step(&self, state: &[u8], block: &Block) -> Result<Vec<u8>, Diagnostic> {
        let pieces: usize = block.pieces.iter().map(|piece| piece.document.len() + 16).sum();
        let input = state.len() + block.values.len() * 4 + block.tokens.len() * 8 + pieces;
        self.0.run("step", input, STATE_BYTES, |guest, store| {
            guest.step(store, &self.0.options, state, block)
        })
    }

    /// The table, from the last states of all points in the order of the model.
    ///
    /// # Errors
    /// A call that fails or breaks a limit, a table whose rows do not fit its columns, the plugin's own words.
    pub fn finish(&self, states: &[PointState]) -> Result<TableRows, Diagnostic> {
        let input = states.iter().map(|state| state.state.len() + state.point.len()).sum();
        let table = self.0.run("finish", input, TABLE_BYTES, |guest, store| {
            guest.finish(store, &self.0.options, states)
        })?;
        check_table(&table).map_err(|why| self.0.invalid("finish", why))?;
        Ok(table)
    }
}

impl Formatter {
    /// The bytes of some rows, to be appended to the file; `first` and `last` mark the first and the last call.
    ///
    /// # Errors
    /// A call that fails or breaks a limit, the plugin's own words.
    pub fn format(
        &self,
        columns: &[Column],
        rows: &[Vec<Cell>],
        first: bool,
        last: bool,
    ) -> Result<Vec<u8>, Diagnostic> {
        let size = |cell: &Cell| match cell {
            Cell::Text(text) => text.len() + 16,
            _ => 16,
        };
        let input: usize = rows.iter().flatten().map(size).sum();
        let result = (input * TEXT_FACTOR).max(FORMAT_BYTES);
        self.0.run("format", input, result, |guest, store| {
            guest.format(store, &self.0.options, columns, rows, first, last)
        })
    }

    /// How the names of its files end, without the dot.
    pub fn extension(&self) -> &str {
        self.0.plugin.manifest().extension.as_deref().unwrap_or("txt")
    }
}

fn check_table(table: &TableRows) -> Result<(), String> {
    let columns = &table.columns;
    if columns.is_empty() || columns.len() > TABLE_COLUMNS {
        return Err(format!(
            "a table of {} columns; 1 to {TABLE_COLUMNS} are possible",
            columns.len()
        ));
    }
    let mut names = HashSet::new();
    for column in columns {
        if column.name.is_empty() || column.name.len() > 200 || column.name.chars().any(char::is_control) {
            let name = sli_pack::clean(&column.name, 60);
            return Err(format!("`{name}` is no name of a column"));
        }
        if !names.insert(column.name.as_str()) {
            return Err(format!("two columns `{}`", column.name));
        }
    }
    if table.rows.len() > TABLE_ROWS {
        return Err(format!(
            "a table of {} rows; the limit is {TABLE_ROWS}",
            table.rows.len()
        ));
    }
    for (at, row) in table.rows.iter().enumerate() {
        if row.len() != columns.len() {
            return Err(format!(
                "row {at} has {} cells, and there are {} columns",
                row.len(),
                columns.len()
            ));
        }
        for (cell, column) in row.iter().zip(columns) {
            if let Some(kind) = cell.kind().filter(|kind| *kind != column.kind) {
                let (found, wanted) = (kind.as_str(), column.kind.as_str());
                return Err(format!(
                    "row {at} has {found} in the column `{}`, which is {wanted}",
                    column.name
                ));
            }
        }
    }
    Ok(())
}
