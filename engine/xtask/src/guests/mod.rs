//! `cargo xtask guests`: the plugins of `plugins/guests/`, from source to the committed `.wasm` files.
//!
//! A guest is a folder with a `plugin.toml`: a crate, or one C file. It is compiled for `wasm32-unknown-unknown`, made a
//! component of the world of its kind and given its manifest. Nothing of the machine gets into a file, so the same
//! compilers give the same bytes; `compilers.txt` says which compilers made the committed ones.

mod build;
mod templates;
mod toolchain;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use sli_config::SourceFile;
use sli_config::plugin::{PluginManifest, parse_plugin};

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
    /// Where its sources and its `plugin.toml` are.
    pub(crate) folder: PathBuf,
    /// What `plugin.toml` says.
    pub(crate) manifest: PluginManifest,
}

impl Guest {
    /// Reads the manifest of a folder; `None` if it has none.
    ///
    /// # Errors
    /// A manifest that cannot be read, or is wrong.
    pub(crate) fn read(folder: &Path) -> Result<Option<Guest>, Failure> {
        let path = folder.join("plugin.toml");
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Failure::io("read", &path))?;
        let manifest = parse_plugin(SourceFile::new(path.display().to_string(), text)).map_err(Failure::plugin)?;
        Ok(Some(Guest {
            id: manifest.id.value.clone(),
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
///
/// # Errors
/// One of them does not compile; to be written: there is no compiler for it; to be compared: [`Failure::StaleGuests`].
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<(), Failure> {
    let folder = workspace.root().join("plugins/guests");
    let guests = guests(&folder, &arguments.ids)?;
    let compilers = folder.join("compilers.txt");
    if arguments.check {
        return check(workspace, &guests, &compilers).map(drop);
    }
    let started = Instant::now();
    let builder = Builder::new(workspace)?;
    for guest in &guests {
        let packed = builder.build(guest)?;
        let same = fs::read(guest.file()).is_ok_and(|committed| committed == packed);
        fs::write(guest.file(), &packed).map_err(Failure::io("write", guest.file()))?;
        let (id, size) = (&guest.id, packed.len() as f64 / 1e3);
        say::line(format!("  {id}: {size:.0} kB{}", if same { ", as before" } else { "" }));
    }
    if arguments.ids.is_empty() {
        fs::write(&compilers, builder.compilers()).map_err(Failure::io("write", &compilers))?;
    }
    say::line(format!("Built in {}.", say::seconds(started.elapsed())));
    Ok(())
}

/// Builds all guests and templates, and compares the guests with what is committed. Gives the folder with all
/// of them, as `<id>.wasm`: as they were built, or as committed where this machine has no compiler for one.
///
/// # Errors
/// One of them does not compile, or the same compiler gave other bytes.
pub(crate) fn check_all(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let folder = workspace.root().join("plugins/guests");
    check(workspace, &guests(&folder, &[])?, &folder.join("compilers.txt"))
}

fn check(workspace: &Workspace, guests: &[Guest], compilers: &Path) -> Result<PathBuf, Failure> {
    let started = Instant::now();
    let builder = Builder::new(workspace)?;
    for why in builder.missing() {
        say::line(format!("NOT all plugins can be built here: {why}"));
    }
    let made_by = fs::read_to_string(compilers).map_err(Failure::io("read", compilers))?;
    let mut stale = Vec::new();
    for guest in guests {
        let committed = fs::read(guest.file()).map_err(Failure::io("read", guest.file()))?;
        let compiler = builder.compiler(guest);
        let packed = match compiler {
            Ok(_) => builder.build(guest)?,
            Err(_) => committed.clone(),
        };
        builder.keep(guest, &packed)?;
        let verdict = Verdict::of(compiler, &made_by, packed == committed);
        say::line(format!(
            "  {}: {:.0} kB, {verdict}",
            guest.id,
            packed.len() as f64 / 1e3
        ));
        if verdict == Verdict::Stale {
            stale.push(workspace.relative(&guest.file()));
        }
    }
    templates::check(workspace, &builder)?;
    say::line(format!("Built in {}.", say::seconds(started.elapsed())));
    match stale.is_empty() {
        true => Ok(builder.packed_folder()),
        false => Err(Failure::StaleGuests { files: stale }),
    }
}

/// How a guest, built anew, stands to what is committed.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    Same,
    /// The compiler that made the committed file made another one: the sources have changed since.
    Stale,
    /// Another compiler, other bytes: the tests say whether they do the same.
    Other(&'a str),
    /// There is no compiler for it.
    NotBuilt,
}

impl<'a> Verdict<'a> {
    /// `compiler` is the one that a guest needs, or why there is none; `made_by` the text of `compilers.txt`.
    fn of(compiler: Result<&'a str, &'a str>, made_by: &str, same: bool) -> Self {
        match compiler {
            Err(_) => Self::NotBuilt,
            Ok(_) if same => Self::Same,
            Ok(version) if made_by.lines().any(|line| line == version) => Self::Stale,
            Ok(version) => Self::Other(version),
        }
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => write!(f, "as committed"),
            Self::Stale => write!(f, "DIFFERENT from what is committed"),
            Self::Other(version) => write!(f, "made by another compiler than the committed one: {version}"),
            Self::NotBuilt => write!(f, "NOT built, the committed one is used"),
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
            let most = if guest.manifest.kind.as_str() == "family" {
                300_000
            } else {
                150_000
            };
            assert!(bytes.len() < most, "{}: {} bytes", guest.id, bytes.len());
            assert_eq!(
                sli_pack::manifest(&bytes).unwrap(),
                Some(guest.manifest.file.text.as_bytes()),
                "{}: the manifest in the file is not `plugin.toml`; run `cargo xtask guests`",
                guest.id
            );
        }
    }

    #[test]
    fn bytes_of_the_same_compiler_must_be_the_same() {
        let made_by = "rustc 1.95.0\nclang 14\n";
        assert_eq!(Verdict::of(Ok("rustc 1.95.0"), made_by, true), Verdict::Same);
        assert_eq!(Verdict::of(Ok("clang 14"), made_by, false), Verdict::Stale);
        let newer = Ok("rustc 1.96.0");
        assert_eq!(Verdict::of(newer, made_by, false), Verdict::Other("rustc 1.96.0"));
        assert_eq!(Verdict::of(newer, made_by, true), Verdict::Same);
        // the committed file is compared with itself
        assert_eq!(Verdict::of(Err("no clang"), made_by, true), Verdict::NotBuilt);
    }

    #[test]
    fn committed_files_name_no_folder_of_a_machine() {
        let folder = Workspace::find().root().join("plugins/guests");
        for guest in guests(&folder, &[]).unwrap() {
            let bytes = fs::read(guest.file()).unwrap();
            for word in [
                &b"/home/"[..],
                b"/root/",
                b".cargo",
                b"/usr/lib/rustlib",
                b"/tmp/",
                b"registry",
            ] {
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
