//! What the measured programs say about themselves.

use std::path::Path;

use serde::Deserialize;

use crate::failure::Failure;

/// What `sli-pipe run --json` prints.
#[derive(Debug, Deserialize)]
pub(super) struct Printed {
    /// The text of `report.json`.
    pub(super) report: Report,
}

/// What `report.json` says, as far as it is needed. What an older program does not tell is `None`.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) time: Times,
    pub(super) disk: Disk,
    pub(super) memory: Memory,
    pub(super) plan: Plan,
    pub(super) stages: Stages,
    #[serde(default)]
    pub(super) experts: Option<Experts>,
}

/// `time` of the report.
#[derive(Debug, Deserialize)]
pub(super) struct Times {
    /// From the first read to the last output.
    pub(super) total_seconds: f64,
    /// From the start of the process to the first layer that computes.
    #[serde(default)]
    pub(super) startup_seconds: Option<f64>,
}

/// `disk` of the report.
#[derive(Debug, Deserialize)]
pub(super) struct Disk {
    pub(super) bytes: u64,
}

/// `memory` of the report.
#[derive(Debug, Deserialize)]
pub(super) struct Memory {
    /// The most bytes that were resident.
    pub(super) peak: u64,
}

/// `plan` of the report.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) micro_batch_tokens: u64,
    /// Bytes of one sweep over all that is read.
    pub(super) sweep_bytes: u64,
}

/// `stages` of the report.
#[derive(Debug, Deserialize)]
pub(super) struct Stages {
    pub(super) score: Score,
}

/// What the stage `score` found.
#[derive(Debug, Deserialize)]
pub(super) struct Score {
    pub(super) perplexity: f64,
}

/// `experts` of the report: bytes of experts that some token chose, and bytes read for experts.
#[derive(Debug, Deserialize)]
pub(super) struct Experts {
    pub(super) hit_bytes: u64,
    pub(super) read_bytes: u64,
}

/// What `program` printed, as JSON.
pub(super) fn answer<T: for<'a> Deserialize<'a>>(program: &Path, text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| Failure::Answer {
        program: program.display().to_string(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_newer_fields_is_read() {
        let text = r#"{"time": {"total_seconds": 1.5, "other": 1}, "disk": {"bytes": 10}, "memory": {"peak": 20},
            "plan": {"micro_batch_tokens": 30, "sweep_bytes": 40}, "stages": {"score": {"perplexity": 50.5}}}"#;
        let report: Report = answer("report".as_ref(), text.as_bytes()).unwrap();
        assert!(report.time.startup_seconds.is_none() && report.experts.is_none());
        let message = answer::<Report>("report".as_ref(), b"{}").unwrap_err().to_string();
        assert!(message.contains("`report`") && message.contains("`time`"), "{message}");
    }
}
