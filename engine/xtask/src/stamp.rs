//! The stamp of an unpacked bundle: what it was made from and the size of every file in it.
//!
//! It is written last, so a folder with a fitting stamp is whole. It also finds files that were
//! deleted or cut off later, without reading them.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{failure::Failure, wheel::Wheel};

/// The stamp's name inside the bundle's folder.
const FILE: &str = "stamp.json";

/// What a bundle was made from and what it holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {
    /// The number of the recipe that made the bundle; see [`crate::bundle::Bundle`].
    recipe: u32,
    /// `package==version` to SHA-256.
    wheels: BTreeMap<String, String>,
    /// Relative path to size in bytes.
    files: BTreeMap<String, u64>,
}

impl Stamp {
    /// Describes the files that lie in `folder` now.
    pub(crate) fn of(recipe: u32, wheels: &[Wheel], folder: &Path) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        list(folder, folder, &mut files)?;
        Ok(Self {
            recipe,
            wheels: pins(wheels),
            files,
        })
    }

    /// Writes the stamp into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::Io {
            action: "write",
            path: path.clone(),
            source: error.into(),
        })?;
        fs::write(&path, text).map_err(Failure::io("write", path))
    }

    /// Says whether `folder` holds a whole bundle made by `recipe` from `wheels`.
    pub(crate) fn fits(recipe: u32, wheels: &[Wheel], folder: &Path) -> bool {
        // A stamp that cannot be read is no stamp: the bundle is made again.
        let Ok(text) = fs::read_to_string(folder.join(FILE)) else {
            return false;
        };
        let Ok(stamp) = serde_json::from_str::<Self>(&text) else {
            return false;
        };
        stamp.recipe == recipe
            && stamp.wheels == pins(wheels)
            && stamp
                .files
                .iter()
                .all(|(path, bytes)| fs::metadata(folder.join(path)).is_ok_and(|found| found.len() == *bytes))
    }
}

fn pins(wheels: &[Wheel]) -> BTreeMap<String, String> {
    wheels
        .iter()
        .map(|wheel| (wheel.requirement(), wheel.sha256.to_owned()))
        .collect()
}

fn list(root: &Path, folder: &Path, files: &mut BTreeMap<String, u64>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::io("list", folder))? {
        let entry = entry.map_err(Failure::io("list", folder))?;
        let path = entry.path();
        let data = entry.metadata().map_err(Failure::io("read", &path))?;
        if data.is_dir() {
            list(root, &path, files)?;
        } else {
            let inside = path.strip_prefix(root).unwrap_or(&path);
            files.insert(inside.to_string_lossy().into_owned(), data.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEELS: [Wheel; 1] = [Wheel {
        package: "p",
        version: "1",
        file: "p.whl",
        bytes: 0,
        sha256: "aa",
        takes: &[],
    }];

    fn stamped() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/x.so"), "12345").unwrap();
        Stamp::of(1, &WHEELS, folder.path())
            .unwrap()
            .write(folder.path())
            .unwrap();
        folder
    }

    #[test]
    fn a_whole_bundle_fits() {
        assert!(Stamp::fits(1, &WHEELS, stamped().path()));
    }

    #[test]
    fn another_recipe_or_another_wheel_does_not_fit() {
        let folder = stamped();
        assert!(!Stamp::fits(2, &WHEELS, folder.path()));
        let newer = [Wheel {
            version: "2",
            ..WHEELS[0]
        }];
        assert!(!Stamp::fits(1, &newer, folder.path()));
        let rebuilt = [Wheel {
            sha256: "bb",
            ..WHEELS[0]
        }];
        assert!(!Stamp::fits(1, &rebuilt, folder.path()));
    }

    #[test]
    fn a_file_cut_off_or_deleted_later_does_not_fit() {
        let folder = stamped();
        fs::write(folder.path().join("lib/x.so"), "123").unwrap();
        assert!(!Stamp::fits(1, &WHEELS, folder.path()));
        fs::remove_file(folder.path().join("lib/x.so")).unwrap();
        assert!(!Stamp::fits(1, &WHEELS, folder.path()));
    }

    #[test]
    fn without_a_readable_stamp_nothing_fits() {
        let folder = stamped();
        fs::write(folder.path().join(FILE), "{\"recipe\": 1").unwrap();
        assert!(!Stamp::fits(1, &WHEELS, folder.path()));
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(!Stamp::fits(1, &WHEELS, folder.path()));
    }
}
