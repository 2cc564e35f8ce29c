//! From the `[engine]` section to what the runtime does.

use sli_checkpoint::Checkpoint;
use sli_config::Diagnostic;
use sli_config::pipeline::{Activations, Device, Dtype, EngineSection, Experts};
use sli_model::DType;

use crate::error::{Result, RunError};
use crate::memory;

/// `[engine]`, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineOptions {
    /// The type that matrices are multiplied in.
    pub(crate) compute: DType,
    /// Budget in bytes.
    pub(crate) budget: u64,
    /// Arenas at most.
    pub(crate) arenas: usize,
    /// Threads that compute.
    pub(crate) threads: usize,
}

/// Decides what `section` leaves open.
///
/// # Errors
/// What this release cannot do: a GPU, hidden state on disk, reading only some experts.
pub(crate) fn decide(section: &EngineSection, checkpoint: &Checkpoint) -> Result<EngineOptions> {
    let mut errors = Vec::new();
    let mut refuse = |what: &str, help: &str| errors.push(Diagnostic::error(what).help(help));
    if let Device::Cuda(_) = section.device {
        refuse(
            "this release computes on the CPU only",
            "set `[engine] device` to `\"auto\"` or `\"cpu\"`",
        );
    }
    if section.activations == Activations::Disk {
        refuse(
            "this release keeps hidden state in memory only",
            "set `[engine] activations` to `\"auto\"` or `\"memory\"`",
        );
    }
    if section.experts == Experts::Routed {
        refuse(
            "this release reads all experts of a layer",
            "set `[engine] experts` to `\"auto\"` or `\"all\"`",
        );
    }
    if !errors.is_empty() {
        return Err(RunError::inputs(errors));
    }
    let compute = match section.dtype {
        Dtype::Auto => auto_dtype(checkpoint),
        Dtype::F32 => DType::F32,
        Dtype::Bf16 => DType::BF16,
        Dtype::F16 => DType::F16,
    };
    // Four fifths of what is free: other processes want to live too.
    let budget = section
        .memory
        .map_or_else(|| memory::available() / 5 * 4, |size| size.0);
    let arenas = if section.prefetch == Some(0) { 1 } else { 2 };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = section.threads.map_or(cores, |threads| threads as usize);
    Ok(EngineOptions {
        compute,
        budget,
        arenas,
        threads,
    })
}

/// The checkpoint's own type, by bytes; f32 where the processor does not multiply that type in hardware, since
/// f32 is then faster and loses nothing.
fn auto_dtype(checkpoint: &Checkpoint) -> DType {
    let bytes = |dtype: DType| -> u64 {
        checkpoint
            .tensors()
            .iter()
            .filter(|tensor| tensor.dtype == dtype)
            .map(|tensor| tensor.len)
            .sum()
    };
    let half = bytes(DType::BF16) > bytes(DType::F32) + bytes(DType::F16) + bytes(DType::F64);
    if half && sli_torch::cpu_has_fast_bf16() {
        DType::BF16
    } else {
        DType::F32
    }
}
