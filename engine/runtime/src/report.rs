//! `report.json`: what a run did, beside what was planned.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::data::Dataset;
use crate::plan::Plan;
use crate::sweep::ExpertBytes;

/// Where the time of one unit went, over all sweeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitTimes {
    /// Its name: `embed`, `decoder.3`, `head`.
    pub unit: String,
    /// Bytes read.
    pub bytes: u64,
    /// Seconds the reader took, mostly while something else was computed.
    pub read_seconds: f64,
    /// Seconds in which nothing could be computed because the weights were not there yet.
    pub wait_seconds: f64,
    /// Seconds of making weights ready: conversion and copies.
    pub convert_seconds: f64,
    /// Seconds of computing.
    pub compute_seconds: f64,
    /// Seconds that stages took, writing included.
    pub stage_seconds: f64,
}

/// Where the time of a run went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSplit {
    /// From the first read to the last output.
    pub total_seconds: f64,
    /// From the start of the process to the first layer computing; nothing where the system does not say.
    pub startup_seconds: Option<f64>,
    /// Waiting for the disk.
    pub wait_seconds: f64,
    /// Making weights ready.
    pub convert_seconds: f64,
    /// Computing.
    pub compute_seconds: f64,
    /// Stages, writing included.
    pub stage_seconds: f64,
    /// Of `stage_seconds` and the end: writing and hashing outputs.
    pub write_seconds: f64,
}

/// How the disk did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskReport {
    /// Bytes read.
    pub bytes: u64,
    /// Seconds the reader was reading.
    pub read_seconds: f64,
    /// Seconds the reader waited because computing was slower.
    pub idle_seconds: f64,
    /// 10⁹ bytes a second while reading.
    pub gb_per_second: f64,
    /// 10⁹ bytes a second over the whole run.
    pub gb_per_second_of_run: f64,
    /// 10⁹ bytes a second that the drive was measured to give, by a probe of these files; nothing where it was not.
    /// Where the run is bound by the disk, the roofline is reached if the rate of the run equals this one.
    pub probed_gb_per_second: Option<f64>,
    /// How it was read: the system interface, and whether past the page cache.
    pub how: String,
}

/// Hidden state on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spilled {
    /// Bytes written.
    pub bytes_written: u64,
    /// Bytes read again.
    pub bytes_read: u64,
    /// Seconds in which something was being written.
    pub write_seconds: f64,
    /// Seconds in which something was being read.
    pub read_seconds: f64,
    /// Seconds in which nothing could be computed because of it.
    pub wait_seconds: f64,
}

impl Spilled {
    /// Adds what one sweep did.
    pub(crate) fn add(&mut self, more: &sli_checkpoint::SpillStats) {
        self.bytes_written += more.bytes_written;
        self.bytes_read += more.bytes_read;
        self.write_seconds += more.write_seconds;
        self.read_seconds += more.read_seconds;
        self.wait_seconds += more.wait_seconds;
    }
}

/// Memory, promised, planned and measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// `engine.memory` + overhead.
    pub promised: u64,
    /// What the plan predicted.
    pub planned: u64,
    /// The most that the process had resident, by the system's count.
    pub peak: u64,
}

/// What was predicted, beside what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Seconds of the run.
    pub seconds: Pair<f64>,
    /// Bytes read from the checkpoint.
    pub read_bytes: Pair<u64>,
    /// Bytes of hidden state written to disk.
    pub spill_bytes: Pair<u64>,
    /// Most bytes resident.
    pub peak_memory: Pair<u64>,
}

/// A prediction and what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// Before the run.
    pub predicted: T,
    /// By the run.
    pub measured: T,
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// Documents.
    pub documents: u64,
    /// Tokens.
    pub tokens: u64,
    /// Rows left out because they were empty.
    pub skipped: u64,
    /// Documents that were cut.
    pub truncated: u64,
    /// Tokens that were cut off.
    pub tokens_cut: u64,
    /// Rows that became several documents.
    pub split: u64,
}

/// `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format.
    pub version: u32,
    /// Name of the pipeline.
    pub name: String,
    /// Where it was computed.
    pub device: String,
    /// Threads that computed.
    pub threads: usize,
    /// Where the time went.
    pub time: TimeSplit,
    /// How the disk did.
    pub disk: DiskReport,
    /// Memory.
    pub memory: MemoryReport,
    /// Predictions of the plan beside measurements.
    #[serde(default)]
    pub accuracy: Accuracy,
    /// Tokens through the whole model, a second.
    pub tokens_per_second: f64,
    /// Hidden state on disk, where it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spill: Option<Spilled>,
    /// What was read of experts, where they are read apart from their layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<ExpertBytes>,
    /// Bytes of all outputs.
    pub bytes_written: u64,
    /// What became of the rows.
    pub data: DataReport,
    /// What each stage found, by its name.
    pub stages: serde_json::Map<String, Json>,
    /// The units in order.
    pub units: Vec<UnitTimes>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// What was planned.
    pub plan: Plan,
}

impl Report {
    /// The layers by the time they took, the slowest first.
    pub fn slowest(&self) -> Vec<&UnitTimes> {
        let mut units: Vec<&UnitTimes> = self.units.iter().collect();
        units.sort_by(|a, b| b.seconds().total_cmp(&a.seconds()));
        units
    }
}

impl UnitTimes {
    /// Seconds from the end of the unit before to the end of this one.
    pub fn seconds(&self) -> f64 {
        self.wait_seconds + self.convert_seconds + self.compute_seconds + self.stage_seconds
    }
}

impl TimeSplit {
    /// The sums over `units`.
    pub(crate) fn of(units: &[UnitTimes], total_seconds: f64, write_seconds: f64) -> TimeSplit {
        let sum = |part: fn(&UnitTimes) -> f64| units.iter().map(part).sum();
        TimeSplit {
            total_seconds,
            startup_seconds: None,
            wait_seconds: sum(|unit| unit.wait_seconds),
            convert_seconds: sum(|unit| unit.convert_seconds),
            compute_seconds: sum(|unit| unit.compute_seconds),
            stage_seconds: sum(|unit| unit.stage_seconds),
            write_seconds,
        }
    }
}

impl DataReport {
    pub(crate) fn of(dataset: &Dataset) -> DataReport {
        DataReport {
            documents: dataset.len() as u64,
            tokens: dataset.total_tokens(),
            skipped: dataset.skipped,
            truncated: dataset.truncated,
            tokens_cut: dataset.tokens_cut,
            split: dataset.split,
        }
    }
}

/// 10⁹ bytes a second; 0 where no time passed.
pub(crate) fn rate(bytes: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        bytes as f64 / 1e9 / seconds
    } else {
        0.0
    }
}
