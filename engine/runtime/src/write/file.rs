//! One output file while it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::hex;
use crate::error::{Result, RunError};

/// A file under its temporary name. Its SHA-256 is made on the way as long as bytes come in order; otherwise
/// the file is read once more at the end.
#[derive(Debug)]
pub(crate) struct OutFile {
    file: File,
    path: PathBuf,
    hash: Sha256,
    /// Bytes from the start that are hashed.
    hashed: u64,
    /// Whether all bytes are hashed.
    in_order: bool,
    len: u64,
    seconds: f64,
}

/// A complete file, still under its temporary name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finished {
    /// Its length.
    pub(crate) bytes: u64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Seconds spent in writing and hashing it.
    pub(crate) seconds: f64,
}

impl OutFile {
    /// Creates `path`, which must not exist.
    ///
    /// # Errors
    /// Whatever the system says, with the path.
    pub(crate) fn create(path: &Path) -> Result<OutFile> {
        let open = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = open.map_err(|error| RunError::write(path, &error))?;
        let path = path.to_owned();
        Ok(OutFile {
            file,
            path,
            hash: Sha256::new(),
            hashed: 0,
            in_order: true,
            len: 0,
            seconds: 0.0,
        })
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// Whatever the system says, with the path; a full disk by name.
    pub(crate) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.put(offset, bytes)
            .map_err(|error| RunError::write(&self.path, &error))
    }

    /// Makes sure that all bytes are on the disk and hashed.
    ///
    /// # Errors
    /// As for [`OutFile::write_at`].
    pub(crate) fn finish(mut self) -> Result<Finished> {
        let start = Instant::now();
        let finish = self.file.sync_all().and_then(|()| self.digest());
        let sha256 = finish.map_err(|error| RunError::write(&self.path, &error))?;
        Ok(Finished {
            bytes: self.len,
            sha256,
            seconds: self.seconds + start.elapsed().as_secs_f64(),
        })
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = Instant::now();
        self.file.write_all_at(bytes, offset)?;
        self.in_order &= offset == self.hashed;
        if self.in_order {
            self.hash.update(bytes);
            self.hashed += bytes.len() as u64;
        }
        self.len = self.len.max(offset + bytes.len() as u64);
        self.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn digest(&mut self) -> io::Result<String> {
        if !self.in_order {
            self.hash = Sha256::new();
            let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
            while at < self.len {
                let read = self.file.read_at(&mut buffer, at)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.hash.update(&buffer[..read]);
                at += read as u64;
            }
        }
        Ok(hex(&std::mem::take(&mut self.hash).finalize()))
    }
}

/// Appends.
impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(self.len, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// Whatever the system says, with the path.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let hash = || -> io::Result<String> {
        let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hash.finalize())),
                read => hash.update(&buffer[..read]),
            }
        }
    };
    hash().map_err(|error| RunError::read(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_content_in_whatever_order_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, parts: &[(u64, &[u8])]| {
            let path = folder.path().join(name);
            let mut file = OutFile::create(&path).unwrap();
            parts
                .iter()
                .for_each(|(offset, bytes)| file.write_at(*offset, bytes).unwrap());
            let finished = file.finish().unwrap();
            assert_eq!(finished.sha256, sha256_of(&path).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), b"abcdef");
            finished.sha256
        };
        let known = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
        assert_eq!(write("a", &[(0, b"abc"), (3, b"def")]), known);
        assert_eq!(write("b", &[(3, b"def"), (0, b"abc")]), known);
    }

    #[test]
    fn a_full_disk_is_named() {
        // Every write to /dev/full fails with ENOSPC; it cannot be created anew, so it is opened by hand.
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let path = PathBuf::from("out/score.parquet");
        let mut out = OutFile {
            file,
            path,
            hash: Sha256::new(),
            hashed: 0,
            in_order: true,
            len: 0,
            seconds: 0.0,
        };
        let error = out.write_at(0, b"a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the disk is full: `out/score.parquet` could not be written"
        );
        assert_eq!(error.kind, crate::ErrorKind::Run);
    }
}
