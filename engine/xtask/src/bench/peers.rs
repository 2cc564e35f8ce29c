//! Others who stream weights from the disk, over the same documents, each document alone as they do it.

use std::{fs, path::PathBuf};

use super::{
    drive,
    lab::{Lab, Task, timed},
};
use crate::{failure::Failure, python, say, steps, workspace::Workspace};

/// The program that runs them.
const SCRIPT: &str = "tests/bench/peer.py";

/// What AirLLM needs beside the packages of the reference scripts, pinned; installed without what it would pull in.
const AIRLLM: [&str; 3] = ["airllm==4.0.0", "scipy==1.17.1", "sentencepiece==0.2.3"];

/// Somebody to be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Hugging Face's accelerate, with all layers offloaded to the disk.
    Accelerate,
    /// AirLLM, over the layers it has split the checkpoint into.
    AirLlm,
}

impl Peer {
    /// All of them.
    pub(super) const ALL: [Peer; 2] = [Peer::Accelerate, Peer::AirLlm];

    /// Its column in the history.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Accelerate => "c-accelerate",
            Self::AirLlm => "c-airllm",
        }
    }

    /// Its name, with the part of it that is meant.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accelerate => "accelerate's disk offload",
            Self::AirLlm => "AirLLM",
        }
    }

    /// How many times faster sli-pipe should be.
    pub(super) fn target(self) -> f64 {
        match self {
            Self::Accelerate => 5.0,
            Self::AirLlm => 12.0,
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Accelerate => "accelerate",
            Self::AirLlm => "airllm",
        }
    }
}

/// Runs the task in turn with sli-pipe and with every peer, cold; gives for each peer its time ÷ ours of every round,
/// and what is to be known. A peer that cannot be made to run has no values, and the reason.
///
/// # Errors
/// Those of sli-pipe and of the Python environment.
pub(super) fn compare(lab: &Lab<'_>, task: Task<'_>) -> Result<Vec<(Peer, Vec<f64>, String)>, Failure> {
    let python = python::ensure(lab.workspace)?;
    let airllm = install(lab.workspace);
    let packages = airllm.as_ref().ok();
    let documents = lab.documents(task.model, task.documents)?;
    let command = |peer: Peer, prepare: bool| {
        let mut command = match prepare {
            true => std::process::Command::new(&python),
            false => task.limit.command(python.as_os_str()),
        };
        command.arg(lab.workspace.root().join(SCRIPT)).arg(peer.argument());
        command.arg(task.model).arg(&documents);
        command.args(["--threads", &lab.threads.to_string()]);
        command.arg("--folder").arg(lab.folder.join(peer.argument()));
        command.envs(packages.map(|folder| ("PYTHONPATH", folder)));
        command.env("OMP_NUM_THREADS", lab.threads.to_string());
        if prepare {
            command.arg("--prepare");
        }
        command
    };
    let mut found = Vec::new();
    for peer in Peer::ALL {
        let refused = match (peer, &airllm) {
            (Peer::AirLlm, Err(failure)) => Some(failure.to_string()),
            _ => timed(&mut command(peer, true)).err().map(|failure| failure.to_string()),
        };
        found.push((peer, Vec::new(), refused));
    }
    for round in 1..=lab.rounds {
        drive::forget(task.model)?;
        let ours = lab.run(task)?.wall;
        for (peer, ratios, _) in found.iter_mut().filter(|(_, _, refused)| refused.is_none()) {
            forget(lab, task, *peer)?;
            let (theirs, output) = timed(&mut command(*peer, false))?;
            let said = String::from_utf8_lossy(&output.stdout);
            let said = said.lines().last().unwrap_or_default();
            say::line(format!(
                "  round {round}: sli-pipe {ours:.2} s, {} {theirs:.2} s {said}",
                peer.name()
            ));
            ratios.push(theirs / ours);
        }
    }
    let words = |refused: Option<String>| refused.unwrap_or_else(|| "cold, whole processes".into());
    Ok(found
        .into_iter()
        .map(|(peer, ratios, refused)| (peer, ratios, words(refused)))
        .collect())
}

/// Drops the pages of what `peer` will read.
fn forget(lab: &Lab<'_>, task: Task<'_>, peer: Peer) -> Result<(), Failure> {
    drive::forget(task.model)?;
    let mut folders: Vec<PathBuf> = vec![lab.folder.join(peer.argument())];
    while let Some(folder) = folders.pop().filter(|folder| folder.exists()) {
        drive::forget(&folder)?;
        let entries = fs::read_dir(&folder).map_err(Failure::io("list", &folder))?;
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    Ok(())
}

/// Installs AirLLM beside the environment of the reference scripts, and returns the folder.
fn install(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let (folder, aside) = (workspace.deps("airllm"), workspace.deps("airllm.partial"));
    let stamp = folder.join("requirements.txt");
    let wanted = AIRLLM.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    let python = python::ensure(workspace)?;
    for old in [&folder, &aside] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(Failure::io("delete", old))?;
        }
    }
    let mut install = workspace.command(python);
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]);
    install
        .args(["--only-binary", ":all:", "--target"])
        .arg(&aside)
        .args(AIRLLM);
    steps::run("install AirLLM", &mut install)?;
    fs::rename(&aside, &folder).map_err(Failure::io("rename", &aside))?;
    fs::write(&stamp, wanted).map_err(Failure::io("write", &stamp))?;
    Ok(folder)
}
