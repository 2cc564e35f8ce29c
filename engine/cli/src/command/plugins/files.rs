//! Where plugins are: `plugins/` of the current directory, the user's configuration folder, `--plugins`; later wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sli_config::Diagnostic;

use super::args::PluginDirs;
use crate::failure::{Failure, Outcome};

/// All plugin files that the command line can see, by the names of the files without `.wasm`.
///
/// # Errors
/// A folder of `--plugins` that is not there, or a folder that cannot be read.
pub(super) fn find(dirs: &PluginDirs) -> Outcome<BTreeMap<String, PathBuf>> {
    let user = user_folder(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"));
    let usual = [Some(PathBuf::from("plugins")), user];
    let mut folders: Vec<PathBuf> = usual.into_iter().flatten().filter(|dir| dir.is_dir()).collect();
    for dir in &dirs.dirs {
        if !dir.is_dir() {
            let message = format!("`{}`, given with `--plugins`, is no folder", dir.display());
            return Err(Failure::input(
                Diagnostic::error(message).help("name the folder that holds `<id>.wasm` files"),
            ));
        }
        folders.push(dir.clone());
    }
    let mut found = BTreeMap::new();
    for folder in folders {
        for path in in_folder(&folder)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(name, path);
        }
    }
    Ok(found)
}

/// The `.wasm` files of a folder, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub(super) fn in_folder(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |why: std::io::Error| {
        let message = format!("the folder `{}` cannot be read: {why}", folder.display());
        Failure::input(Diagnostic::error(message))
    };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    Ok(paths)
}

fn user_folder(config: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let config = config.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.filter(|home| !home.is_empty());
    let config = config.or_else(|| Some(PathBuf::from(home?).join(".config")))?;
    Some(config.join("sli-pipe/plugins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_asked_for_must_be_there_and_wins() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for folder in &folders {
            std::fs::write(folder.path().join("zz-mine.wasm"), "").unwrap();
            std::fs::write(folder.path().join("zz-mine.toml"), "").unwrap();
        }
        let dirs = PluginDirs {
            dirs: folders.iter().map(|folder| folder.path().to_owned()).collect(),
        };
        assert_eq!(find(&dirs).unwrap()["zz-mine"], folders[1].path().join("zz-mine.wasm"));
        let missing = PluginDirs {
            dirs: vec![folders[0].path().join("none")],
        };
        assert_eq!(find(&missing).unwrap_err().code(), 2);
    }

    #[test]
    fn the_users_folder_is_that_of_the_desktop_specification() {
        let folder = |config: &str, home: &str| user_folder(Some(config.into()), Some(home.into()));
        assert_eq!(folder("/x", "/home/a"), Some("/x/sli-pipe/plugins".into()));
        assert_eq!(
            folder("relative", "/home/a"),
            Some("/home/a/.config/sli-pipe/plugins".into())
        );
        assert_eq!(user_folder(None, None), None);
    }
}
