//! `sli-pipe plugins check FILES...`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sli_config::Diagnostic;
use sli_config::plugin::PluginKind;
use sli_plugin::{Host, Level};

use super::args::CheckPluginsArgs;
use crate::failure::{Failure, Outcome};
use crate::format::many;
use crate::output::{print, print_json, say, show};
use crate::plugins::{host, wasm_files};

/// What was found in one file.
struct Checked {
    file: PathBuf,
    /// What is to be said if nothing is wrong.
    words: String,
    errors: Vec<Diagnostic>,
}

/// Checks every plugin and says how many are fine.
pub(super) fn check(args: &CheckPluginsArgs) -> Outcome {
    let config = args.config.as_deref().map(read_config).transpose()?;
    let host = host()?;
    let files = collect(&args.files)?;
    let checked: Vec<Checked> = files.into_iter().map(|file| one(host, file, config.as_ref())).collect();
    for one in &checked {
        show(&one.errors);
    }
    let fine = checked.iter().filter(|checked| checked.errors.is_empty()).count();
    if args.json {
        let files: Vec<Value> = checked
            .iter()
            .map(|one| json!({ "file": one.file, "fine": one.errors.is_empty(), "diagnostics": one.errors }))
            .collect();
        print_json(&json!({ "fine": fine, "files": files }))?;
    } else {
        let words: String = checked.iter().map(|one| one.words.as_str()).collect();
        let all = many(checked.len() as u64, "plugin");
        print(&format!("{words}{fine} of {all} fine\n"))?;
    }
    if fine == checked.len() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

fn one(host: &Host, file: PathBuf, config: Option<&Value>) -> Checked {
    match proven(host, &file, config) {
        Ok(words) => Checked {
            file,
            words,
            errors: Vec::new(),
        },
        Err(errors) => Checked {
            file,
            words: String::new(),
            errors,
        },
    }
}

/// Loads and starts a plugin; a family makes its plan twice.
fn proven(host: &Host, file: &Path, config: Option<&Value>) -> Result<String, Vec<Diagnostic>> {
    let plugin = host.load(file)?;
    plugin.prepare().map_err(|error| vec![error])?;
    plugin.check()?;
    let manifest = plugin.manifest();
    let (id, kind) = (plugin.id(), manifest.kind.as_str());
    let mut words = format!(
        "`{id}` {}: {kind}, plugin API {}",
        manifest.version,
        plugin.api_version()
    );
    if let (PluginKind::Family, Some(config)) = (manifest.kind, config) {
        let plan = plugin.family().check(config);
        for message in plugin.messages() {
            let level = match message.level {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Warning => "warning",
            };
            say(&format!("{id}: {level}: {}\n", message.text));
        }
        let layers: usize = plan?.stacks.iter().map(|stack| stack.layers.len()).sum();
        words += &format!(", a plan of {}", many(layers as u64, "layer"));
    }
    Ok(words + "\n")
}

fn read_config(file: &Path) -> Outcome<Value> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::input(Diagnostic::error(format!("`{}` cannot be read: {why}", file.display())))
    };
    let text = std::fs::read_to_string(file).map_err(|why| failed(&why))?;
    serde_json::from_str(&text).map_err(|why| failed(&why))
}

/// The files named, and all `.wasm` files of the folders named.
fn collect(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let found = wasm_files(path)?;
        if found.is_empty() {
            let message = format!("the folder `{}` holds no `.wasm` file", path.display());
            return Err(Failure::input(
                Diagnostic::error(message).help("name a plugin, or a folder of them"),
            ));
        }
        files.extend(found);
    }
    Ok(files)
}
