//! Files that the code states: the JSON schemas of the user's files, for editors, and the reference of the functions.
//! Generated and committed, so that they can be read without building anything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sli_config::schema;

use crate::{failure::Failure, say, workspace::Workspace};

/// The generated files: path and text, as the code says now.
fn texts(workspace: &Workspace) -> Vec<(PathBuf, String)> {
    let folder = workspace.root().join("schemas");
    let schemas = schema::files().into_iter();
    let mut texts: Vec<_> = schemas
        .map(|(name, value)| (folder.join(name), schema::to_text(&value)))
        .collect();
    texts.push((workspace.root().join("docs/functions.md"), sli_family::reference()));
    texts
}

/// Writes the files that are out of date.
pub(crate) fn write(workspace: &Workspace) -> Result<(), Failure> {
    for (path, text) in texts(workspace) {
        let name = workspace.relative(&path);
        if is_fresh(&path, &text) {
            say::line(format!("{name} is up to date"));
        } else {
            fs::write(&path, text).map_err(Failure::io("write", &path))?;
            say::line(format!("{name} written"));
        }
    }
    Ok(())
}

/// Fails with the names of the files that are out of date.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let stale = texts(workspace)
        .into_iter()
        .filter(|(path, text)| !is_fresh(path, text));
    let files: Vec<_> = stale.map(|(path, _)| workspace.relative(&path)).collect();
    if files.is_empty() {
        Ok(())
    } else {
        Err(Failure::Stale { files })
    }
}

fn is_fresh(path: &Path, text: &str) -> bool {
    // A file that is missing or unreadable is as good as stale.
    fs::read_to_string(path).is_ok_and(|found| found == text)
}
