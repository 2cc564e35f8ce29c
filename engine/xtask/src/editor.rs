//! The user's files as an editor sees them: a TOML language server's own checker, with the schemas in `schemas/`.
//!
//! `.taplo.toml` says which files have which schema, here as for editors.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{bundle::Bundle, failure::Failure, say, steps, wheel::TAPLO, workspace::Workspace};

/// Files that an editor must mark as wrong, one mistake each.
const BROKEN: &str = "engine/config/tests/editor";

/// The language server, as one program.
const SERVER: Bundle = Bundle {
    name: "taplo",
    folder: "taplo",
    recipe: 1,
    wheels: &[TAPLO],
    finish: |folder| {
        let program = folder.join("taplo");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .map_err(Failure::io("make executable", &program))
    },
};

/// Checks every shipped file with its schema, and that the broken ones are refused.
///
/// # Errors
/// [`Failure::Step`] where a shipped file is refused, [`Failure::Accepted`] where a broken one is not.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    SERVER.ensure(workspace)?;
    let program = workspace.deps("taplo/taplo");
    let shipped = [
        "families/**/*.toml",
        "pipelines/**/*.toml",
        "plugins/guests/**/*.toml",
        "engine/config/tests/good/*.toml",
    ];
    steps::run(
        "check the files as an editor does",
        lint(workspace, &program).args(shipped),
    )?;
    let broken = toml_files(&workspace.root().join(BROKEN))?;
    for file in &broken {
        if is_accepted(workspace, &program, file)? {
            let file = workspace.relative(file);
            return Err(Failure::Accepted { file });
        }
    }
    say::line(format!("All {} broken files are refused.", broken.len()));
    Ok(())
}

fn lint(workspace: &Workspace, program: &Path) -> Command {
    let mut command = workspace.command(program);
    // what it says of fine files, it says on a line each
    command.env("RUST_LOG", "warn").arg("lint");
    command
}

fn is_accepted(workspace: &Workspace, program: &Path, file: &Path) -> Result<bool, Failure> {
    let output = lint(workspace, program).arg(file).output();
    let output = output.map_err(Failure::io("start", program))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // A file that is refused because its schema could not be read proves nothing.
    Ok(output.status.success() || said.contains("failed to load schema"))
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::io("list", folder))?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::io("list", folder))?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    Ok(files)
}
