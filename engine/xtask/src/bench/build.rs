//! The programs that are measured, built where they are not given.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;

use crate::{failure::Failure, libtorch, say, workspace::Workspace};

/// One message of cargo, as far as it is needed.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// `given` where it is a path, otherwise the freshly built program `name` of the workspace, of cargo's kind `--bin` or `--bench`.
///
/// # Errors
/// [`Failure::Step`] where it does not compile; those of `cargo xtask setup`.
pub(super) fn program(workspace: &Workspace, given: Option<&Path>, kind: &str, name: &str) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return std::path::absolute(given).map_err(Failure::io("find", given));
    }
    libtorch::ensure(workspace)?;
    say::line(format!("==> build {name}"));
    let mut build = workspace.cargo();
    // the whole workspace decides the features, as in `demo` and `test`: else heavy crates would be compiled twice
    build.args(["build", "--release", "--workspace", kind, name]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let failed = |status: String| Failure::Step {
        command: format!("cargo build --release --workspace {kind} {name}"),
        status,
    };
    let output = build.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    executable(&text, name).ok_or_else(|| failed("no program came of it".into()))
}

/// The program of the target `name` in cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == name))
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"products"},"executable":"/t/release/deps/products-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "products"),
            Some("/t/release/deps/products-1".into())
        );
        assert_eq!(executable(messages, "sli-pipe"), None);
    }
}
