//! Downloads of wheels: verified by SHA-256, kept until unpacked, never downloaded twice.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{bundle, failure::Failure, interrupt, pip::Pip, say, wheel::Wheel};

/// Returns the verified file of `wheel` in the folder `downloads`, fetching it where it is not there.
///
/// # Errors
/// [`Failure::Checksum`] when the file that came is another one; it is deleted then.
pub(crate) fn ensure(wheel: &Wheel, downloads: &Path, pip: &mut Pip<'_>) -> Result<PathBuf, Failure> {
    let place = downloads.join(wheel.file);
    if place.exists() {
        match verify(wheel, &place) {
            Ok(()) => {
                say::line(format!("  {}: downloaded before", wheel.requirement()));
                return Ok(place);
            }
            // It was whole once and is not now: as good as not downloaded.
            Err(Failure::Checksum { .. }) => {
                say::line(format!("  {}: damaged on disk, fetching it again", wheel.requirement()));
            }
            Err(other) => return Err(other),
        }
    }
    let incoming = bundle::temporary(downloads)?;
    pip.download(wheel, incoming.path())?;
    let came = incoming.path().join(wheel.file);
    if !came.exists() {
        return Err(Failure::Download {
            requirement: wheel.requirement(),
            remedy: "Use a package index that offers that file (`pip config list` shows which one \
                     is in use).",
            said: format!("it ended well, but the file `{}` did not come", wheel.file),
        });
    }
    verify(wheel, &came)?;
    fs::rename(&came, &place).map_err(Failure::io("rename to", &place))?;
    Ok(place)
}

/// Compares the file at `path` with the wheel's digest, and deletes it where they differ.
fn verify(wheel: &Wheel, path: &Path) -> Result<(), Failure> {
    let found = sha256(path)?;
    if found == wheel.sha256 {
        return Ok(());
    }
    fs::remove_file(path).map_err(Failure::io("delete", path))?;
    Err(Failure::Checksum {
        file: wheel.file.to_owned(),
        expected: wheel.sha256.to_owned(),
        found,
    })
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(Failure::io("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        interrupt::check()?;
        let bytes = file.read(&mut buffer).map_err(Failure::io("read", path))?;
        if bytes == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..bytes]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    /// A wheel whose file holds `abc`.
    const ABC: Wheel = Wheel {
        package: "p",
        version: "1",
        file: "p.whl",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        takes: &[],
    };

    #[test]
    fn a_wrong_file_is_named_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ABC.file);
        fs::write(&path, "abd").unwrap();
        let failure = verify(&ABC, &path).unwrap_err();
        let message = failure.to_string();
        assert!(message.contains("`p.whl`") && message.contains(ABC.sha256), "{message}");
        assert!(!path.exists());
    }

    #[test]
    fn a_verified_download_is_used_without_pip() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(ABC.file), "abc").unwrap();
        let workspace = Workspace::find();
        // No index offers this package: had pip been asked, this would fail.
        let path = ensure(&ABC, folder.path(), &mut Pip::new(&workspace)).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"abc");
    }
}
