//! The state pass: how states travel from chunk to chunk.
//!
//! Every chunked form reduces a chunk to S1 = T S0 + D. The products inside the chunks are batched
//! over all of them; only this recursion is a loop, over chunk numbers, for all sequences at once.

use super::chunks::Chunks;
use tch::{TchError, Tensor};

/// What a chunk does to the state before it.
pub(super) enum Step {
    /// T is diagonal or a number, `[M, ..]`, and broadcasts to the state.
    Scale(Tensor),
    /// T is a matrix, `[M, H, K, K]`.
    Matrix(Tensor),
}

impl Step {
    /// T S0 + D for the chunks `first .. first + count`.
    fn apply(&self, first: i64, s0: &Tensor, added: &Tensor) -> Result<Tensor, TchError> {
        let count = s0.size()[0];
        match self {
            Step::Scale(t) => added.f_addcmul(&t.f_narrow(0, first, count)?, s0),
            Step::Matrix(t) => t.f_narrow(0, first, count)?.f_matmul(s0)?.f_add(added),
        }
    }
}

/// Runs the recursion. `added` is D `[M, ..]`, `start` the state `[1, ..]` before a block that
/// continues a sequence. Returns the states before each chunk `[M, ..]` and the last one `[1, ..]`,
/// which means something only for a block of one sequence.
pub(super) fn pass(
    chunks: &Chunks,
    step: &Step,
    added: &Tensor,
    start: Option<&Tensor>,
) -> Result<(Tensor, Tensor), TchError> {
    let before = added.f_zeros_like()?;
    if let Some(start) = start {
        before.f_narrow(0, 0, 1)?.f_copy_(start)?;
    }
    let mut last = before.f_narrow(0, 0, 1.min(chunks.count()))?;
    let numbers: Vec<_> = chunks.numbers().collect();
    for (c, &(first, _)) in numbers.iter().enumerate() {
        let next = numbers.get(c + 1);
        let count = next.map_or(1, |n| n.1);
        let s0 = before.f_narrow(0, first, count)?;
        last = step.apply(first, &s0, &added.f_narrow(0, first, count)?)?;
        if let Some(&(first, count)) = next {
            before.f_narrow(0, first, count)?.f_copy_(&last)?;
        }
    }
    Ok((before, last.f_narrow(0, 0, 1.min(chunks.count()))?))
}
