//! pip, found lazily: a project whose wheels are all downloaded needs no Python.

use std::{
    env, fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use crate::{failure::Failure, interrupt, say::Progress, wheel::Wheel, workspace::Workspace};

/// What every wheel is compatible with: the platform of the pinned files, not of the Python that
/// happens to run pip.
const PLATFORM: [&str; 17] = [
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.11",
    "--abi=cp311",
    "--abi=none",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
    "--platform=any",
    "--no-deps",
    // The wheel goes to `.deps/downloads`; a second copy of 530 MB in the user's cache helps nobody.
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-python-version-warning",
    "--retries=5",
];

/// The first pip that continues a download whose connection broke.
const RESUMES_SINCE: (u32, u32) = (25, 1);

/// How often a download is begun again when data had come and then stopped.
const ATTEMPTS: u32 = 3;

/// pip, as this machine has it.
#[derive(Debug)]
pub(crate) struct Pip<'a> {
    workspace: &'a Workspace,
    found: Option<Found>,
}

/// The Python that runs pip, and what its pip can do.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    python: String,
    version: (u32, u32),
}

impl<'a> Pip<'a> {
    /// Prepares to use pip; nothing is run yet.
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, found: None }
    }

    /// Downloads `wheel` into the folder `into`, showing the progress.
    ///
    /// # Errors
    /// [`Failure::ProgramMissing`] without Python or pip, [`Failure::Download`] with what pip said.
    pub(crate) fn download(&mut self, wheel: &Wheel, into: &Path) -> Result<(), Failure> {
        let found = match &mut self.found {
            Some(found) => found,
            none => none.insert(find(self.workspace)?),
        };
        let progress = Progress::start(format!("download {}", wheel.requirement()), wheel.bytes);
        for attempt in 1.. {
            let mut command = download_command(self.workspace, wheel, into, found);
            let mut came = 0;
            let said = run(&mut command, || {
                came = folder_bytes(into);
                progress.set(came);
            })?;
            let Some(said) = said else { break };
            let remedy = remedy(&said);
            if came == 0 || attempt == ATTEMPTS || remedy == DISK_FULL {
                let requirement = wheel.requirement();
                return Err(Failure::Download {
                    requirement,
                    remedy,
                    said: last_lines(&said),
                });
            }
        }
        progress.finish();
        Ok(())
    }
}

/// The Python to use: `PYTHON` where set, otherwise `python3`.
pub(crate) fn python() -> String {
    env::var("PYTHON")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "python3".into())
}

/// Asks Python where it really lies and which pip it has.
///
/// The real place matters: what `python3` names may be a wrapper (pyenv has such), and stopping the
/// wrapper would leave pip running.
fn find(workspace: &Workspace) -> Result<Found, Failure> {
    const QUESTION: &str = "import sys, pip; print(sys.executable); print(pip.__version__)";
    let python = python();
    let output = workspace.command(&python).args(["-c", QUESTION]).output();
    let Ok(output) = output else {
        return Err(Failure::ProgramMissing {
            program: python,
            needed_for: "pip fetches the pinned packages with it",
            remedy: "Install Python 3 and pip (Debian and Ubuntu: `apt-get install python3 \
                     python3-pip`), or set `PYTHON` to the one to use.",
        });
    };
    parse_answer(&String::from_utf8_lossy(&output.stdout))
        .filter(|_| output.status.success())
        .ok_or_else(|| Failure::ProgramMissing {
            program: format!("{python} -m pip"),
            needed_for: "it fetches the pinned packages",
            remedy: "Install pip (Debian and Ubuntu: `apt-get install python3-pip`), or set \
                     `PYTHON` to a Python that has it.",
        })
}

/// Reads the answer: the interpreter's path, then pip's version. A version that cannot be read
/// counts as old, which is always safe.
fn parse_answer(text: &str) -> Option<Found> {
    let mut lines = text.lines();
    let (python, version) = (lines.next()?.to_owned(), lines.next()?);
    let mut numbers = version.split('.');
    let mut next = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Some(Found {
        python,
        version: (next(), next()),
    })
}

