//! One run held against its limits: drive, products, sli-pipe, in turn, round after round.

use super::{
    arithmetic::{self, Arithmetic},
    drive::{self, Drive},
    lab::{Lab, Ran, Task},
    shapes::Shape,
};
use crate::{failure::Failure, say};

/// One round: what sli-pipe did, and what the machine could do, on average just before and just after.
#[derive(Debug)]
struct Round {
    /// 10⁹ bytes a second.
    drive: f64,
    arithmetic: Arithmetic,
    ran: Ran,
}

/// All rounds of one task.
#[derive(Debug)]
pub(super) struct Trial {
    rounds: Vec<Round>,
    /// What else is to be known, in words: tokens, limit of memory, what was resident, the limits themselves.
    pub(super) note: String,
}

impl Round {
    /// Bytes a second of the run itself ÷ the drive's.
    fn run_rate(&self) -> f64 {
        let report = &self.ran.report;
        report.disk.bytes as f64 / 1e9 / report.time.total_seconds / self.drive
    }

    /// The same over the time of the whole process.
    fn process_rate(&self) -> f64 {
        self.ran.report.disk.bytes as f64 / 1e9 / self.ran.wall / self.drive
    }

    /// Time of the whole process ÷ the longer of reading once and multiplying.
    fn over_limit(&self) -> f64 {
        self.ran.wall / self.disk_seconds().max(self.arithmetic.products)
    }

    /// What one sweep reads, at the drive's rate: reading it again is no part of the limit.
    fn disk_seconds(&self) -> f64 {
        let report = &self.ran.report;
        report.disk.bytes.min(report.plan.sweep_bytes) as f64 / 1e9 / self.drive
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "sli-pipe {:.2} s ({:.2} s in the run), disk {:.2} s at {:.2} GB/s, products {:.2} s (and attention {:.2} s)",
            self.ran.wall,
            self.ran.report.time.total_seconds,
            self.disk_seconds(),
            self.drive,
            self.arithmetic.products,
            self.arithmetic.attention,
        )
    }
}

impl Trial {
    /// Runs `lab.rounds` rounds of `task`, cold, after a short run that does not count: it tells the micro-batch, and
    /// a program that keeps measurements of the drive makes them there.
    ///
    /// # Errors
    /// Those of the programs.
    pub(super) fn run(lab: &Lab<'_>, shape: &Shape, task: Task<'_>) -> Result<Self, Failure> {
        say::line(format!(
            "{}, {} tokens, {}",
            shape.name,
            task.documents.total(),
            task.limit
        ));
        drive::forget(task.model)?;
        let (documents, _) = arithmetic::sample(task.documents);
        let micro = lab.run(Task { documents, ..task })?.report.plan.micro_batch_tokens;
        let drive = Drive::open(task.model)?;
        let limits = || {
            Ok((
                drive.measure()?,
                arithmetic::measure(lab, shape, task.documents, micro)?,
            ))
        };
        let (mut rounds, mut before) = (Vec::new(), limits()?);
        for number in 1..=lab.rounds {
            drive::forget(task.model)?;
            let ran = lab.run(task)?;
            let after = limits()?;
            let round = Round {
                drive: f64::midpoint(before.0, after.0),
                arithmetic: before.1.midpoint(after.1),
                ran,
            };
            say::line(format!("  round {number}: {round}"));
            rounds.push(round);
            before = after;
        }
        let peak = rounds.iter().map(|round| round.ran.report.memory.peak).max();
        let note = format!(
            "{} tokens, {}, {} MiB resident, drive {:.2} GB/s ({})",
            task.documents.total(),
            task.limit,
            peak.unwrap_or(0) >> 20,
            rounds.iter().map(|round| round.drive).fold(0.0, f64::max),
            drive.setting(),
        );
        Ok(Self { rounds, note })
    }

    /// Bytes a second of the run ÷ the drive's, of each round.
    pub(super) fn run_rates(&self) -> Vec<f64> {
        self.rounds.iter().map(Round::run_rate).collect()
    }

    /// Bytes a second of the whole process ÷ the drive's, of each round.
    pub(super) fn process_rates(&self) -> Vec<f64> {
        self.rounds.iter().map(Round::process_rate).collect()
    }

    /// Time of the whole process ÷ the limit that binds, of each round.
    pub(super) fn over_limits(&self) -> Vec<f64> {
        self.rounds.iter().map(Round::over_limit).collect()
    }

    /// The drive's rates, 10⁹ bytes a second.
    pub(super) fn drive_rates(&self) -> Vec<f64> {
        self.rounds.iter().map(|round| round.drive).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(wall: f64, total: f64, products: f64) -> Round {
        let report = format!(
            r#"{{"time": {{"total_seconds": {total}}}, "disk": {{"bytes": 4000000000}}, "memory": {{"peak": 1}},
                "plan": {{"micro_batch_tokens": 1, "sweep_bytes": 2000000000}}, "stages": {{"score": {{"perplexity": 1}}}}}}"#
        );
        Round {
            drive: 2.0,
            arithmetic: Arithmetic {
                products,
                attention: 9.0,
            },
            ran: Ran {
                wall,
                report: serde_json::from_str(&report).unwrap(),
            },
        }
    }

    #[test]
    fn rates_count_what_was_read_and_the_limit_counts_one_reading() {
        let disk_bound = round(4.0, 2.5, 0.5);
        assert_eq!(disk_bound.run_rate(), 0.8);
        assert_eq!(disk_bound.process_rate(), 0.5);
        assert_eq!(disk_bound.over_limit(), 4.0);
        assert_eq!(round(11.0, 10.0, 10.0).over_limit(), 1.1);
    }
}
