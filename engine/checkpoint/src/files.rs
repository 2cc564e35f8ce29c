//! The checkpoint's files, opened once and kept open.

use crate::checkpoint::{Checkpoint, FileId};
use crate::read_error::ReadError;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Open handles of all weight files of a checkpoint; shared by every reader, so that no layer opens a file.
///
/// A file that is replaced by renaming another over it stays the one that was opened; one that is shortened in place
/// is found out when its bytes do not come.
#[derive(Debug)]
pub struct OpenFiles {
    files: Vec<OpenFile>,
}

/// One open weight file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    /// Length when the header was read.
    pub(crate) len: u64,
}

impl OpenFiles {
    /// Opens every weight file and compares its length with that of the time when its header was read.
    ///
    /// # Errors
    /// [`ReadError::Open`], and [`ReadError::Changed`] where the length differs.
    pub fn open(checkpoint: &Checkpoint) -> Result<Arc<OpenFiles>, ReadError> {
        let open = |(path, len): (PathBuf, u64)| {
            let file = File::open(&path).map_err(|source| ReadError::Open {
                path: path.clone(),
                source,
            })?;
            let file = OpenFile { file, path, len };
            file.check_len()?;
            Ok(file)
        };
        let files = checkpoint
            .files()
            .iter()
            .map(|file| (file.path.clone(), file.len))
            .map(open);
        Ok(Arc::new(OpenFiles {
            files: files.collect::<Result<_, ReadError>>()?,
        }))
    }

    pub(crate) fn get(&self, id: FileId) -> &OpenFile {
        &self.files[id.0 as usize]
    }
}

impl OpenFile {
    /// Fails if the file no longer has the length it had when its header was read.
    pub(crate) fn check_len(&self) -> Result<(), ReadError> {
        let path = || self.path.clone();
        let found = self
            .file
            .metadata()
            .map_err(|source| ReadError::Open { path: path(), source })?
            .len();
        if found == self.len {
            return Ok(());
        }
        Err(ReadError::Changed {
            path: path(),
            expected: self.len,
            found,
        })
    }

    /// The error for a read of `len` bytes at `offset` that failed; `None` stands for an early end of the file.
    pub(crate) fn read_error(&self, offset: u64, len: u64, source: Option<io::Error>) -> ReadError {
        let path = self.path.clone();
        match source {
            Some(source) => ReadError::Io {
                path,
                offset,
                len,
                source,
            },
            None => match self.check_len() {
                Err(changed) => changed,
                Ok(()) => ReadError::UnexpectedEnd { path, offset, len },
            },
        }
    }
}
