//! Errors: what a tensor operation says, and what the executor makes of it.

use sli_model::Origin;

/// Why an operation on tensors failed: one sentence, with the shapes or numbers that did not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TensorError(pub String);

/// Result of a tensor operation.
pub type Result<T> = std::result::Result<T, TensorError>;

/// Why a graph could not be run, and the equation it came from.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExecError {
    /// One sentence: operation, shapes of its inputs, reason.
    pub message: String,
    /// Where the node was written: call chain, file, byte range.
    pub origin: Origin,
}

impl ExecError {
    /// An error at `origin`.
    pub fn new(message: impl Into<String>, origin: &Origin) -> ExecError {
        ExecError {
            message: message.into(),
            origin: origin.clone(),
        }
    }
}

impl From<tch::TchError> for TensorError {
    /// Keeps the first line: libtorch appends its C++ stack to the message.
    fn from(error: tch::TchError) -> TensorError {
        let text = match error {
            tch::TchError::Torch(text) => text,
            other => other.to_string(),
        };
        TensorError(
            text.lines()
                .next()
                .unwrap_or("unknown error of libtorch")
                .trim()
                .to_string(),
        )
    }
}

/// Returns a [`TensorError`] made by `format!`.
macro_rules! fail {
    ($($arg:tt)*) => {
        return Err($crate::error::TensorError(format!($($arg)*)))
    };
}
pub(crate) use fail;
