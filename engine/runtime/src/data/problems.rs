//! The first few of perhaps a million bad rows.

use sli_config::Diagnostic;

use crate::error::{Result, RunError};

/// How many are shown; the rest are counted.
const SHOWN: usize = 20;

/// Collects what is wrong with the rows.
#[derive(Default)]
pub(super) struct Problems {
    shown: Vec<Diagnostic>,
    more: u64,
}

impl Problems {
    /// Adds one.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if self.shown.len() < SHOWN {
            self.shown.push(diagnostic);
        } else {
            self.more += 1;
        }
    }

    /// Fails if there is any.
    pub(super) fn into_result(mut self) -> Result<()> {
        if self.more > 0 {
            self.shown
                .push(Diagnostic::error(format!("{} more rows are wrong", self.more)));
        }
        if self.shown.is_empty() {
            Ok(())
        } else {
            Err(RunError::inputs(self.shown))
        }
    }
}
