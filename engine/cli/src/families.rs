//! Where families come from: shipped, then the current directory, then the user's configuration folder, then
//! `--families`; later wins, by id.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sli_config::Diagnostic;
use sli_family::Registry;

use crate::args::FamilyDirs;
use crate::failure::{Failure, Outcome};
use crate::plugins::Sources;

/// All families that the command line can see, plugins among them.
///
/// # Errors
/// A folder of `--families` or `--plugins` that is not there, or a folder that cannot be read.
pub(crate) fn registry(dirs: &FamilyDirs) -> Outcome<Registry> {
    Ok(Sources::find(dirs, None)?.registry)
}

/// All descriptors that the command line can see.
///
/// # Errors
/// A folder of `--families` that is not there, or a folder that cannot be read.
pub(crate) fn descriptors(dirs: &FamilyDirs) -> Outcome<Registry> {
    let mut registry = Registry::shipped();
    for dir in usual_folders("families").filter(|dir| dir.is_dir()) {
        add(&mut registry, &dir)?;
    }
    for dir in &dirs.dirs {
        require_folder(dir, "--families", "<id>.toml")?;
        add(&mut registry, dir)?;
    }
    Ok(registry)
}

/// Fails unless `dir`, given with `option`, is a folder.
pub(crate) fn require_folder(dir: &Path, option: &str, files: &str) -> Outcome {
    if dir.is_dir() {
        return Ok(());
    }
    let what = if dir.exists() {
        "is a file, not a folder"
    } else {
        "does not exist"
    };
    let message = format!("the folder `{}` given with `{option}` {what}", dir.display());
    Err(Failure::input(
        Diagnostic::error(message).help(format!("name the folder that holds `{files}` files")),
    ))
}

/// Folders called `name` that are looked into if they are there: of the current directory, of the user.
pub(crate) fn usual_folders(name: &str) -> impl Iterator<Item = PathBuf> {
    std::iter::once(PathBuf::from(name)).chain(user_folder(name))
}

fn add(registry: &mut Registry, dir: &Path) -> Outcome {
    registry.add_dir(dir).map_err(|error| {
        let message = format!("the families in `{}` cannot be read: {error}", dir.display());
        Failure::input(Diagnostic::error(message))
    })
}

/// `sli-pipe/<name>` in the user's configuration folder.
pub(crate) fn user_folder(name: &str) -> Option<PathBuf> {
    configuration(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME")).map(|folder| folder.join(name))
}

/// `sli-pipe` in the configuration folder. The specification of base directories says to ignore a relative
/// `XDG_CONFIG_HOME`.
fn configuration(config: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let config = config.map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| {
        home.filter(|home| !home.is_empty())
            .map(|home| PathBuf::from(home).join(".config"))
    })?;
    Some(config.join("sli-pipe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_folder_is_that_of_the_desktop_specification() {
        let folder = |config: Option<&str>, home: Option<&str>| {
            configuration(config.map(OsString::from), home.map(OsString::from))
        };
        assert_eq!(folder(Some("/x"), Some("/home/a")), Some("/x/sli-pipe".into()));
        for config in [None, Some(""), Some("relative")] {
            assert_eq!(folder(config, Some("/home/a")), Some("/home/a/.config/sli-pipe".into()));
        }
        assert_eq!(folder(None, None), None);
    }

    #[test]
    fn a_folder_that_was_asked_for_must_be_there_and_wins() {
        let folder = tempfile::tempdir().unwrap();
        let missing = FamilyDirs {
            dirs: vec![folder.path().join("none")],
            ..FamilyDirs::default()
        };
        let failure = registry(&missing).unwrap_err();
        assert_eq!(failure.code(), 2);
        let message = failure.into_diagnostics().remove(0).message;
        assert!(
            message.ends_with("none` given with `--families` does not exist"),
            "{message}"
        );

        std::fs::write(folder.path().join("llama.toml"), "id = \"llama\"\n").unwrap();
        let registry = registry(&FamilyDirs {
            dirs: vec![folder.path().to_owned()],
            ..FamilyDirs::default()
        })
        .unwrap();
        assert_eq!(registry.file("llama").unwrap().text, "id = \"llama\"\n");
    }
}
