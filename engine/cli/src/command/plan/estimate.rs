//! How long a run will take, judging by the last one in the same output folder.

use std::path::Path;

use sli_runtime::rundir::REPORT;
use sli_runtime::{Plan, Report};

/// Seconds the run will take; nothing if no earlier run of the same model is known.
pub(super) fn seconds(plan: &Plan, dir: &Path) -> Option<f64> {
    let report: Report = serde_json::from_slice(&std::fs::read(dir.join(REPORT)).ok()?).ok()?;
    by(plan, &report)
}

/// What is not spent waiting for the disk grows with the tokens; what the disk takes, with the bytes. The
/// larger of the two counts, since they go on at the same time.
fn by(plan: &Plan, report: &Report) -> Option<f64> {
    let units = |plan: &Plan| {
        plan.units
            .iter()
            .map(|unit| (unit.name.clone(), unit.bytes))
            .collect::<Vec<_>>()
    };
    let same =
        report.plan.family == plan.family && report.plan.compute == plan.compute && units(&report.plan) == units(plan);
    if !same || report.data.tokens == 0 || report.disk.bytes == 0 {
        return None;
    }
    let busy = report.time.total_seconds - report.time.wait_seconds;
    let computing = busy * plan.tokens as f64 / report.data.tokens as f64;
    let reading = report.disk.read_seconds * plan.read_bytes as f64 / report.disk.bytes as f64;
    Some(computing.max(reading))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::testing;
    use sli_runtime::report::{DataReport, DiskReport, MemoryReport, TimeSplit};

    fn report() -> Report {
        Report {
            version: 1,
            name: "p".into(),
            device: "cpu".into(),
            threads: 2,
            time: TimeSplit {
                total_seconds: 10.0,
                wait_seconds: 2.0,
                ..TimeSplit::default()
            },
            disk: DiskReport {
                bytes: 80,
                read_seconds: 4.0,
                ..DiskReport::default()
            },
            memory: MemoryReport::default(),
            accuracy: sli_runtime::report::Accuracy::default(),
            tokens_per_second: 0.0,
            bytes_written: 0,
            data: DataReport {
                documents: 4,
                tokens: 50,
                ..DataReport::default()
            },
            stages: serde_json::Map::new(),
            spill: None,
            experts: None,
            units: Vec::new(),
            warnings: Vec::new(),
            plan: testing::plan(),
        }
    }

    #[test]
    fn the_slower_of_disk_and_computing_counts() {
        let mut plan = testing::plan();
        assert_eq!(by(&plan, &report()), Some(16.0), "twice the tokens in 8 busy seconds");
        plan.read_bytes = 800;
        assert_eq!(by(&plan, &report()), Some(40.0));
    }

    #[test]
    fn another_model_says_nothing() {
        let mut plan = testing::plan();
        plan.units[0].bytes += 1;
        assert_eq!(by(&plan, &report()), None);
        assert_eq!(seconds(&plan, Path::new("/nonexistent")), None);
    }
}
