//! First order recurrences of single numbers: h_t = a_t h_(t-1) + b_t (RG-LRU, the core of
//! `selective_scan` and RWKV-4), and the same over (max, +).
//!
//! Rows are cut in chunks, regardless of the sequences: a is set to the ring's zero at the first token
//! of each, so nothing crosses it. Each step handles token i of all chunks at once, on h (from zero)
//! and on the product of the a (the work-efficient form of a prefix scan over the pairs (a, b),
//! Blelloch 1990); then h_t += (a_t .. a_first) h0 with the states h0 before the chunks.

use super::block_bytes;
use crate::place;
use tch::{Device, Kind, TchError, Tensor};

/// Tokens of a chunk.
const CHUNK: i64 = 64;

/// Numbers that one step should handle on a CPU: enough to hide the cost of starting an operation.
/// A row that is that wide needs no second chunk beside it, and saves the products of the a.
const STEP: i64 = 1 << 14;

/// What plus and times mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// h = a h + b.
    Linear,
    /// h = max(a + h, b).
    Tropical,
}

impl Ring {
    /// What forgets everything before.
    fn zero(self) -> f64 {
        match self {
            Ring::Linear => 0.0,
            Ring::Tropical => f64::NEG_INFINITY,
        }
    }

    /// b becomes a h + b.
    fn step(self, b: &mut Tensor, a: &Tensor, h: &Tensor) -> Result<(), TchError> {
        let _ = match self {
            Ring::Linear => b.f_addcmul_(a, h)?,
            Ring::Tropical => b.f_clamp_min_tensor_(&a.f_add(h)?)?,
        };
        Ok(())
    }

    /// a becomes a times what came before.
    fn cumulate(self, a: &mut Tensor, before: &Tensor) -> Result<(), TchError> {
        let _ = match self {
            Ring::Linear => a.f_mul_(before)?,
            Ring::Tropical => a.f_add_(before)?,
        };
        Ok(())
    }
}

/// `a [N, C], b [N, C]` -> h `[N, C]`: h_t = a_t h_(t-1) + b_t in f32, h = 0 before the first token
/// of each sequence. Returned in the kind of b. a <= 1 in size, or h may overflow.
///
/// # Errors
/// Shapes that do not fit, and errors of torch.
pub(crate) fn recurrence(a: &Tensor, b: &Tensor, offsets: &[i64]) -> Result<Tensor, TchError> {
    recurrence_within(a, b, offsets, block_bytes(b.device()))
}

/// The same with blocks of about that many bytes.
pub(super) fn recurrence_within(a: &Tensor, b: &Tensor, offsets: &[i64], bytes: i64) -> Result<Tensor, TchError> {
    let rows = b.size().first().copied().unwrap_or(0);
    let a = a.f_expand_as(b)?;
    let width = b.numel() as i64 / rows.max(1);
    let step = block_rows(width, bytes);
    let mut parts = Vec::new();
    let mut state = None;
    let mut first = 0;
    while first < rows {
        let count = step.min(rows - first);
        let cut = |x: &Tensor| x.f_narrow(0, first, count)?.f_to_dtype(Kind::Float, false, true);
        let begins = starts(offsets, first, count);
        let h = scan(Ring::Linear, cut(&a)?, cut(b)?, &begins, state.as_ref())?;
        state = Some(h.f_narrow(0, count - 1, 1)?);
        parts.push(h.f_to_kind(b.kind())?);
        first += count;
    }
    match parts.len() {
        0 => b.f_zeros_like(),
        1 => Ok(parts.remove(0)),
        _ => Tensor::f_cat(&parts, 0),
    }
}

/// Rows of a block in which two f32 tensors of `width` numbers a row take about `bytes`.
pub(super) fn block_rows(width: i64, bytes: i64) -> i64 {
    (bytes / (width.max(1) * 8)).max(1)
}

/// The rows, relative to `first`, of the `count` rows from there on that begin a sequence.
pub(super) fn starts(offsets: &[i64], first: i64, count: i64) -> Vec<i64> {
    let begins = offsets.iter().take(offsets.len().saturating_sub(1));
    begins.map(|t| t - first).filter(|t| (0..count).contains(t)).collect()
}

/// h of the rows of one block; takes a and b `[n, ..]`, which it overwrites; a may have dims of 1
/// that broadcast to b. `starts`: rows that begin a sequence. `state`: h `[1, ..]` before the block.
pub(super) fn scan(
    ring: Ring,
    mut a: Tensor,
    b: Tensor,
    starts: &[i64],
    state: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let rows = b.size()[0];
    if !starts.is_empty() {
        let index = place::numbers(starts, a.device())?;
        a = a.f_index_fill_(0, &index, ring.zero())?;
    }
    let width = b.numel() as i64 / rows.max(1);
    let beside = match b.device() {
        Device::Cpu => (STEP / width.max(1)).max(1),
        _ => rows,
    };
    let len = ((rows + beside - 1) / beside).max(CHUNK).min(rows);
    let chunks = (rows + len - 1) / len;
    let cut = |x: Tensor| {
        let mut shape = x.size();
        let mut pad = vec![0; 2 * shape.len()];
        if let Some(last) = pad.last_mut() {
            *last = chunks * len - rows;
        }
        shape.splice(0..1, [chunks, len]);
        match chunks * len == rows {
            true => x.f_view(&shape[..]),
            false => x.f_constant_pad_nd(&pad)?.f_view(&shape[..]),
        }
    };
    let (a, mut b) = (cut(a)?, cut(b)?);
    if let (Some(state), 1) = (state, chunks) {
        ring.step(&mut b.f_select(1, 0)?, &a.f_select(1, 0)?, state)?;
    }
    for i in 1..len {
        let now = a.f_select(1, i)?;
        ring.step(&mut b.f_select(1, i)?, &now, &b.f_select(1, i - 1)?)?;
        if chunks > 1 {
            ring.cumulate(&mut a.f_select(1, i)?, &a.f_select(1, i - 1)?)?;
        }
    }
    if chunks > 1 {
        let ends = (a.f_select(1, len - 1)?, b.f_select(1, len - 1)?);
        let before = states(ring, &ends.0, &ends.1, state)?;
        ring.step(&mut b, &a, &before.f_unsqueeze(1)?)?;
    }
    let mut shape = b.size();
    shape.splice(0..2, [chunks * len]);
    b.f_view(&shape[..])?.f_narrow(0, 0, rows)
}

/// The states before each chunk, from the whole products a and the local ends b, all `[M, ..]`.
fn states(ring: Ring, a: &Tensor, b: &Tensor, start: Option<&Tensor>) -> Result<Tensor, TchError> {
    let before = Tensor::f_full(b.size(), ring.zero(), (b.kind(), b.device()))?;
    if let Some(start) = start {
        before.f_narrow(0, 0, 1)?.f_copy_(start)?;
    }
    for m in 1..b.size()[0] {
        let mut state = before.f_narrow(0, m, 1)?;
        state.f_copy_(&b.f_narrow(0, m - 1, 1)?)?;
        ring.step(&mut state, &a.f_narrow(0, m - 1, 1)?, &before.f_narrow(0, m - 1, 1)?)?;
    }
    Ok(before)
}
