//! One guest: compiled, made a component, given its manifest.

use std::{
    cell::OnceCell,
    env, fs,
    path::{Path, PathBuf},
};

use super::{
    Guest,
    toolchain::{self, TARGET, Toolchain, or_reason},
};
use crate::{failure::Failure, steps, workspace::Workspace};

/// The source of a guest in C.
const C_SOURCE: &str = "filter.c";

/// Builds guests, all in one target folder.
pub(crate) struct Builder<'a> {
    workspace: &'a Workspace,
    /// The compiler for crates, or why there is none.
    rust: Result<Toolchain, String>,
    /// The version of the compiler for C, or why there is none.
    clang: Result<String, String>,
    target: PathBuf,
    /// Folders that hold what registries gave, known once the crates are there.
    registries: OnceCell<Vec<PathBuf>>,
}

impl<'a> Builder<'a> {
    /// Prepares to build: finds the compilers, and fetches those that are missing if it can.
    ///
    /// # Errors
    /// Interrupted.
    pub(crate) fn new(workspace: &'a Workspace) -> Result<Self, Failure> {
        Ok(Self {
            workspace,
            rust: or_reason(Toolchain::find(workspace))?,
            clang: or_reason(toolchain::clang(workspace))?,
            target: workspace.target().join("guests"),
            registries: OnceCell::new(),
        })
    }

    /// The version of the compiler that a guest needs, or why there is none here.
    pub(crate) fn compiler(&self, guest: &Guest) -> Result<&str, &str> {
        let version = match is_c(guest) {
            true => self.clang.as_ref(),
            false => self.rust.as_ref().map(|rust| &rust.version),
        };
        version.map(String::as_str).map_err(String::as_str)
    }

    /// Why compilers are missing, those that are.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &str> {
        let reasons = [self.rust.as_ref().err(), self.clang.as_ref().err()];
        reasons.into_iter().flatten().map(String::as_str)
    }

    /// The compilers in words, a line each: what `compilers.txt` holds.
    pub(crate) fn compilers(&self) -> String {
        let rust = self.rust.as_ref().map(|rust| &rust.version);
        let known = [rust, self.clang.as_ref()].into_iter().flatten();
        known.map(|version| format!("{version}\n")).collect()
    }

    /// Where a copy of every plugin file lies, as `<id>.wasm`.
    pub(crate) fn packed_folder(&self) -> PathBuf {
        self.target.join("packed")
    }

    /// Where templates are filled in.
    pub(crate) fn scaffold_folder(&self) -> PathBuf {
        self.target.join("scaffold")
    }

    /// The plugin file of a guest.
    ///
    /// # Errors
    /// There is no compiler for it; it does not compile, or does not fit the world of its kind.
    pub(crate) fn build(&self, guest: &Guest) -> Result<Vec<u8>, Failure> {
        self.build_with(guest, &["--locked"])
    }

    /// As [`Builder::build`], for a crate whose lock file cargo may shorten.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub(crate) fn build_scaffold(&self, guest: &Guest) -> Result<Vec<u8>, Failure> {
        self.build_with(guest, &[])
    }

    /// Keeps the plugin file of a guest with those that were built.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, guest: &Guest, packed: &[u8]) -> Result<(), Failure> {
        let folder = self.packed_folder();
        fs::create_dir_all(&folder).map_err(Failure::io("create", &folder))?;
        let file = folder.join(format!("{}.wasm", guest.id));
        fs::write(&file, packed).map_err(Failure::io("write", file))
    }

    fn build_with(&self, guest: &Guest, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let core = match is_c(guest) {
            true => self.clang(guest)?,
            false => self.cargo(guest, arguments)?,
        };
        let module = fs::read(&core).map_err(Failure::io("read", &core))?;
        let name = self.workspace.relative(&core);
        let (packed, _) = sli_pack::pack(&name, &module, guest.manifest.file.clone()).map_err(Failure::plugin)?;
        self.keep(guest, &packed)?;
        Ok(packed)
    }

    /// Compiles a crate; one at a time, so that the features of the SDK do not mix.
    fn cargo(&self, guest: &Guest, arguments: &[&str]) -> Result<PathBuf, Failure> {
        let rust = self.rust.as_ref().map_err(|why| not_built(guest, why))?;
        let mut cargo = self.workspace.cargo();
        cargo
            .current_dir(&guest.folder)
            .args(["build", "--release", "--quiet"])
            .args(arguments)
            .args(["--package", &guest.id])
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_ENCODED_RUSTFLAGS", self.remaps(rust)?.join("\u{1f}"));
        rust.use_in(&mut cargo);
        steps::run(&format!("compile {}", guest.id), &mut cargo)?;
        let name = format!("{}.wasm", guest.id.replace('-', "_"));
        Ok(self.target.join(TARGET).join("release").join(name))
    }

    /// Flags that keep the folders of this machine out of the files.
    ///
    /// All guests and templates have the same ones, else cargo would compile what they share again and again.
    fn remaps(&self, rust: &Toolchain) -> Result<Vec<String>, Failure> {
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo_home = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        let registries = self.registries(&cargo_home)?.iter().cloned();
        // The last one that fits is taken.
        let folders = [
            (rust.sysroot.clone(), "/rust"),
            (self.workspace.root().to_owned(), "/sli-pipe"),
            (self.workspace.root().join("plugins/guests"), "/plugins"),
            (self.scaffold_folder(), "/plugins"),
        ];
        let theirs = [(home, "/home"), (cargo_home, "/cargo")].into_iter();
        let theirs = theirs.chain(registries.map(|folder| (folder, "/crates")));
        let flag = |(from, to): (PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
        let absolute = |(from, _): &(PathBuf, &str)| from.is_absolute();
        Ok(theirs.chain(folders).filter(absolute).map(flag).collect())
    }

    /// The folders of registries: they are called after hosts, which are not the same everywhere.
    fn registries(&self, cargo_home: &Path) -> Result<&[PathBuf], Failure> {
        if let Some(known) = self.registries.get() {
            return Ok(known);
        }
        let mut fetch = self.workspace.cargo();
        fetch
            .current_dir(self.workspace.root().join("plugins"))
            .args(["fetch", "--quiet", "--locked"]);
        steps::run("fetch the crates of plugins", &mut fetch)?;
        let entries = fs::read_dir(cargo_home.join("registry/src"))
            .into_iter()
            .flatten()
            .flatten();
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        found.sort();
        Ok(self.registries.get_or_init(|| found))
    }

    /// Compiles one C file without a standard library.
    fn clang(&self, guest: &Guest) -> Result<PathBuf, Failure> {
        self.clang.as_ref().map_err(|why| not_built(guest, why))?;
        fs::create_dir_all(&self.target).map_err(Failure::io("create", &self.target))?;
        let core = self.target.join(format!("{}.core.wasm", guest.id));
        let mut clang = self.workspace.command("clang");
        clang.current_dir(&guest.folder).args([
            "--target=wasm32",
            "-std=c11",
            "-Oz",
            "-nostdlib",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wl,--no-entry",
            "-Wl,--strip-all",
            "-Wl,-zstack-size=65536",
        ]);
        clang.arg("-o").arg(&core).arg(C_SOURCE);
        steps::run(&format!("compile {}", guest.id), &mut clang)?;
        Ok(core)
    }
}

/// True for a guest of one C file; the others are crates.
fn is_c(guest: &Guest) -> bool {
    guest.folder.join(C_SOURCE).exists()
}

fn not_built(guest: &Guest, why: &str) -> Failure {
    Failure::NotBuilt {
        id: guest.id.clone(),
        why: why.to_owned(),
    }
}
