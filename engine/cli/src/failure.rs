//! How a command ends when it does not end well.

use std::io;

use sli_config::{Diagnostic, Diagnostics};
use sli_runtime::{ErrorKind, RunError};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is wrong: exit code 2.
    Input(Vec<Diagnostic>),
    /// The run failed: exit code 1.
    Run(Vec<Diagnostic>),
    /// The input is wrong and everything about it has been said: exit code 2.
    Told,
    /// Nobody reads the output any more, as below `| head`. Nothing is wrong, nothing is left to do.
    Closed,
}

/// What a command gives.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// One thing is wrong with the input.
    pub(crate) fn input(diagnostic: Diagnostic) -> Failure {
        Failure::Input(vec![diagnostic])
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Closed => 0,
            Failure::Run(_) => 1,
            Failure::Input(_) | Failure::Told => 2,
        }
    }

    /// What is still to be said, in the order of places.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Failure::Input(diagnostics) | Failure::Run(diagnostics) => Diagnostics::from(diagnostics).into_sorted(),
            Failure::Told | Failure::Closed => Vec::new(),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        match error.kind {
            ErrorKind::Input => Failure::Input(error.diagnostics),
            ErrorKind::Run => Failure::Run(error.diagnostics),
        }
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::Input(diagnostics)
    }
}

/// An error in writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Run(vec![Diagnostic::error(format!(
                "standard output could not be written: {error}"
            ))]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_whose_fault_it_is() {
        let wrong = || Diagnostic::error("no");
        assert_eq!(Failure::from(RunError::input(wrong())).code(), 2);
        assert_eq!(Failure::from(RunError::run(wrong())).code(), 1);
        assert_eq!(Failure::from(RunError::cancelled()).code(), 1);
        assert_eq!(Failure::from(vec![wrong()]).code(), 2);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).code(), 1);
    }
}
