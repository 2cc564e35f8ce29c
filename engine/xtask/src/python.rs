//! The Python environment of the reference scripts. No test and no build needs it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{failure::Failure, fetch, pip, say, steps, workspace::Workspace};

/// What the scripts import, pinned.
const REQUIREMENTS: &str = "tests/parity/requirements.txt";

/// Written into the environment last: the digest of the requirements it was made from.
const STAMP: &str = "requirements.sha256";

/// Makes the environment unless it is there, and returns its Python.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let requirements = workspace.root().join(REQUIREMENTS);
    exists(&requirements, "it lists what the reference scripts import")?;
    let digest = fetch::sha256(&requirements)?;
    let folder = workspace.deps("venv");
    let (stamp, python) = (folder.join(STAMP), folder.join("bin/python"));
    let place = workspace.relative(&folder);
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == digest) && python.exists() {
        say::line(format!("The Python environment is already there: {place}"));
        return Ok(python);
    }
    let mut make = workspace.command(pip::python());
    steps::run(
        "make a Python environment",
        make.args(["-m", "venv", "--clear"]).arg(&folder),
    )?;
    let mut install = workspace.command(&python);
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]);
    steps::run("install the Python packages", install.arg(&requirements))?;
    fs::write(&stamp, digest).map_err(Failure::io("write", &stamp))?;
    say::line(format!("The Python environment is ready: {place}"));
    Ok(python)
}

/// Runs a script of the repository in the environment.
pub(crate) fn script(workspace: &Workspace, script: &str, arguments: &[String]) -> Result<(), Failure> {
    let path = workspace.root().join(script);
    exists(&path, "it is what this command runs")?;
    let python = ensure(workspace)?;
    steps::run(script, workspace.command(python).arg(path).args(arguments))
}

fn exists(path: &Path, needed_for: &'static str) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    Err(Failure::FileMissing {
        path: path.to_owned(),
        needed_for,
    })
}
