//! What was measured, by drive, in a file of the user's cache folder.

use crate::files::OpenFiles;
use crate::loader::ReadOptions;
use rustix::fs::{fstat, fstatfs, major, minor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Raised when what is measured, or how, changes; older files are then measured again.
const VERSION: u32 = 1;

/// The most bytes such a file may have.
const MAX_FILE: u64 = 1 << 20;

/// What is known of one drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Drive {
    /// How it is read best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<ReadOptions>,
    /// How fast that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read_bytes_per_second: Option<f64>,
    /// How fast it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) write_bytes_per_second: Option<f64>,
}

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    version: u32,
    drives: BTreeMap<String, Drive>,
}

/// The file that remembers. Whatever is wrong with it, measuring again is the answer, so nothing here is an error.
#[derive(Debug)]
pub(crate) struct Drives {
    /// `None` if there is no place for it.
    path: Option<PathBuf>,
}

impl Drives {
    /// `sli-pipe/drives.json` in `$XDG_CACHE_HOME`, else in `~/.cache`.
    pub(crate) fn of_user() -> Drives {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let folder = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Drives {
            path: folder.map(|folder| folder.join("sli-pipe/drives.json")),
        }
    }

    /// The file at `path`.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Drives {
        Drives {
            path: Some(path.to_owned()),
        }
    }

    /// What is known of the drive with this [`key`].
    pub(crate) fn get(&self, key: &str) -> Option<Drive> {
        self.table()?.drives.get(key).copied()
    }

    /// Changes what is known of a drive. Another process that does so at the same moment may win; neither harms.
    pub(crate) fn update(&self, key: &str, change: impl FnOnce(&mut Drive)) {
        let Some(path) = &self.path else { return };
        let mut table = self.table().unwrap_or_default();
        table.version = VERSION;
        change(table.drives.entry(key.to_owned()).or_default());
        if let Err(error) = write(path, &table) {
            tracing::debug!(path = %path.display(), %error, "cannot remember what was measured");
        }
    }

    fn table(&self) -> Option<Table> {
        let path = self.path.as_ref()?;
        if std::fs::metadata(path).ok()?.len() > MAX_FILE {
            return None;
        }
        let table: Table = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (table.version == VERSION).then_some(table)
    }
}

/// Writes a file of another name first, so that no reader ever sees half of it.
fn write(path: &Path, table: &Table) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = path.with_extension(format!("json.{}", std::process::id()));
    std::fs::write(&new, serde_json::to_vec_pretty(table)?)?;
    std::fs::rename(&new, path)
}

/// What tells one drive from another: its device number and the type of its file system.
pub(super) fn key(files: &OpenFiles) -> Option<String> {
    key_of(files.buffered(files.all().first()?))
}

/// As [`key`], of the drive that holds an open file or folder.
pub(crate) fn key_of(fd: impl AsFd) -> Option<String> {
    let device = fstat(&fd).ok()?.st_dev;
    let system = fstatfs(&fd).ok()?.f_type;
    Some(format!("{}:{}/{system:x}", major(device), minor(device)))
}
