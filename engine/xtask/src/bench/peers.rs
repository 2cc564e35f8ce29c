//! Others who stream weights from the disk, over the same documents, each document alone as they do it.

use std::{fs, path::PathBuf, process::Command};

use serde::Deserialize;

use super::{
    drive,
    lab::{Lab, Task, timed},
    report::answer,
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

/// What became of one peer.
pub(super) struct Found {
    /// Who.
    pub(super) peer: Peer,
    /// Its time ÷ ours, of every round; empty where it cannot run.
    pub(super) ratios: Vec<f64>,
    /// Circumstances, or why it cannot run.
    pub(super) words: String,
}

/// The last line that the script prints, as far as it is needed.
#[derive(Deserialize)]
struct Printed {
    perplexity: f64,
}

/// The script, ready to run over one task.
struct Script<'a> {
    lab: &'a Lab<'a>,
    task: Task<'a>,
    python: PathBuf,
    documents: PathBuf,
    /// Where AirLLM is installed, or why it is not.
    airllm: Result<PathBuf, Failure>,
}

/// Runs the task in turn with sli-pipe and with every peer, cold.
///
/// # Errors
/// Those of sli-pipe and of the Python environment, and an interruption; a peer that fails has no ratios instead.
pub(super) fn compare<'a>(lab: &'a Lab<'a>, task: Task<'a>) -> Result<Vec<Found>, Failure> {
    let script = Script {
        lab,
        task,
        python: python::ensure(lab.workspace)?,
        documents: lab.documents(task.model, task.documents)?,
        airllm: install(lab.workspace),
    };
    let mut found = Vec::new();
    for peer in Peer::ALL {
        say::line(format!("prepare {}, not timed", peer.name()));
        let (ratios, words) = (Vec::new(), String::new());
        let refused = refused(script.prepare(peer))?;
        found.push((Found { peer, ratios, words }, refused));
    }
    for round in 1..=lab.rounds {
        drive::forget(task.model)?;
        let ours = lab.run(task)?;
        let (our_time, our_perplexity) = (ours.wall, ours.report.stages.score.perplexity);
        for (found, reason) in found.iter_mut().filter(|(_, reason)| reason.is_none()) {
            let ran = script.run(found.peer);
            let Ok((time, perplexity)) = ran else {
                *reason = refused(ran.map(drop))?;
                found.ratios.clear();
                continue;
            };
            let name = found.peer.name();
            say::line(format!("  round {round}: sli-pipe {our_time:.2} s, {name} {time:.2} s"));
            found.ratios.push(time / our_time);
            found.words = format!("perplexity {perplexity:.0}, ours {our_perplexity:.0}");
        }
    }
    let last = |(found, reason): (Found, Option<String>)| match reason {
        Some(words) => Found { words, ..found },
        None => found,
    };
    Ok(found.into_iter().map(last).collect())
}

/// Why something did not work, if it did not; an interruption stays an error.
fn refused(outcome: Result<(), Failure>) -> Result<Option<String>, Failure> {
    match outcome {
        Ok(()) => Ok(None),
        Err(Failure::Interrupted) => Err(Failure::Interrupted),
        Err(failure) => Ok(Some(failure.to_string())),
    }
}

impl Script<'_> {
    /// Lets `peer` make the files that it keeps: AirLLM splits the checkpoint into layers.
    fn prepare(&self, peer: Peer) -> Result<(), Failure> {
        if let (Peer::AirLlm, Err(failure)) = (peer, &self.airllm) {
            let program = "pip".to_owned();
            let problem = failure.to_string();
            return Err(Failure::Answer { program, problem });
        }
        let command = Command::new(&self.python);
        timed(self.with_arguments(command, peer).arg("--prepare")).map(drop)
    }

    /// Runs `peer` cold under the task's limit; gives its seconds and its perplexity.
    fn run(&self, peer: Peer) -> Result<(f64, f64), Failure> {
        self.forget(peer)?;
        let command = self.task.limit.command(self.python.as_os_str());
        let (time, output) = timed(&mut self.with_arguments(command, peer))?;
        let last = output.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        let printed: Printed = answer(SCRIPT.as_ref(), last.unwrap_or_default())?;
        Ok((time, printed.perplexity))
    }

    fn with_arguments(&self, mut command: Command, peer: Peer) -> Command {
        command.arg(self.lab.workspace.root().join(SCRIPT)).arg(peer.argument());
        command.arg(self.task.model).arg(&self.documents);
        command.args(["--threads", &self.lab.threads.to_string()]);
        command.arg("--folder").arg(self.folder(peer));
        command.envs(self.airllm.as_ref().ok().map(|folder| ("PYTHONPATH", folder)));
        command.env("OMP_NUM_THREADS", self.lab.threads.to_string());
        command
    }

    /// Where the files of `peer` for this checkpoint lie.
    fn folder(&self, peer: Peer) -> PathBuf {
        let model = self.task.model.file_name().unwrap_or_default().to_string_lossy();
        self.lab.folder.join(format!("{model}.{}", peer.argument()))
    }

    /// Drops the pages of what `peer` will read.
    fn forget(&self, peer: Peer) -> Result<(), Failure> {
        drive::forget(self.task.model)?;
        let mut folders = vec![self.folder(peer)];
        while let Some(folder) = folders.pop() {
            drive::forget(&folder)?;
            let entries = fs::read_dir(&folder).map_err(Failure::io("list", &folder))?;
            folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_fails_has_a_reason_and_an_interruption_stops_all() {
        let failed = Failure::Step {
            command: "python peer.py".into(),
            status: "signal: 9".into(),
        };
        assert!(refused(Err(failed)).unwrap().unwrap().contains("signal: 9"));
        assert_eq!(refused(Ok(())).unwrap(), None);
        assert!(matches!(refused(Err(Failure::Interrupted)), Err(Failure::Interrupted)));
    }
}
