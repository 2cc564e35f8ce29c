//! From the `[engine]` section to what the runtime does.

use sli_checkpoint::Checkpoint;
use sli_config::Diagnostic;
use sli_config::pipeline::{Activations, Dtype, EngineSection, Experts};
use sli_model::DType;
use sli_torch::DeviceError;

use crate::error::{Result, RunError};
use crate::memory;

/// `[engine]`, decided as far as it can be before the documents are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineOptions {
    /// What computes.
    pub(crate) device: sli_torch::Device,
    /// Budget of the device's own memory in bytes, where it has some.
    pub(crate) device_budget: Option<u64>,
    /// The type that matrices are multiplied in.
    pub(crate) compute: DType,
    /// Budget in bytes.
    pub(crate) budget: u64,
    /// Units that may be read ahead; `None` leaves it open.
    pub(crate) prefetch: Option<usize>,
    /// Where hidden state may be: `false` is memory, `true` is disk.
    pub(crate) spill: &'static [bool],
    /// Whether all experts of a layer are read; `None` leaves it open.
    pub(crate) all_experts: Option<bool>,
    /// Threads that compute.
    pub(crate) threads: usize,
}

/// More units read ahead than this buy nothing.
const MOST_AHEAD: usize = 8;

/// Decides what `section` leaves open.
///
/// # Errors
/// A GPU that cannot be used, with the reason.
pub(crate) fn decide(section: &EngineSection, checkpoint: &Checkpoint) -> Result<EngineOptions> {
    // Before any tensor is made: libtorch looks for CUDA once.
    let failed = |error: DeviceError| {
        let help = "set `[engine] device` to `\"auto\"` or `\"cpu\"` to compute on the processor";
        RunError::input(Diagnostic::error(error.to_string()).help(help))
    };
    let device = sli_torch::Device::open(&section.device.to_string()).map_err(failed)?;
    let free = device.memory().map_err(failed)?.map(|memory| memory.free as u64);
    // A tenth stays for what libtorch and the driver keep for themselves.
    let device_budget = free.map(|free| section.gpu_memory.map_or(free / 10 * 9, |size| size.0.min(free)));
    let compute = match section.dtype {
        Dtype::Auto => auto_dtype(checkpoint, device),
        Dtype::F32 => DType::F32,
        Dtype::Bf16 => DType::BF16,
        Dtype::F16 => DType::F16,
    };
    // Four fifths of what is free: other processes want to live too.
    let budget = section
        .memory
        .map_or_else(|| memory::available() / 5 * 4, |size| size.0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = section.threads.map_or(cores, |threads| threads as usize);
    Ok(EngineOptions {
        device,
        device_budget,
        compute,
        budget,
        prefetch: section.prefetch.map(|ahead| (ahead as usize).min(MOST_AHEAD)),
        spill: match section.activations {
            Activations::Auto => &[false, true],
            Activations::Memory => &[false],
            Activations::Disk => &[true],
        },
        all_experts: match section.experts {
            Experts::Auto => None,
            Experts::Routed => Some(false),
            Experts::All => Some(true),
        },
        threads,
    })
}

/// The checkpoint's own type, by bytes; f32 where the processor does not multiply that type in hardware, since
/// f32 is then faster and loses nothing.
fn auto_dtype(checkpoint: &Checkpoint, device: sli_torch::Device) -> DType {
    let bytes = |dtype: DType| -> u64 {
        checkpoint
            .tensors()
            .iter()
            .filter(|tensor| tensor.dtype == dtype)
            .map(|tensor| tensor.len)
            .sum()
    };
    let half = bytes(DType::BF16) > bytes(DType::F32) + bytes(DType::F16) + bytes(DType::F64);
    if half && (!device.is_cpu() || sli_torch::cpu_has_fast_bf16()) {
        DType::BF16
    } else {
        DType::F32
    }
}
