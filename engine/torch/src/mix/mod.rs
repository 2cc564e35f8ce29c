//! Mixers of tokens with fixed or given weights: convolutions along the rows of a packed batch, and
//! Fourier transforms. Nothing crosses the limits of a sequence.

mod fourier;
mod long;
mod modal;
mod row_conv;
mod taps;
#[cfg(test)]
mod tests;

pub(crate) use fourier::fourier;
pub(crate) use long::long_conv;
pub(crate) use modal::modal_conv;
pub(crate) use row_conv::{Stencil, row_conv};
pub(crate) use taps::{causal_conv1d, dynamic_conv};

use tch::TchError;

fn shape_error<T>(message: String) -> Result<T, TchError> {
    Err(TchError::Shape(message))
}

/// The sequences that have rows, as (first row, length).
fn sequences(offsets: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    offsets
        .windows(2)
        .map(|pair| (pair[0], pair[1] - pair[0]))
        .filter(|s| s.1 > 0)
}
