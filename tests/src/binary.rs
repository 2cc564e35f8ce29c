//! Runs of the `sli-pipe` binary, as a user starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The binary: the one that `SLI_PIPE_BINARY` names, else that of this workspace, built with the profile of the
/// tests if it is not fresh.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("SLI_PIPE_BINARY") {
            return std::path::absolute(path).expect("a path");
        }
        let exe = std::env::current_exe().expect("the test's own path");
        let profile = exe
            .parent()
            .and_then(Path::parent)
            .expect("tests stand in <target>/<profile>/deps");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--bin", "sli-pipe", "--target-dir"]);
        build.arg(profile.parent().expect("a target folder"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "sli-pipe could not be built");
        profile.join("sli-pipe")
    })
}

/// A command of the binary in a folder, shielded from the user's own settings.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(path());
    command
        .args(args)
        .current_dir(dir)
        .env("XDG_CONFIG_HOME", dir.join(".config"))
        .env("XDG_CACHE_HOME", dir.join(".cache"))
        .env("NO_COLOR", "1");
    // Help is as wide as the terminal, and logs are as the user wants them.
    command.env("COLUMNS", "100").env_remove("SLI_PIPE_LOG");
    command
}

/// What a finished command left.
#[derive(Debug)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs the binary in a folder.
pub fn run(dir: &Path, args: &[&str]) -> Ended {
    ended(command(dir, args).output().expect("sli-pipe starts"))
}

/// The parts of a process' output.
pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ended {
    /// The run, if it succeeded; else its messages.
    #[track_caller]
    pub fn success(self) -> Ended {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }
}
