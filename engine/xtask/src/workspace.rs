//! Where things lie: the repository, its git-ignored `.deps` folder, the target folder.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Environment variables that `cargo run` sets for this process and that a cargo started from here
/// must not see: build scripts watch some of them, and would run again each time.
const SET_BY_CARGO_RUN: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];

/// The repository this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the repository from the place of this crate.
    pub(crate) fn find() -> Self {
        // The variable is right even where several checkouts share one target folder.
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.ancestors().nth(2).unwrap_or(&manifest).to_path_buf();
        Self { root }
    }

    /// The folder of the root `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the git-ignored folder of fetched things.
    pub(crate) fn deps(&self, inside: &str) -> PathBuf {
        self.root.join(".deps").join(inside)
    }

    /// The folder that `.cargo/config.toml` gives as `LIBTORCH`; keep the two equal.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.deps("libtorch/torch")
    }

    /// The user's own `LIBTORCH`, if there is one; the value from `.cargo/config.toml` is not.
    pub(crate) fn own_libtorch(&self) -> Option<PathBuf> {
        own(env::var_os("LIBTORCH"), &self.libtorch())
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        // Joining an absolute path gives that path, as cargo has it.
        self.root
            .join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// A path as the user would write it: relative to the repository where possible.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// A program to run in the repository, with the environment the user called us with.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let name_text = name.to_string_lossy();
            if SET_BY_CARGO_RUN.iter().any(|prefix| name_text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        if self.own_libtorch().is_none() {
            // cargo adds it again from `.cargo/config.toml`; were it here already, torch-sys would
            // take that for a change and compile its C++ again.
            command.env_remove("LIBTORCH");
        }
        command
    }

    /// The cargo that runs us.
    pub(crate) fn cargo(&self) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }
}

fn own(value: Option<OsString>, ours: &Path) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path != ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_from_the_cargo_configuration_is_not_the_users_own() {
        let workspace = Workspace { root: "/clone".into() };
        let ours = workspace.libtorch();
        assert_eq!(own(None, &ours), None);
        assert_eq!(own(Some("/clone/.deps/libtorch/torch".into()), &ours), None);
        assert_eq!(own(Some("/opt/libtorch".into()), &ours), Some("/opt/libtorch".into()));
        // cargo lets an empty variable win over its configuration, so it must not pass unseen.
        assert_eq!(own(Some("".into()), &ours), Some("".into()));
    }

    #[test]
    fn cargo_configuration_and_set_up_agree_on_the_place() {
        let workspace = Workspace::find();
        let config = std::fs::read_to_string(workspace.root().join(".cargo/config.toml")).unwrap();
        let place = workspace.relative(&workspace.libtorch());
        assert!(config.contains(&format!("value = \"{place}\"")), "{config}");
    }
}
