//! Kernels of our own on main memory, for what libtorch does in many steps.
//!
//! Every step of libtorch wakes its threads and sends a tensor through memory once more; a norm of seven steps
//! takes longer than a small matrix product. The kernels here read and write each element once. They are plain
//! loops over f32 numbers that the compiler turns into vector instructions, one row after the other, so a row's
//! result does not depend on its company or on the number of threads.
//!
//! A kernel answers `None` for tensors it does not know (another device, another element type, another
//! layout): the caller then takes libtorch's steps.

mod attention;
mod log_prob;
mod memory;
mod number;
mod rms;
mod threads;
mod turn;
mod vectors;

pub(crate) use attention::{Attention, attention};
pub(crate) use log_prob::log_probs;
pub(crate) use rms::rms_norm;
pub(crate) use turn::turn;

/// Calls a function generic over the element type with that of `$kind`; `None` for other kinds.
macro_rules! by_kind {
    ($kind:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $kind {
            Kind::Float => $function::<f32>($($argument),*),
            Kind::BFloat16 => $function::<half::bf16>($($argument),*),
            Kind::Half => $function::<half::f16>($($argument),*),
            _ => return Ok(None),
        }
    };
}
use by_kind;
