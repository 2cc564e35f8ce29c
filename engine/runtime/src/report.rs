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
    /// 10⁹ bytes a second over the whole run: the roofline is reached where this equals the one above.
    pub gb_per_second_of_run: f64,
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
    /// Tokens through the whole model, a second.
    pub tokens_per_second: f64,
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
