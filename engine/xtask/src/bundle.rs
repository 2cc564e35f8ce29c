//! A bundle: a folder under `.deps` made of chosen members of pinned wheels.
//!
//! The order of work makes interruption harmless at any moment: wheels are downloaded aside and
//! enter `.deps/downloads` only once verified; they are unpacked into a temporary folder, the stamp
//! is written there last, and one rename puts the folder in its place.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{
    failure::Failure, fetch, interrupt, pip::Pip, say, stamp::Stamp, unpack, wheel::Wheel, workspace::Workspace,
};

/// What to make, and from what.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// What it is, for messages.
    pub(crate) name: &'static str,
    /// Its folder inside `.deps`.
    pub(crate) folder: &'static str,
    /// To be raised when `takes` or `finish` change, so that older folders are made again.
    pub(crate) recipe: u32,
    /// The packages it is made of.
    pub(crate) wheels: &'static [Wheel],
    /// Adds what no wheel holds to the unpacked folder.
    pub(crate) finish: fn(&Path) -> Result<(), Failure>,
}

impl Bundle {
    /// Makes the bundle unless it is there already; says which of the two happened.
    pub(crate) fn ensure(&self, workspace: &Workspace) -> Result<(), Failure> {
        let folder = workspace.deps(self.folder);
        let place = workspace.relative(&folder);
        if self.is_whole(&folder) {
            say::line(format!("{} is already there: {place}", self.name));
            return Ok(());
        }
        let _lock = lock(workspace)?;
        // Another process may have made it while this one waited for the lock.
        if !self.is_whole(&folder) {
            let bytes = self.wheels.iter().map(|wheel| wheel.bytes).sum();
            let size = say::megabytes(bytes);
            say::line(format!("Fetching {} ({size}) with pip into {place}", self.name));
            self.make(workspace, &folder)?;
        }
        say::line(format!("{} is ready: {place}", self.name));
        Ok(())
    }

    fn is_whole(&self, folder: &Path) -> bool {
        Stamp::fits(self.recipe, self.wheels, folder)
    }

    fn make(&self, workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
        let downloads = workspace.deps("downloads");
        fs::create_dir_all(&downloads).map_err(Failure::io("create", &downloads))?;
        let parent = folder.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Failure::io("create", parent))?;
        clear_leftovers(&downloads)?;
        clear_leftovers(parent)?;
        let mut pip = Pip::new(workspace);
        let mut archives = Vec::new();
        for wheel in self.wheels {
            archives.push(fetch::ensure(wheel, &downloads, &mut pip)?);
        }
        let fresh = temporary(parent)?;
        for (wheel, archive) in self.wheels.iter().zip(&archives) {
            unpack::unpack(wheel, archive, fresh.path())?;
        }
        (self.finish)(fresh.path())?;
        Stamp::of(self.recipe, self.wheels, fresh.path())?.write(fresh.path())?;
        interrupt::check()?;
        replace(fresh, folder)?;
        // The unpacked folder is what counts; the wheels would only double the space.
        for archive in &archives {
            fs::remove_file(archive).map_err(Failure::io("delete", archive))?;
        }
        Ok(())
    }
}

/// How the names of unfinished folders start; under the lock, such a folder is a leftover.
const UNFINISHED: &str = "unfinished-";

/// Makes a folder in `parent` that is deleted when dropped and recognised when it could not be.
pub(crate) fn temporary(parent: &Path) -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(parent)
        .map_err(Failure::io("create a folder in", parent))
}

fn replace(fresh: tempfile::TempDir, folder: &Path) -> Result<(), Failure> {
    remove(folder)?;
    let from = fresh.keep();
    fs::rename(&from, folder).map_err(Failure::io("rename to", folder))?;
    // Temporary folders are private to the user; a finished bundle need not be.
    let readable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(folder, readable).map_err(Failure::io("make readable", folder))
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("delete", folder)(error)),
        _ => Ok(()),
    }
}

fn clear_leftovers(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::io("list", folder))? {
        let entry = entry.map_err(Failure::io("list", folder))?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Holds `.deps` against other processes until dropped; the system lets go when a process dies.
fn lock(workspace: &Workspace) -> Result<File, Failure> {
    let path = workspace.deps("lock");
    let parent = workspace.deps("");
    fs::create_dir_all(&parent).map_err(Failure::io("create", parent))?;
    let file = File::create(&path).map_err(Failure::io("create", &path))?;
    if file.try_lock().is_err() {
        say::line("Waiting for another `cargo xtask` that is setting up …");
        file.lock().map_err(Failure::io("lock", &path))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_finished_things_stay() {
        let folder = tempfile::tempdir().unwrap();
        let leftover = temporary(folder.path()).unwrap().keep();
        fs::write(leftover.join("half"), "x").unwrap();
        fs::write(folder.path().join("torch.whl"), "whole").unwrap();
        fs::create_dir(folder.path().join("libtorch")).unwrap();
        clear_leftovers(folder.path()).unwrap();
        assert!(!leftover.exists());
        assert!(folder.path().join("torch.whl").exists());
        assert!(folder.path().join("libtorch").exists());
    }

    #[test]
    fn a_new_bundle_takes_the_place_of_a_broken_one() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("libtorch");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("old"), "x").unwrap();
        let fresh = temporary(parent.path()).unwrap();
        fs::write(fresh.path().join("new"), "x").unwrap();
        replace(fresh, &place).unwrap();
        assert!(place.join("new").exists());
        assert!(!place.join("old").exists());
    }
}
