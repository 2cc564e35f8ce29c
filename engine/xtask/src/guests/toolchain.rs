//! A Rust compiler with a standard library for `wasm32-unknown-unknown`, and clang.
//!
//! Usually rustup has the target or can fetch it. Where it cannot, Debian's packages `rustc-web` and `rust-web-src` do:
//! cargo then compiles the standard library from their sources.

use std::{path::PathBuf, process::Command};

use crate::{failure::Failure, say, steps, workspace::Workspace};

/// The target of all guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// How guests are compiled here.
pub(crate) struct Toolchain {
    /// The compiler to name to cargo, if it is not cargo's own, with the linker that it lacks.
    other: Option<(PathBuf, PathBuf)>,
    /// What the compiler says of itself.
    pub(crate) version: String,
    /// Folder of the compiler's own sources, which must not get into the files.
    pub(crate) sysroot: PathBuf,
}

/// A compiler, or in words why this machine has none; anything else that went wrong stays a failure.
pub(crate) fn or_reason<T>(found: Result<T, Failure>) -> Result<Result<T, String>, Failure> {
    match found {
        Err(missing @ (Failure::ProgramMissing { .. } | Failure::Step { .. })) => Ok(Err(missing.to_string())),
        found => found.map(Ok),
    }
}

/// What a program writes, without the line break at its end; `None` if it is not there or fails.
fn answer(mut command: Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn ask(workspace: &Workspace, program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = workspace.command(program);
    command.args(arguments);
    answer(command)
}

impl Toolchain {
    /// Finds a compiler, fetching what is missing.
    ///
    /// # Errors
    /// There is none, and neither rustup nor apt-get can bring one.
    pub(crate) fn find(workspace: &Workspace) -> Result<Toolchain, Failure> {
        let usual = || Toolchain::of(workspace, "rustc", None);
        let installed = || {
            let sysroot = PathBuf::from(ask(workspace, "rustc", &["--print", "sysroot"])?);
            sysroot
                .join("lib/rustlib")
                .join(TARGET)
                .join("lib")
                .is_dir()
                .then_some(())
        };
        if installed().is_some() {
            return usual();
        }
        say::line(format!("==> fetch the target {TARGET}"));
        let added = ask(workspace, "rustup", &["target", "add", TARGET]);
        if added.is_some() && installed().is_some() {
            return usual();
        }
        say::line("  rustup cannot bring it; Debian's compiler for the web can");
        let has_sources = || {
            let sysroot = PathBuf::from(ask(workspace, DEBIAN_RUSTC, &["--print", "sysroot"])?);
            sysroot.join("lib/rustlib/src/rust/library").is_dir().then_some(())
        };
        if has_sources().is_none() {
            try_apt_get(workspace, &["rustc-web", "rust-web-src"])?;
        }
        let linker = ask(workspace, "rustc", &["--print", "sysroot"])
            .map(|sysroot| PathBuf::from(sysroot).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"));
        match (has_sources(), linker.filter(|linker| linker.exists())) {
            (Some(()), Some(linker)) => Toolchain::of(workspace, DEBIAN_RUSTC, Some(linker)),
            _ => Err(Failure::ProgramMissing {
                program: format!("rustc for {TARGET}"),
                needed_for: "plugins are compiled with it",
                remedy: "Run `rustup target add wasm32-unknown-unknown` and the command again.",
            }),
        }
    }

    fn of(workspace: &Workspace, rustc: &str, linker: Option<PathBuf>) -> Result<Toolchain, Failure> {
        let missing = || Failure::ProgramMissing {
            program: rustc.to_owned(),
            needed_for: "plugins are compiled with it",
            remedy: "Install Rust, as `CONTRIBUTING.md` says.",
        };
        Ok(Toolchain {
            version: ask(workspace, rustc, &["--version"]).ok_or_else(missing)?,
            sysroot: ask(workspace, rustc, &["--print", "sysroot"])
                .ok_or_else(missing)?
                .into(),
            other: linker.map(|linker| (rustc.into(), linker)),
        })
    }

    /// Makes a `cargo build` use this compiler.
    pub(crate) fn use_in(&self, cargo: &mut Command) {
        cargo.args(["--target", TARGET]);
        if let Some((rustc, linker)) = &self.other {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }
}

/// clang's version, with clang and its WebAssembly linker fetched where they are missing.
///
/// # Errors
/// They are missing, and apt-get cannot bring them.
pub(crate) fn clang(workspace: &Workspace) -> Result<String, Failure> {
    let version = || {
        ask(workspace, "wasm-ld", &["--version"])?;
        let said = ask(workspace, "clang", &["--version"])?;
        said.lines().next().map(str::to_owned)
    };
    if version().is_none() {
        try_apt_get(workspace, &["clang", "lld"])?;
    }
    version().ok_or(Failure::ProgramMissing {
        program: "clang with wasm-ld".to_owned(),
        needed_for: "the plugin in C is compiled with them",
        remedy: "Install clang and lld (Debian and Ubuntu: `apt-get install clang lld`) and run the command again.",
    })
}

/// Installs Debian packages by name if it can; apt-get itself says why it cannot.
fn try_apt_get(workspace: &Workspace, packages: &[&str]) -> Result<(), Failure> {
    or_reason(apt_get(workspace, packages)).map(drop)
}

fn apt_get(workspace: &Workspace, packages: &[&str]) -> Result<(), Failure> {
    let mut update = workspace.command("apt-get");
    steps::run("look what Debian has", update.args(["update", "--quiet"]))?;
    let mut install = workspace.command("apt-get");
    install
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(packages);
    steps::run("install", &mut install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_compiler_is_a_reason_and_an_interruption_is_not() {
        let missing = Failure::ProgramMissing {
            program: "clang".to_owned(),
            needed_for: "the plugin in C is compiled with it",
            remedy: "Install it.",
        };
        let reason = or_reason::<()>(Err(missing)).unwrap().unwrap_err();
        assert!(reason.contains("`clang` was not found") && reason.ends_with("Install it."));
        let step = Failure::Step {
            command: "apt-get update".to_owned(),
            status: "exit status: 100".to_owned(),
        };
        assert!(or_reason::<()>(Err(step)).unwrap().is_err());
        assert!(matches!(
            or_reason::<()>(Err(Failure::Interrupted)),
            Err(Failure::Interrupted)
        ));
        assert_eq!(or_reason(Ok(7)).unwrap(), Ok(7));
    }
}
