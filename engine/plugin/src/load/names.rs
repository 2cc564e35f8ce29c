//! The names of a component's imports and exports, held against its manifest and the versions of the contract.

use sli_config::Diagnostic;
use sli_config::plugin::PluginManifest;

use super::bytes::Found;
use crate::api::{NEWEST, Version, interface_of, name_parts};

const PACKAGE: &str = "sli-pipe:plugin";

/// The version of the contract that a plugin was made for.
///
/// # Errors
/// Another version than this program talks, imports that there are not, exports that are missing.
pub(super) fn check(name: &str, found: &Found, manifest: &PluginManifest) -> Result<Version, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut version = None;
    for import in &found.imports {
        match part_of_contract(name, import) {
            Ok(Some((interface, made_for))) => {
                errors.extend(import_error(name, interface, manifest));
                version = version.or(Some(made_for));
            }
            Ok(None) => errors.push(foreign_import(name, import)),
            Err(error) => return Err(vec![error]),
        }
    }
    let mut exported = Vec::new();
    for export in &found.exports {
        match part_of_contract(name, export) {
            Ok(Some((interface, made_for))) => {
                exported.push(interface);
                version = version.or(Some(made_for));
            }
            Ok(None) => {}
            Err(error) => return Err(vec![error]),
        }
    }
    for wanted in ["about", interface_of(manifest.kind)] {
        if !exported.contains(&wanted) {
            let message = format!(
                "`{name}` does not export `{PACKAGE}/{wanted}@{NEWEST}`, as a plugin of kind `{}` must",
                manifest.kind.as_str()
            );
            let others: Vec<&str> = exported.iter().copied().filter(|other| *other != "about").collect();
            let note = format!("it exports `{}`", others.join("`, `"));
            let error = Diagnostic::error(message).primary(manifest.id.label("the manifest"));
            errors.push(if others.is_empty() { error } else { error.note(note) });
        }
    }
    match version {
        Some(version) if errors.is_empty() => Ok(version),
        _ => Err(errors),
    }
}

/// Interface and version of a name of the contract; `None` for another name.
fn part_of_contract<'a>(file: &str, name: &'a str) -> Result<Option<(&'a str, Version)>, Diagnostic> {
    let Some((PACKAGE, interface, version)) = name_parts(name) else {
        return Ok(None);
    };
    let Some(version) = version.and_then(Version::parse) else {
        return Err(
            Diagnostic::error(format!("`{file}`: `{name}` names no version of the plugin API")).help(format!(
                "this sli-pipe has {NEWEST}; rebuild the plugin with the SDK of this version"
            )),
        );
    };
    match version.supported() {
        Ok(()) => Ok(Some((interface, version))),
        Err((message, help)) => Err(Diagnostic::error(format!("`{file}`: {message}")).help(help)),
    }
}

/// What is wrong with an import of the contract.
fn import_error(name: &str, interface: &str, manifest: &PluginManifest) -> Option<Diagnostic> {
    let asks = match interface {
        "log" => manifest.asks.log,
        "folder" if !manifest.kind.is_stage() => {
            let kind = manifest.kind.as_str();
            return Some(Diagnostic::error(format!(
                "`{name}` reads a folder, which a plugin of kind `{kind}` cannot"
            )));
        }
        "folder" => manifest.asks.folder,
        // types of the contract carry no capability
        "tables" => true,
        other => return Some(foreign_import(name, other)),
    };
    (!asks).then(|| {
        Diagnostic::error(format!(
            "`{name}` uses `{interface}`, but its manifest does not ask for it"
        ))
        .primary(manifest.id.label("in this manifest"))
        .help(format!(
            "add `{interface} = true` to the table `[asks]` of the manifest"
        ))
    })
}

fn foreign_import(name: &str, import: &str) -> Diagnostic {
    if import.starts_with("wasi:") || import.starts_with("wasi_") {
        return Diagnostic::error(format!("`{name}` imports `{import}`, and there is no WASI here"))
            .note("a plugin has no files, no clock, no network and no environment")
            .help("build it for `wasm32-unknown-unknown` instead of a WASI target");
    }
    Diagnostic::error(format!("`{name}` imports `{import}`, which sli-pipe does not have")).help(format!(
        "a plugin may import `{PACKAGE}/log@{NEWEST}` and, as a stage, `{PACKAGE}/folder@{NEWEST}`"
    ))
}
