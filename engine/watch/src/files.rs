//! What watched files hold, by digest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::names::is_an_editors_own;
use crate::watcher::Target;

/// How a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It was not there before.
    Added,
    /// It holds something else.
    Changed,
    /// It is not there any more.
    Removed,
}

impl How {
    /// The word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Added => "added",
            How::Changed => "changed",
            How::Removed => "removed",
        }
    }
}

/// One file that changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileChange {
    /// The file, below the target as it was named.
    pub path: PathBuf,
    /// How.
    pub how: How,
}

/// Files that changed since the change before, at least one.
#[derive(Clone, Debug)]
pub struct Change {
    /// The files, by name, each once.
    pub files: Vec<FileChange>,
    /// When the first sign of it was seen.
    pub seen: Instant,
}

/// Digests of the files of some targets. A file that cannot be read has the digest of its error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    digests: BTreeMap<PathBuf, [u8; 32]>,
}

/// How deep a folder is followed: families lie at most in `std/`.
const DEPTH: usize = 3;

impl Files {
    /// What the targets hold now.
    pub(crate) fn scan(targets: &[Target]) -> Files {
        let mut files = Files::default();
        for target in targets {
            match target {
                Target::File(path) => files.read(path),
                Target::Folder { path, endings } => files.folder(path, endings, DEPTH),
            }
        }
        files
    }

    fn folder(&mut self, folder: &Path, endings: &[&'static str], depth: usize) {
        // A folder that is not there holds nothing; one that cannot be read cannot be loaded either, and that says why.
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if is_an_editors_own(&path) {
                continue;
            }
            let known = path
                .extension()
                .is_some_and(|ending| endings.iter().any(|known| ending == *known));
            if known {
                self.read(&path);
            } else if depth > 1 && path.is_dir() {
                self.folder(&path, endings, depth - 1);
            }
        }
    }

    fn read(&mut self, path: &Path) {
        match digest(path) {
            Ok(digest) => drop(self.digests.insert(path.to_owned(), digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let digest = Sha256::digest(format!("error: {:?}", error.kind()));
                self.digests.insert(path.to_owned(), digest.into());
            }
        }
    }

    /// The files in which `self` differs from `old`.
    pub(crate) fn since(&self, old: &Files) -> Vec<FileChange> {
        let mut changes = Vec::new();
        let mut add = |path: &PathBuf, how| {
            let path = path.clone();
            changes.push(FileChange { path, how });
        };
        for (path, digest) in &self.digests {
            match old.digests.get(path) {
                None => add(path, How::Added),
                Some(before) if before != digest => add(path, How::Changed),
                Some(_) => {}
            }
        }
        for path in old.digests.keys().filter(|path| !self.digests.contains_key(*path)) {
            add(path, How::Removed);
        }
        changes.sort();
        changes
    }
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_decide_and_odd_files_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let targets = [Target::folder(folder.path(), &["toml"])];
        let changed = |old: &Files| -> Vec<(String, How)> {
            let name = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
            let changes = Files::scan(&targets).since(old);
            changes
                .into_iter()
                .map(|change| (name(change.path), change.how))
                .collect()
        };
        write("a.toml", "1");
        write("std/b.toml", "2");
        let old = Files::scan(&targets);
        for name in ["a.toml~", "notes.txt", "4913", ".a.toml", "a/b/c/d.toml"] {
            write(name, "x");
        }
        write("a.toml", "1");
        assert_eq!(changed(&old), [], "the same contents, and files that nobody asked for");
        write("a.toml", "3");
        write("c.toml", "");
        fs::remove_file(folder.path().join("std/b.toml")).unwrap();
        let expected = [
            ("a.toml".into(), How::Changed),
            ("c.toml".into(), How::Added),
            ("std/b.toml".into(), How::Removed),
        ];
        assert_eq!(changed(&old), expected);
    }
}
