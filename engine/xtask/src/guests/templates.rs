//! The templates of `sli-pipe plugins new`, filled in and built: what a user gets must compile.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Guest, build::Builder};
use crate::{failure::Failure, say, workspace::Workspace};

/// Fills in every template and builds it where `sli-pipe plugins new` would have put it: beside the SDK and the contract.
///
/// # Errors
/// One of them does not compile.
pub(crate) fn check(workspace: &Workspace, builder: &Builder<'_>) -> Result<(), Failure> {
    let plugins = workspace.root().join("plugins");
    let templates = plugins.join("templates");
    let scaffold = builder.scaffold_folder();
    if scaffold.exists() {
        fs::remove_dir_all(&scaffold).map_err(Failure::io("remove", &scaffold))?;
    }
    let same = |text: &str| text.to_owned();
    copy(&plugins.join("sdk"), &scaffold.join("sdk"), &same)?;
    copy(&plugins.join("wit"), &scaffold.join("wit"), &same)?;
    let mut folders: Vec<PathBuf> = fs::read_dir(&templates)
        .map_err(Failure::io("read", &templates))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    for template in folders {
        let id = format!("my-{}", template.file_name().unwrap_or_default().to_string_lossy());
        let folder = scaffold.join(&id);
        copy(&template, &folder, &|text| fill(text, &id))?;
        if folder.join("Cargo.toml").exists() {
            // The same versions as the guests', which are there already.
            let (lock, place) = (plugins.join("Cargo.lock"), folder.join("Cargo.lock"));
            fs::copy(&lock, &place).map_err(Failure::io("copy", &lock))?;
        }
        let guest = Guest::read(&folder)?.ok_or_else(|| Failure::FileMissing {
            path: template.join("plugin.toml"),
            needed_for: "every template has a manifest",
        })?;
        if builder.compiler(&guest).is_err() {
            say::line(format!("  template {id}: NOT built"));
            continue;
        }
        let packed = builder.build_scaffold(&guest)?;
        say::line(format!("  template {id}: {:.0} kB", packed.len() as f64 / 1e3));
    }
    Ok(())
}

/// A template's text with its placeholders filled in.
fn fill(text: &str, id: &str) -> String {
    text.replace("{{id}}", id)
        .replace("{{title}}", &format!("The template {id}"))
        .replace("{{crate}}", &id.replace('-', "_"))
}

/// Copies a folder of text files, each through `change`; built files and folders stay behind.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&str) -> String) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(Failure::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Failure::io("read", from))? {
        let path = entry.map_err(Failure::io("read", from))?.path();
        let place = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                copy(&path, &place, change)?;
            }
            continue;
        }
        let text = fs::read_to_string(&path).map_err(Failure::io("read", &path))?;
        fs::write(&place, change(&text)).map_err(Failure::io("write", place))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        let templates = Workspace::find().root().join("plugins/templates");
        let folder = tempfile::tempdir().unwrap();
        copy(&templates, folder.path(), &|text| fill(text, "some-name")).unwrap();
        let mut folders = vec![folder.path().to_owned()];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                files += 1;
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("{{"), "{}", path.display());
            }
        }
        assert!(files >= 18, "{files} files in all templates");
    }
}
