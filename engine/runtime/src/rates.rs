//! What this machine does: rates that the planner prices with.

use std::path::Path;

use sli_checkpoint::{Checkpoint, ReadChoice};

use crate::data::Dataset;
use crate::options::EngineOptions;
use crate::plan::{Rates, Work};

/// What this machine does, as far as it matters for the plan. Products are timed only for work that takes longer
/// than timing them.
pub(crate) fn rates(read: &ReadChoice, work: &Work<'_>, dataset: &Dataset, write: Option<f64>) -> Rates {
    let usual = Rates::default();
    let flops = work.flops_per_token() as f64 * dataset.total_tokens() as f64;
    let timed = match flops > WORTH_TIMING {
        true => sli_torch::product_rate(work.compute).ok(),
        false => None,
    };
    let cached = read.cached.clamp(0.0, 1.0);
    let with_cache = |drive: f64| 1.0 / ((1.0 - cached) / drive + cached / PAGE_CACHE);
    Rates {
        read: read.bytes_per_second.map_or(usual.read, with_cache),
        flops: timed.unwrap_or(usual.flops),
        write: write.unwrap_or(usual.write),
        measured: read.bytes_per_second.is_some() && timed.is_some(),
    }
}

/// Bytes a second that the drive of the output folder takes, if that is known, or worth measuring.
pub(crate) fn write_rate(dir: &Path, options: &EngineOptions, checkpoint: &Checkpoint) -> Option<f64> {
    let folder = dir.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let known = sli_checkpoint::known_write_rate(folder);
    let bytes: u64 = checkpoint.files().iter().map(|file| file.len).sum();
    match options.spill {
        [true] if known.is_none() && bytes > WORTH_WRITING => sli_checkpoint::write_rate(folder).ok(),
        _ => known,
    }
}

/// Checkpoints of more bytes make measuring the drive worth what is written for it.
const WORTH_WRITING: u64 = 1 << 30;

/// Floating point operations that take longer than timing a few products.
const WORTH_TIMING: f64 = 1e11;

/// Bytes a second at which files come from the page cache.
const PAGE_CACHE: f64 = 5e9;
