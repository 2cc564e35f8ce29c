//! How fast this processor multiplies matrices.

use crate::error::Result;
use crate::kinds::kind_of;
use sli_model::DType;
use std::time::Instant;
use tch::{Device, Tensor};

/// Rows of x: a small micro-batch.
const ROWS: i64 = 256;
/// Width of x and of the result.
const WIDTH: i64 = 2048;
/// Products that are timed.
const ROUNDS: usize = 3;

/// Floating point operations a second of `x wᵀ` in `dtype`, x `[256, 2048]`, w `[2048, 2048]`: the best of three
/// after one that is not timed. Takes some 0.02 s where there is bf16 hardware.
///
/// # Errors
/// A dtype that does not compute.
pub fn product_rate(dtype: DType) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    let options = (kind_of(dtype)?, Device::Cpu);
    let (x, w) = (
        Tensor::f_ones([ROWS, WIDTH], options)?,
        Tensor::f_ones([WIDTH, WIDTH], options)?,
    );
    let mut best = f64::INFINITY;
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let _ = x.f_linear(&w, None::<Tensor>)?;
        if round > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok((2 * ROWS * WIDTH * WIDTH) as f64 / best.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_operations() {
        for dtype in [DType::F32, DType::BF16] {
            let rate = product_rate(dtype).unwrap();
            assert!(rate.is_finite() && rate > 1e6, "{dtype}: {rate}");
        }
        assert!(product_rate(DType::U16).is_err());
    }
}
