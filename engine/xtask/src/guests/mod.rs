//! `cargo xtask guests`: the plugins of `plugins/guests/`, from source to the committed `.wasm` files.
//!
//! A guest is a folder with a `plugin.toml`: a crate, or one C file. It is compiled for `wasm32-unknown-unknown`, made a
//! component of the world of its kind and given its manifest. Nothing of the machine gets into a file, so the same
//! compilers give the same bytes; `compilers.txt` says which compilers made the committed ones.

mod build;
mod pack;
mod templates;
mod toolchain;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{failure::Failure, say, workspace::Workspace};
use build::Builder;

/// Options of `cargo xtask guests`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing beside the sources; compare with what is committed, and build the templates too
    #[arg(long)]
    check: bool,
    /// Only these, by id
    ids: Vec<String>,
}

/// One plugin to be built.
pub(crate) struct Guest {
    /// Its id, which is also the name of its crate.
    pub(crate) id: String,
    /// Its kind, which is also the name of its world.
    pub(crate) kind: String,
    /// Where its sources and its `plugin.toml` are.
    pub(crate) folder: PathBuf,
    /// The text of its manifest.
    pub(crate) manifest: String,
}

impl Guest {
    /// Reads the manifest of a folder; `None` if it has none.
    ///
    /// # Errors
    /// A manifest that cannot be read, or states no id and kind.
    pub(crate) fn read(folder: &Path) -> Result<Option<Guest>, Failure> {
        let path = folder.join("plugin.toml");
        if !path.exists() {
            return Ok(None);
        }
        let manifest = fs::read_to_string(&path).map_err(Failure::io("read", &path))?;
        let failed = |problem: String| Failure::Plugin {
            path: path.clone(),
            problem,
        };
        let table: toml::Table = manifest.parse().map_err(|error| failed(format!("{error}")))?;
        let text = |key: &str| match table.get(key).and_then(toml::Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => Err(failed(format!("it states no `{key}`"))),
        };
        Ok(Some(Guest {
            id: text("id")?,
            kind: text("kind")?,
            folder: folder.to_owned(),
            manifest,
        }))
    }

    /// The committed file.
    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.id))
    }
}

/// Builds the guests; writes them, or compares them with what is committed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let folder = workspace.root().join("plugins/guests");
    let guests = guests(&folder, &arguments.ids)?;
    let builder = Builder::new(workspace)?;
    let compilers = folder.join("compilers.txt");
    let same_compilers = fs::read_to_string(&compilers).is_ok_and(|text| text == builder.compilers());
    let mut differ = Vec::new();
    for guest in &guests {
        let packed = builder.build(guest)?;
        let committed = fs::read(guest.file()).unwrap_or_default();
        let same = packed == committed;
        let size = packed.len() as f64 / 1e3;
        if arguments.check {
            say::line(format!(
                "  {}: {size:.0} kB, {}",
                guest.id,
                if same { "as committed" } else { "DIFFERENT" }
            ));
            if !same {
                differ.push(workspace.relative(&guest.file()));
            }
        } else {
            fs::write(guest.file(), &packed).map_err(Failure::io("write", guest.file()))?;
            say::line(format!(
                "  {}: {size:.0} kB{}",
                guest.id,
                if same { ", as before" } else { "" }
            ));
        }
    }
    if arguments.check {
        templates::check(workspace, &builder)?;
    } else if arguments.ids.is_empty() {
        fs::write(&compilers, builder.compilers()).map_err(Failure::io("write", &compilers))?;
    }
    say::line(format!("Built in {}.", say::seconds(started.elapsed())));
    match (differ.is_empty(), same_compilers) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::StaleGuests { files: differ }),
        (false, false) => {
            say::line(format!(
                "Other compilers than those of `{}` give other bytes; the tests compare what the plugins do. Built: {}",
                workspace.relative(&compilers),
                workspace.relative(&builder.packed_folder())
            ));
            Ok(())
        }
    }
}

/// The guests with these ids, or all, in the order of their names.
fn guests(folder: &Path, ids: &[String]) -> Result<Vec<Guest>, Failure> {
    let mut guests = Vec::new();
    for entry in fs::read_dir(folder).map_err(Failure::io("read", folder))? {
        let entry = entry.map_err(Failure::io("read", folder))?;
        guests.extend(Guest::read(&entry.path())?);
    }
    guests.sort_by(|a, b| a.id.cmp(&b.id));
    for id in ids {
        if !guests.iter().any(|guest| guest.id == *id) {
            return Err(Failure::FileMissing {
                path: folder.join(id).join("plugin.toml"),
                needed_for: "it names the plugin to build",
            });
        }
    }
    guests.retain(|guest| ids.is_empty() || ids.contains(&guest.id));
    Ok(guests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_is_called_as_its_folder_and_has_a_committed_file() {
        let folder = Workspace::find().root().join("plugins/guests");
        let guests = guests(&folder, &[]).unwrap();
        assert!(!guests.is_empty());
        for guest in guests {
            assert_eq!(guest.folder.file_name().unwrap().to_str(), Some(guest.id.as_str()));
            let bytes = fs::read(guest.file()).unwrap();
            // What is larger takes longer to become machine code than an edit may take to be live.
            let most = if guest.kind == "family" { 300_000 } else { 150_000 };
            assert!(bytes.len() < most, "{}: {} bytes", guest.id, bytes.len());
            let manifest = guest.manifest.as_bytes();
            assert!(
                bytes.windows(manifest.len()).any(|window| window == manifest),
                "{}: the manifest in the file is not `plugin.toml`; run `cargo xtask guests`",
                guest.id
            );
        }
    }

    #[test]
    fn committed_files_name_no_folder_of_a_machine() {
        let folder = Workspace::find().root().join("plugins/guests");
        for guest in guests(&folder, &[]).unwrap() {
            let bytes = fs::read(guest.file()).unwrap();
            for word in [&b"/home/"[..], b"/root/", b".cargo", b"/usr/lib/rustlib", b"/tmp/"] {
                assert!(
                    !bytes.windows(word.len()).any(|window| window == word),
                    "{} holds `{}`",
                    guest.id,
                    String::from_utf8_lossy(word)
                );
            }
        }
    }
}
