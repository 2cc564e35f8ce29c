//! The folder that a stage may read: opened once, names without separators, regular files only.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use sli_config::Diagnostic;

use crate::limits::{FOLDER_CALLS, FOLDER_NAMES, bytes};

/// A folder, open.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder that a grant names.
    pub(crate) fn open(path: &Path, plugin: &str) -> Result<Folder, Diagnostic> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|why| {
            Diagnostic::error(format!(
                "the folder `{}` that is granted to the plugin `{plugin}` cannot be opened: {why}",
                path.display()
            ))
            .help("the grant names a folder that exists, relative to the file that says it")
        })?;
        Ok(Folder {
            fd,
            path: path.to_owned(),
        })
    }

    fn is_file(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
    }
}

/// The use of a folder in one call of a plugin: what it may still read.
pub(crate) struct FolderCall {
    folder: Option<Arc<Folder>>,
    bytes_left: u64,
    limit: u64,
    calls: usize,
}

impl FolderCall {
    pub(crate) fn new(folder: Option<Arc<Folder>>, limit: u64) -> FolderCall {
        FolderCall {
            folder,
            bytes_left: limit,
            limit,
            calls: 0,
        }
    }

    fn enter(&mut self) -> Result<Arc<Folder>, String> {
        self.calls += 1;
        if self.calls > FOLDER_CALLS {
            return Err(format!("more than {FOLDER_CALLS} calls of `folder` in one call"));
        }
        self.folder
            .clone()
            .ok_or_else(|| "no folder is granted to this plugin".to_owned())
    }

    /// Names of the regular files, sorted.
    pub(crate) fn names(&mut self) -> Result<Vec<String>, String> {
        let folder = self.enter()?;
        let failed = |why| format!("`{}` cannot be read: {why}", folder.path.display());
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if !folder.is_file(name) {
                continue;
            }
            if names.len() == FOLDER_NAMES {
                return Err(format!("the folder has more than {FOLDER_NAMES} files"));
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The bytes of a file.
    pub(crate) fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let folder = self.enter()?;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
            return Err("a file is named by its name alone, without a path".to_owned());
        }
        let failed = |why: &dyn std::fmt::Display| format!("the file cannot be read: {why}");
        // opening a pipe would wait for its other end
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&folder.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::LOOP) => return Err("it is a link; only regular files can be read".to_owned()),
            Err(why) => return Err(failed(&why)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|why| failed(&why))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err("it is no regular file".to_owned());
        }
        let too_large = || format!("more than {} are read from the folder in one call", bytes(self.limit));
        if stat.st_size as u64 > self.bytes_left {
            return Err(too_large());
        }
        let mut content = Vec::with_capacity(stat.st_size as usize);
        let read = File::from(fd)
            .take(self.bytes_left + 1)
            .read_to_end(&mut content)
            .map_err(|why| failed(&why))?;
        if read as u64 > self.bytes_left {
            return Err(too_large());
        }
        self.bytes_left -= read as u64;
        Ok(content)
    }
}
