//! The checkpoint's files, opened once and kept open.

use crate::checkpoint::{Checkpoint, FileId};
use crate::io::{Handles, Piece, read_piece};
use crate::read_error::ReadError;
use rustix::fs::{Mode, OFlags, fstat};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Open handles of all weight files of a checkpoint; shared by every reader, so that no layer opens a file. Each file
/// is open through the page cache and, where its file system allows, around it (direct I/O).
///
/// A file that is replaced by renaming another over it stays the one that was opened; one that is shortened in place
/// is found out when its bytes do not come.
#[derive(Debug)]
pub struct OpenFiles {
    files: Vec<OpenFile>,
    handles: Arc<[OwnedFd]>,
}

/// One open weight file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    /// Length when the header was read.
    pub(crate) len: u64,
    /// Into [`OpenFiles::handles`].
    pub(crate) handles: Handles,
}

impl OpenFiles {
    /// Opens every weight file and compares its length with that of the time when its header was read.
    ///
    /// # Errors
    /// [`ReadError::Open`], and [`ReadError::Changed`] where the length differs.
    pub fn open(checkpoint: &Checkpoint) -> Result<Arc<OpenFiles>, ReadError> {
        let mut handles = Vec::new();
        let mut files = Vec::new();
        for file in checkpoint.files() {
            let open = |flags| rustix::fs::open(&file.path, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty());
            let (path, len) = (file.path.clone(), file.len);
            let buffered = open(OFlags::empty()).map_err(|error| ReadError::Open {
                path: path.clone(),
                source: error.into(),
            })?;
            handles.push(buffered);
            let mut ids = Handles {
                buffered: handles.len() - 1,
                direct: None,
            };
            if let Ok(direct) = open(OFlags::DIRECT) {
                ids.direct = Some(handles.len());
                handles.push(direct);
            }
            files.push(OpenFile {
                path,
                len,
                handles: ids,
            });
        }
        let files = OpenFiles {
            files,
            handles: handles.into(),
        };
        files.files.iter().try_for_each(|file| files.check_len(file))?;
        Ok(Arc::new(files))
    }

    pub(crate) fn get(&self, id: FileId) -> &OpenFile {
        &self.files[id.0 as usize]
    }

    /// The files, in the order of [`FileId`].
    pub(crate) fn all(&self) -> &[OpenFile] {
        &self.files
    }

    /// The file handles, numbered as [`OpenFile::handles`] says.
    pub(crate) fn handles(&self) -> &Arc<[OwnedFd]> {
        &self.handles
    }

    pub(crate) fn buffered(&self, file: &OpenFile) -> BorrowedFd<'_> {
        self.handles[file.handles.buffered].as_fd()
    }

    /// Fills `buffer` with the bytes at `offset` of one file, on this thread, as for a few bytes.
    ///
    /// # Errors
    /// [`ReadError::Io`], [`ReadError::Changed`], [`ReadError::UnexpectedEnd`].
    pub(crate) fn read(&self, id: FileId, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let handles = self.get(id).handles;
        let piece = Piece {
            handles,
            direct: false,
            offset,
            need: buffer.len(),
            at: 0,
            tries: 0,
        };
        read_piece(&self.handles, piece, buffer)
            .map_err(|stop| self.read_error(id, stop.piece.offset, stop.piece.need as u64, stop.error))
    }

    /// Whether some file can be read around the page cache.
    pub fn allow_direct(&self) -> bool {
        self.files.iter().any(|file| file.handles.direct.is_some())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// The file and offset of byte `at` of all files, one behind the other in the order of [`FileId`].
    ///
    /// # Panics
    /// If there are no more than `at` bytes.
    pub(crate) fn locate(&self, at: u64) -> (FileId, u64) {
        let mut rest = at;
        for (id, file) in (0..).map(FileId).zip(&self.files) {
            if rest < file.len {
                return (id, rest);
            }
            rest -= file.len;
        }
        panic!("byte {at} of files with {} bytes", self.bytes())
    }

    /// Fails if the file no longer has the length it had when its header was read.
    fn check_len(&self, file: &OpenFile) -> Result<(), ReadError> {
        let path = || file.path.clone();
        let found = fstat(self.buffered(file))
            .map_err(|error| ReadError::Open {
                path: path(),
                source: error.into(),
            })?
            .st_size as u64;
        if found == file.len {
            return Ok(());
        }
        Err(ReadError::Changed {
            path: path(),
            expected: file.len,
            found,
        })
    }

    /// The error for a read of `len` bytes at `offset` that failed; `None` stands for an early end of the file.
    pub(crate) fn read_error(&self, id: FileId, offset: u64, len: u64, source: Option<io::Error>) -> ReadError {
        let file = self.get(id);
        let path = file.path.clone();
        match source {
            Some(source) => ReadError::Io {
                path,
                offset,
                len,
                source,
            },
            None => match self.check_len(file) {
                Err(changed) => changed,
                Ok(()) => ReadError::UnexpectedEnd { path, offset, len },
            },
        }
    }
}
