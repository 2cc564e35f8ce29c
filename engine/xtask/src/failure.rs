//! Everything that can stop a command, each as a sentence that ends with what to do.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a command stopped.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A file operation failed; the remedy depends on the kind of error.
    #[error("cannot {action} `{}`: {source}. {}", path.display(), io_remedy(source))]
    Io {
        /// What was tried, as a verb: `create`, `read`, ….
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of the system is missing.
    #[error("`{program}` was not found, and {needed_for}. {remedy}")]
    ProgramMissing {
        /// The program as it was called.
        program: String,
        /// What it is needed for, as a clause.
        needed_for: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// The libtorch that set-up fetches does not fit this machine.
    #[error(
        "`cargo xtask setup` fetches libtorch for Linux on x86_64 only, and this machine is {os} on \
         {arch}. Install libtorch {version} yourself and set `LIBTORCH` to its folder (the one that \
         holds `lib` and `include`)."
    )]
    Host {
        /// The operating system.
        os: &'static str,
        /// The processor architecture.
        arch: &'static str,
        /// The libtorch version that is needed.
        version: &'static str,
    },
    /// `LIBTORCH` names something that cannot be used.
    #[error(
        "`LIBTORCH` is set to `{}`, but {problem}. Set it to the folder of libtorch {version} that \
         holds `lib` and `include`, or unset it and let `cargo xtask setup` fetch one.",
        path.display()
    )]
    Libtorch {
        /// The value of the variable.
        path: PathBuf,
        /// What is wrong with it, as a clause.
        problem: String,
        /// The libtorch version that is needed.
        version: &'static str,
    },
    /// pip did not deliver a package.
    #[error("pip could not download `{requirement}`. {remedy}\n  pip said: {said}")]
    Download {
        /// Package and version, as given to pip.
        requirement: String,
        /// What to do, guessed from pip's words.
        remedy: &'static str,
        /// The last lines pip wrote.
        said: String,
    },
    /// A downloaded file is not the one that was pinned.
    #[error(
        "`{file}` has the SHA-256 {found}, but {expected} is expected, so it was deleted. Run the \
         command again; if it fails again, a proxy or a package mirror changes the file: use another \
         (`pip config list` shows which one is in use)."
    )]
    Checksum {
        /// The file's name.
        file: String,
        /// The pinned digest, in hexadecimal.
        expected: String,
        /// The digest of what came, in hexadecimal.
        found: String,
    },
    /// A verified archive could not be unpacked.
    #[error("cannot unpack `{file}`: {problem}. Run the command again; if it fails again, report it.")]
    Archive {
        /// The archive's name.
        file: String,
        /// What is wrong, as a clause.
        problem: String,
    },
    /// A file that the command needs is not in the repository.
    #[error("`{}` does not exist, and {needed_for}. Run the command in a complete checkout.", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
        /// What it is needed for, as a clause.
        needed_for: &'static str,
    },
    /// Committed files are not what the code says.
    #[error("out of date: {}. Run `cargo xtask generate` and commit what it writes.", files.join(", "))]
    Stale {
        /// The files, as paths in the repository.
        files: Vec<String>,
    },
    /// A broken file was not refused.
    #[error("`{file}` is broken on purpose, and its schema accepts it or could not be read.")]
    Accepted {
        /// The file, as a path in the repository.
        file: String,
    },
    /// A plugin cannot be packed, or its manifest is wrong.
    #[error("a plugin of `plugins/` is not right.\n{diagnostics}")]
    Plugin {
        /// What is wrong, as `sli-pipe plugins pack` says it.
        diagnostics: String,
    },
    /// A plugin was to be built without a compiler.
    #[error("the plugin `{id}` cannot be built here: {why}")]
    NotBuilt {
        /// Its id.
        id: String,
        /// Why there is no compiler for it.
        why: String,
    },
    /// Committed plugins are not what their sources give.
    #[error("built anew by the same compilers, these are not what is committed: {}. Run `cargo xtask guests` and commit what it writes.", files.join(", "))]
    StaleGuests {
        /// The files, as paths in the repository.
        files: Vec<String>,
    },
    /// A program that a step ran ended with an error.
    #[error("`{command}` failed ({status}); its own messages are above.")]
    Step {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A shape of the benchmarks cannot be used.
    #[error("the shape `{name}` cannot be used: {problem}. Shapes are `config.json` files in `tests/bench/shapes/`.")]
    Shape {
        /// Its name.
        name: String,
        /// What is wrong, as a clause.
        problem: String,
    },
    /// What a program or a file says is not what was expected.
    #[error("what `{program}` says cannot be read: {problem}. Take one of this checkout.")]
    Answer {
        /// The program or the file.
        program: String,
        /// What is wrong, as a clause.
        problem: String,
    },
    /// The user or the system asked to stop.
    #[error("interrupted. Run the same command again: finished downloads are kept.")]
    Interrupted,
}

impl Failure {
    /// Makes the conversion for one file operation: `.map_err(Failure::io("create", path))`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// What is wrong with a plugin, as a failure.
    pub(crate) fn plugin(diagnostics: Vec<sli_config::Diagnostic>) -> Self {
        let diagnostics = sli_config::render(&diagnostics, false);
        Self::Plugin { diagnostics }
    }

    /// The process exit code: 130 after an interruption, as shells have it, otherwise 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

fn io_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free some disk space (set-up needs about 1.2 GB while it runs, `bench` about 8 GB, with row d 22 GB) and \
             run the command again."
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Make the folder writable for this user and run the command again."
        }
        _ => "Put that right and run the command again.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_to_free_space() {
        let failure = Failure::io("write", "x")(io::Error::from(io::ErrorKind::StorageFull));
        assert!(failure.to_string().contains("Free some disk space"), "{failure}");
    }
}
