//! What a bound graph costs per token: memory at the worst moment, arithmetic, and whether it can be
//! computed in pieces.

mod flops;
mod memory;
mod row_wise;
#[cfg(test)]
mod tests;

pub use flops::{flops_per_pair, flops_per_row};
pub use memory::peak_row_bytes;
pub use row_wise::is_row_wise;

use crate::infer::{Dim, ValueType};

/// Elements per token of a value: 0 for tensors without rows, biases and numbers.
fn row_elements(value: &ValueType) -> u64 {
    match value.dims().and_then(|dims| dims.split_first()) {
        Some((Dim::Rows(_) | Dim::Seqs(_), rest)) => rest
            .iter()
            .map(|dim| dim.size().unwrap_or(1))
            .fold(1, u64::saturating_mul),
        _ => 0,
    }
}
