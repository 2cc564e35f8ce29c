//! How a run fails.

use std::fmt;
use std::path::Path;

use sli_config::Diagnostic;

/// Whose fault it is; the command line turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input is wrong: pipeline, data, model or options. Exit code 2.
    Input,
    /// The run failed: a disk error, a full disk, a cancellation. Exit code 1.
    Run,
}

/// Why a run did not start or did not finish.
#[derive(Clone, Debug)]
pub struct RunError {
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// What is wrong, where, and what to do; at least one.
    pub diagnostics: Vec<Diagnostic>,
    /// The user stopped the run.
    pub cancelled: bool,
}

impl RunError {
    /// The input is wrong.
    pub fn input(diagnostic: Diagnostic) -> RunError {
        RunError::inputs(vec![diagnostic])
    }

    /// The input is wrong in several places.
    pub fn inputs(diagnostics: Vec<Diagnostic>) -> RunError {
        RunError {
            kind: ErrorKind::Input,
            diagnostics,
            cancelled: false,
        }
    }

    /// The run failed.
    pub fn run(diagnostic: Diagnostic) -> RunError {
        RunError {
            kind: ErrorKind::Run,
            diagnostics: vec![diagnostic],
            cancelled: false,
        }
    }

    /// The user stopped the run.
    pub fn cancelled() -> RunError {
        let diagnostic = Diagnostic::error("the run was stopped; nothing was left in the output folder");
        RunError {
            kind: ErrorKind::Run,
            diagnostics: vec![diagnostic],
            cancelled: true,
        }
    }

    /// Writing `path` failed: names the path, and says what to do if the disk is full.
    pub fn write(path: &Path, error: &std::io::Error) -> RunError {
        let shown = path.display();
        RunError::run(match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Diagnostic::error(format!("the disk is full: `{shown}` could not be written"))
                    .help("free some space, or choose an `[output] dir` on another disk")
            }
            std::io::ErrorKind::PermissionDenied => {
                Diagnostic::error(format!("`{shown}` may not be written")).help("choose another `[output] dir`")
            }
            std::io::ErrorKind::FileTooLarge => {
                Diagnostic::error(format!("`{shown}` could not be written: it may not grow any more"))
                    .help("raise the limit (`ulimit -f`), or write smaller files with the stage's `shard_size`")
            }
            _ => Diagnostic::error(format!("`{shown}` could not be written: {error}")),
        })
    }

    /// Reading `path` failed.
    pub fn read(path: &Path, error: &std::io::Error) -> RunError {
        RunError::input(Diagnostic::error(format!(
            "`{}` could not be read: {error}",
            path.display()
        )))
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}", diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for RunError {}

/// The result of whatever can end a run.
pub type Result<T> = std::result::Result<T, RunError>;
