//! Making the file.

use super::error::SpillError;
use super::shared::{Raw, Shared, State};
use crate::io::Handles;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fstatvfs, ftruncate};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};

/// Takes room on the drive for so many bytes of a file.
pub(super) type Allocate = dyn Fn(&OwnedFd, u64) -> io::Result<()>;

/// Opens a file without a name, with room for `len` bytes.
pub(super) fn raw(folder: &Path, len: u64, direct: bool, allocate: &Allocate) -> Result<Raw, SpillError> {
    let create = |source: io::Error| SpillError::Create {
        folder: folder.to_owned(),
        source,
    };
    let (path, buffered) = open_new(folder).map_err(create)?;
    let mut files = vec![buffered];
    let mut handles = Handles {
        buffered: 0,
        direct: None,
    };
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::DIRECT;
    if direct && let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()) {
        files.push(file);
        handles.direct = Some(1);
    }
    // From here on the file goes with its last handle, however the process ends.
    rustix::fs::unlink(&path).map_err(|error| create(error.into()))?;
    match allocate(&files[0], len) {
        Ok(()) => Ok(Raw { path, files, handles }),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOSPC) => {
            let free = fstatvfs(&files[0]).map_or(0, |system| system.f_bavail * system.f_frsize);
            Err(SpillError::Full {
                folder: folder.to_owned(),
                wanted: len,
                free,
            })
        }
        Err(error) => Err(create(error)),
    }
}

/// A new file of a name that nobody else has.
fn open_new(folder: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    loop {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let path = folder.join(format!(".sli-pipe-activations-{random:016x}"));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok((path, file)),
            Err(Errno::EXIST | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the room now, so that a full drive is known before anything is computed. Where the file system cannot, the
/// free room is compared at least.
pub(super) fn allocate(file: &OwnedFd, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, len) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let system = fstatvfs(file)?;
    if system.f_bavail * system.f_frsize < len {
        return Err(Errno::NOSPC.into());
    }
    Ok(ftruncate(file, len)?)
}

impl Shared {
    pub(super) fn new(raw: Raw) -> Shared {
        Shared {
            raw,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            abandoned: AtomicBool::new(false),
        }
    }
}
