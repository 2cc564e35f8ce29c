//! `sli-pipe plugins list`.

use serde_json::{Value, json};
use sli_config::Diagnostic;
use sli_config::plugin::Asks;
use sli_plugin::Plugin;

use super::args::ListArgs;
use crate::args::FamilyDirs;
use crate::failure::Outcome;
use crate::output::{print, print_json, show, table, table_text};
use crate::plugins::{Found, Plugins};

/// Lists all plugins that are found; a broken one is a row, and a warning.
pub(super) fn list(args: &ListArgs) -> Outcome {
    let found = Plugins::find(&FamilyDirs {
        plugins: args.plugins.clone(),
        ..FamilyDirs::default()
    })?;
    let rows: Vec<Row> = found.into_iter().map(|(name, found)| Row::new(name, found)).collect();
    show(&rows.iter().filter_map(Row::warning).collect::<Vec<_>>());
    if args.json {
        let plugins: Vec<Value> = rows.iter().map(Row::to_json).collect();
        return print_json(&json!({ "plugins": plugins }));
    }
    if rows.is_empty() {
        return print("there are no plugins in `plugins/`, the configuration folder or `--plugins`\n");
    }
    let mut text = table(&["ID", "KIND", "VERSION", "TITLE", "ASKS FOR", "STATE", "FILE"], &[]);
    for row in &rows {
        text.add_row(row.cells());
    }
    print(&table_text(&text))
}

/// One file of the list.
struct Row {
    name: String,
    file: String,
    plugin: Result<Plugin, Vec<Diagnostic>>,
}

impl Row {
    fn new(name: String, found: Found) -> Row {
        Row {
            name,
            file: found.path.display().to_string(),
            plugin: found.plugin,
        }
    }

    fn cells(&self) -> [String; 7] {
        let file = self.file.clone();
        match &self.plugin {
            Ok(plugin) => {
                let manifest = plugin.manifest();
                [
                    manifest.id.value.clone(),
                    manifest.kind.as_str().to_owned(),
                    manifest.version.clone(),
                    manifest.title.clone(),
                    asked(&manifest.asks),
                    "fine".to_owned(),
                    file,
                ]
            }
            Err(_) => {
                let none = || "-".to_owned();
                [
                    self.name.clone(),
                    none(),
                    none(),
                    none(),
                    none(),
                    "broken".to_owned(),
                    file,
                ]
            }
        }
    }

    fn warning(&self) -> Option<Diagnostic> {
        let errors = self.plugin.as_ref().err()?;
        let why = errors.first().map_or("", |error| error.message.as_str());
        let warning = Diagnostic::warning(format!("the plugin `{}` cannot be used: {why}", self.name));
        Some(warning.help(format!("`sli-pipe plugins check {}` says all that is wrong", self.file)))
    }

    fn to_json(&self) -> Value {
        match &self.plugin {
            Ok(plugin) => {
                let manifest = plugin.manifest();
                json!({
                    "id": manifest.id.value, "kind": manifest.kind.as_str(), "version": manifest.version,
                    "title": manifest.title, "asks": asked(&manifest.asks), "api": plugin.api_version(),
                    "functions": manifest.functions.keys().collect::<Vec<_>>(), "digest": plugin.digest(),
                    "file": self.file, "diagnostics": [],
                })
            }
            Err(errors) => json!({ "id": self.name, "file": self.file, "diagnostics": errors }),
        }
    }
}

/// `log, memory 512MiB`.
fn asked(asks: &Asks) -> String {
    let words = [
        asks.log.then(|| "log".to_owned()),
        asks.folder.then(|| "folder".to_owned()),
        asks.memory.map(|memory| format!("memory {memory}")),
        asks.seconds.map(|seconds| format!("{seconds} seconds")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}