fn download_command(workspace: &Workspace, wheel: &Wheel, into: &Path, found: &Found) -> Command {
    let mut command = workspace.command(&found.python);
    command.args(["-m", "pip", "download"]).args(PLATFORM);
    if found.version >= RESUMES_SINCE {
        command.arg("--resume-retries=10");
    }
    command.arg("--dest").arg(into).arg(wheel.requirement());
    // pip writes the growing file to its temporary folder first: that is where progress shows.
    command.env("TMPDIR", into);
    command
}

/// Runs `command`; on failure returns what it wrote, on success nothing.
fn run(command: &mut Command, each: impl FnMut()) -> Result<Option<String>, Failure> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::io("start", command.get_program()))?;
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        // What could be read is what there is to show; an error here changes nothing.
        stderr.map(|mut pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = interrupt::wait(&mut child, each)?;
    let said = reader.join().unwrap_or_default();
    Ok((!status.success()).then_some(said))
}

/// The bytes of all files in `folder`, at any depth; what vanishes meanwhile counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

const DISK_FULL: &str =
    "The disk is full: free some space (set-up needs about 1.2 GB while it runs) and run the command again.";

/// What to do, by what pip said.
fn remedy(said: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["No space left on device", "Errno 28", "Disk quota exceeded"]) {
        DISK_FULL
    } else if has(&["SSLError", "CERTIFICATE_VERIFY_FAILED"]) {
        "The connection's certificate was refused: tell pip about your company's certificate (`pip \
         config set global.cert FILE`) and run the command again."
    } else if has(&["ConnectionError", "ConnectTimeout", "ReadTimeout", "connection broken"]) {
        "The network or the package index cannot be reached: check the connection (and `HTTPS_PROXY` \
         if you are behind a proxy) and run the command again."
    } else if has(&["No matching distribution"]) {
        "The package index that pip uses does not offer it: check the network, and `pip config list` \
         and the environment for `no-index` or a mirror that lacks it, then run the command again."
    } else {
        "Put right what pip complains about and run the command again."
    }
}

/// The end of what pip said, without the frames of a traceback, which are indented.
fn last_lines(said: &str) -> String {
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(' '))
        .collect();
    lines[lines.len().saturating_sub(2)..].join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_version_decides_whether_it_can_resume() {
        let version = |text| parse_answer(text).unwrap().version;
        assert_eq!(version("/usr/bin/python3\n23.2.1\n"), (23, 2));
        assert!(version("/x\n25.1\n") >= RESUMES_SINCE);
        assert!(version("/x\n26.0.1\n") >= RESUMES_SINCE);
        assert!(version("/x\n25.1.dev0\n") >= RESUMES_SINCE);
        assert!(version("/x\nnonsense\n") < RESUMES_SINCE);
        assert_eq!(parse_answer("/usr/bin/python3\n"), None);
    }

    #[test]
    fn each_cause_has_its_own_remedy() {
        assert_eq!(remedy("OSError: [Errno 28] No space left on device"), DISK_FULL);
        let offline = "WARNING: Retrying after connection broken by 'NewConnectionError'\n\
                       ERROR: No matching distribution found for torch==2.11.0";
        assert!(remedy(offline).contains("cannot be reached"));
        let no_index = "ERROR: No matching distribution found for torch==2.11.0";
        assert!(remedy(no_index).contains("`no-index`"));
    }

    #[test]
    fn a_traceback_is_cut_to_its_error() {
        let said = "Traceback (most recent call last):\n  File \"x.py\", line 1\n    f()\n\
                    OSError: [Errno 28] No space left on device\n\n";
        let end = "Traceback (most recent call last):\n  OSError: [Errno 28] No space left on device";
        assert_eq!(last_lines(said), end);
    }

    #[test]
    fn growing_files_are_counted_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pip-unpack-x")).unwrap();
        fs::write(folder.path().join("pip-unpack-x/torch.whl"), [0; 10]).unwrap();
        fs::write(folder.path().join("other"), [0; 5]).unwrap();
        assert_eq!(folder_bytes(folder.path()), 15);
    }
}
