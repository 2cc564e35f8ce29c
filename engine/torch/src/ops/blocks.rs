//! Chains of elementwise steps, a few rows at a time: intermediate values stay in the cache, and no large
//! memory is fetched from the system for them.

use crate::error::Result;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Bytes of f32 that the rows of one block take.
const BLOCK: i64 = 512 << 10;

/// A tensor like `x` of `kind` whose rows (dim 0) are made block by block: `make` gets a range of rows and
/// the place for its results.
pub(super) fn by_rows(x: &Tensor, kind: Kind, make: impl Fn(Range<i64>, Tensor) -> Result<()>) -> Result<Tensor> {
    let size = x.size();
    let out = Tensor::f_empty(&size, (kind, x.device()))?;
    let Some(rows) = size.first().copied().filter(|rows| *rows > 0) else {
        return Ok(out);
    };
    let bytes = 4 * out.numel() as i64 / rows;
    // on an accelerator fewer, larger steps win
    let step = if x.device() == tch::Device::Cpu {
        (BLOCK / bytes.max(1)).clamp(1, rows)
    } else {
        rows
    };
    for start in (0..rows).step_by(step as usize) {
        let end = rows.min(start + step);
        make(start..end, out.f_narrow(0, start, end - start)?)?;
    }
    Ok(out)
}
