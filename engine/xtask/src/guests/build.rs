//! One guest: compiled, made a component, given its manifest.

use std::{
    cell::OnceCell,
    env, fs,
    path::{Path, PathBuf},
};

use super::{
    Guest, pack,
    toolchain::{self, TARGET, Toolchain},
};
use crate::{failure::Failure, steps, workspace::Workspace};

/// The source of a guest in C.
const C_SOURCE: &str = "filter.c";

/// Builds guests, all in one target folder.
pub(crate) struct Builder<'a> {
    workspace: &'a Workspace,
    toolchain: Toolchain,
    clang: OnceCell<String>,
    target: PathBuf,
}

impl<'a> Builder<'a> {
    /// Prepares to build: finds the compilers.
    ///
    /// # Errors
    /// A compiler is missing and cannot be fetched.
    pub(crate) fn new(workspace: &'a Workspace) -> Result<Self, Failure> {
        let builder = Self {
            workspace,
            toolchain: Toolchain::find(workspace)?,
            clang: OnceCell::new(),
            target: workspace.target().join("guests"),
        };
        let _ = builder.clang.set(toolchain::clang(workspace)?);
        Ok(builder)
    }

    /// The compilers in words: what `compilers.txt` holds.
    pub(crate) fn compilers(&self) -> String {
        let clang = self.clang.get().map_or("", String::as_str);
        format!("{}\n{clang}\n", self.toolchain.version)
    }

    /// Where a copy of everything that was built lies.
    pub(crate) fn packed_folder(&self) -> PathBuf {
        self.target.join("packed")
    }

    /// The plugin file of a guest.
    ///
    /// # Errors
    /// It does not compile, or does not fit the world of its kind.
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

    fn build_with(&self, guest: &Guest, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let core = match guest.folder.join(C_SOURCE).exists() {
            true => self.clang(guest)?,
            false => self.cargo(guest, arguments)?,
        };
        let module = fs::read(&core).map_err(Failure::io("read", &core))?;
        let wit = self.workspace.root().join("plugins/wit/0.1.0");
        let packed = pack::pack(&module, guest, &wit).map_err(|problem| Failure::Plugin { path: core, problem })?;
        let folder = self.packed_folder();
        fs::create_dir_all(&folder).map_err(Failure::io("create", &folder))?;
        let file = folder.join(format!("{}.wasm", guest.id));
        fs::write(&file, &packed).map_err(Failure::io("write", file))?;
        Ok(packed)
    }

    /// Compiles a crate; one at a time, so that the features of the SDK do not mix.
    fn cargo(&self, guest: &Guest, arguments: &[&str]) -> Result<PathBuf, Failure> {
        let mut cargo = self.workspace.cargo();
        cargo
            .current_dir(&guest.folder)
            .args(["build", "--release", "--quiet"])
            .args(arguments)
            .args(["--package", &guest.id])
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_ENCODED_RUSTFLAGS", self.remaps(&guest.folder).join("\u{1f}"));
        self.toolchain.use_in(&mut cargo);
        steps::run(&format!("compile {}", guest.id), &mut cargo)?;
        let name = format!("{}.wasm", guest.id.replace('-', "_"));
        Ok(self.target.join(TARGET).join("release").join(name))
    }

    /// Flags that keep the folders of this machine out of the files.
    fn remaps(&self, guest: &Path) -> Vec<String> {
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo_home = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        // The last one that fits is taken.
        let folders = [
            (home, "/home"),
            (cargo_home, "/cargo"),
            (self.toolchain.sysroot.clone(), "/rust"),
            (self.workspace.root().to_owned(), "/sli-pipe"),
            (guest.parent().unwrap_or(guest).to_owned(), "/plugins"),
        ];
        let flag = |(from, to): (PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
        folders
            .into_iter()
            .filter(|(from, _)| from.is_absolute())
            .map(flag)
            .collect()
    }

    /// Compiles one C file without a standard library.
    fn clang(&self, guest: &Guest) -> Result<PathBuf, Failure> {
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
