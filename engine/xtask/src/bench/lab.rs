//! What every measurement needs: the programs, the folder, and how one run of sli-pipe is made.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    str::FromStr,
    time::Instant,
};

use serde_json::json;

use super::{
    cgroup::Limit,
    report::{Printed, Report, answer},
};
use crate::{failure::Failure, interrupt, say, workspace::Workspace};

/// The programs that are measured, and where.
pub(super) struct Lab<'a> {
    /// The repository.
    pub(super) workspace: &'a Workspace,
    /// Where checkpoints and documents lie: `target/bench`.
    pub(super) folder: PathBuf,
    /// The `sli-pipe` to measure.
    pub(super) pipe: PathBuf,
    /// The program of libtorch's products, `engine/torch/benches/products.rs`.
    pub(super) products: PathBuf,
    /// Threads that compute, the same for all.
    pub(super) threads: usize,
    /// Rounds of everything.
    pub(super) rounds: usize,
}

/// Documents of random tokens, all of one length; `16x128` in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Documents {
    /// How many.
    pub(super) count: u64,
    /// Tokens of each.
    pub(super) tokens: u64,
}

impl FromStr for Documents {
    type Err = String;

    /// Reads `16x128`: 16 documents of 128 tokens.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let numbers = text
            .split_once('x')
            .map(|(count, tokens)| (number(count), number(tokens)));
        match numbers {
            Some((Some(count), Some(tokens))) => Ok(Self { count, tokens }),
            _ => Err("documents are given as COUNTxTOKENS, as `16x128`".into()),
        }
    }
}

impl fmt::Display for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.count, self.tokens)
    }
}

impl Documents {
    /// Tokens of all.
    pub(super) fn total(self) -> u64 {
        self.count * self.tokens
    }
}

/// What is run, in which memory.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    /// The checkpoint's folder.
    pub(super) model: &'a Path,
    /// The rows.
    pub(super) documents: Documents,
    /// `engine.memory` of the pipeline.
    pub(super) memory: &'a str,
    /// What the system allows the process.
    pub(super) limit: &'a Limit,
}

/// One run: how long the whole process took, and what it reported.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) wall: f64,
    pub(super) report: Report,
}

impl Lab<'_> {
    /// Runs sli-pipe over the task with the `score` stage.
    ///
    /// # Errors
    /// [`Failure::Step`] where it fails, [`Failure::Answer`] where its report cannot be read.
    pub(super) fn run(&self, task: Task<'_>) -> Result<Ran, Failure> {
        let pipeline = self.pipeline(task)?;
        let mut command = task.limit.command(self.pipe.as_os_str());
        command.arg("run").arg(&pipeline).arg("--json");
        let (wall, output) = timed(&mut command)?;
        let printed: Printed = answer(&self.pipe, &output.stdout)?;
        let report = printed.report;
        Ok(Ran { wall, report })
    }

    fn pipeline(&self, task: Task<'_>) -> Result<PathBuf, Failure> {
        let path = self.folder.join("pipeline.toml");
        let text = format!(
            "[model]\nsource = {}\n[data]\nsource = {}\n[engine]\nmemory = {}\nthreads = {}\n\
             [output]\ndir = {}\noverwrite = true\n[[stage]]\nuses = \"score\"\n",
            json!(task.model),
            json!(self.documents(task.model, task.documents)?),
            json!(task.memory),
            self.threads,
            json!(self.folder.join("run")),
        );
        fs::write(&path, text).map_err(Failure::io("write", &path))?;
        Ok(path)
    }

    /// Writes the documents and returns their file: tokens of the vocabulary of `model`, the same ones every time.
    pub(super) fn documents(&self, model: &Path, documents: Documents) -> Result<PathBuf, Failure> {
        let config = model.join("config.json");
        let text = fs::read(&config).map_err(Failure::io("read", &config))?;
        let config: serde_json::Value = answer(&config, &text)?;
        let vocab = config["vocab_size"].as_u64().unwrap_or(1).max(1);
        let path = self.folder.join("documents.jsonl");
        // any numbers that do not repeat soon will do: steps of the golden ratio through 2³²
        let token = |at: u64| ((at.wrapping_mul(0x9e37_79b9) & 0xffff_ffff) * vocab) >> 32;
        let row = |at: u64| {
            let first = at * documents.tokens;
            let ids: Vec<u64> = (first..first + documents.tokens).map(token).collect();
            format!("{}\n", json!({"id": at.to_string(), "input_ids": ids}))
        };
        let rows: String = (0..documents.count).map(row).collect();
        fs::write(&path, rows).map_err(Failure::io("write", &path))?;
        Ok(path)
    }
}

/// Runs `command` to its end and returns its seconds and what it wrote. An interruption reaches it through the terminal.
pub(super) fn timed(command: &mut Command) -> Result<(f64, Output), Failure> {
    interrupt::check()?;
    let started = Instant::now();
    let output = command.output().map_err(|_| Failure::ProgramMissing {
        program: command.get_program().to_string_lossy().into_owned(),
        needed_for: "the benchmarks run it",
        remedy: "Give its place with the option for it, or leave the option out to have it built.",
    })?;
    let wall = started.elapsed().as_secs_f64();
    interrupt::check()?;
    if !output.status.success() {
        say::line(String::from_utf8_lossy(&output.stderr));
        return Err(Failure::Step {
            command: format!("{command:?}"),
            status: output.status.to_string(),
        });
    }
    Ok((wall, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_shown() {
        let documents: Documents = "16x128".parse().unwrap();
        assert_eq!((documents.total(), documents.to_string().as_str()), (2048, "16x128"));
        for wrong in ["16", "0x5", "x", "16x128x2", "a x b"] {
            assert!(wrong.parse::<Documents>().is_err(), "{wrong}");
        }
    }
}
