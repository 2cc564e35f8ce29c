//! First order recurrences h_t = a_t h_(t-1) + b_t of single numbers (RG-LRU, and the core of
//! `selective_scan`).
//!
//! Rows are cut in chunks of 64, regardless of the sequences: a is set to 0 at the first token of
//! each, so nothing crosses it. Each step handles token i of all chunks at once, on h (from 0) and on
//! the product of the a (Blelloch's work-efficient form of the prefix scan over the pairs (a, b));
//! then h_t += (a_t .. a_first) h0 with the states h0 before the chunks. |a| <= 1 cannot overflow.

use super::block_bytes;
use tch::{Kind, TchError, Tensor};

/// Tokens of a chunk.
const CHUNK: i64 = 64;

/// `a [N, C], b [N, C]` -> h `[N, C]` in f32: h_t = a_t h_(t-1) + b_t, h = 0 before the first token
/// of each sequence. Returned in the kind of b.
///
/// # Errors
/// Shapes that do not fit, and errors of torch.
pub(crate) fn recurrence(a: &Tensor, b: &Tensor, offsets: &[i64]) -> Result<Tensor, TchError> {
    recurrence_within(a, b, offsets, block_bytes(b.device()))
}

/// The same with blocks of about that many bytes.
pub(super) fn recurrence_within(
    a: &Tensor,
    b: &Tensor,
    offsets: &[i64],
    bytes: i64,
) -> Result<Tensor, TchError> {
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
        let h = scan(cut(&a)?, cut(b)?, &starts(offsets, first, count), state.as_ref())?;
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

/// Rows of a block in which two f32 tensors of `width` numbers a row take about `bytes`: a multiple
/// of the chunk.
pub(super) fn block_rows(width: i64, bytes: i64) -> i64 {
    (bytes / (width.max(1) * 8) / CHUNK).max(1) * CHUNK
}

/// The rows, relative to `first`, of the `count` rows from there on that begin a sequence.
pub(super) fn starts(offsets: &[i64], first: i64, count: i64) -> Vec<i64> {
    let begins = offsets.iter().take(offsets.len().saturating_sub(1));
    begins.map(|t| t - first).filter(|t| (0..count).contains(t)).collect()
}

/// h of the rows of one block; takes a and b `[n, ..]` f32, which it overwrites. `starts`: rows that
/// begin a sequence. `state`: h `[1, ..]` before the first row.
pub(super) fn scan(
    mut a: Tensor,
    mut b: Tensor,
    starts: &[i64],
    state: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let mut shape = b.size();
    let rows = shape[0];
    if !starts.is_empty() {
        let index = Tensor::f_from_slice(starts)?.f_to_device(a.device())?;
        a = a.f_index_fill_(0, &index, 0.0)?;
    }
    let len = CHUNK.min(rows);
    let chunks = (rows + len - 1) / len;
    if chunks * len > rows {
        let mut pad = vec![0; 2 * shape.len()];
        if let Some(last) = pad.last_mut() {
            *last = chunks * len - rows;
        }
        a = a.f_constant_pad_nd(&pad)?;
        b = b.f_constant_pad_nd(&pad)?;
    }
    shape.splice(0..1, [chunks, len]);
    let (a, mut b) = (a.f_view(&shape[..])?, b.f_view(&shape[..])?);
    let linked = chunks > 1 || state.is_some();
    for i in 1..len {
        let now = a.f_select(1, i)?;
        let _ = b.f_select(1, i)?.f_addcmul_(&now, &b.f_select(1, i - 1)?)?;
        if linked {
            let _ = a.f_select(1, i)?.f_mul_(&a.f_select(1, i - 1)?)?;
        }
    }
    if linked {
        let before = states(&a.f_select(1, len - 1)?, &b.f_select(1, len - 1)?, state)?;
        b = b.f_addcmul_(&a, &before.f_unsqueeze(1)?)?;
    }
    shape.splice(0..2, [chunks * len]);
    b.f_view(&shape[..])?.f_narrow(0, 0, rows)
}

/// The states before each chunk, from the whole products a and the local ends b, all `[M, ..]`.
fn states(a: &Tensor, b: &Tensor, start: Option<&Tensor>) -> Result<Tensor, TchError> {
    let before = Tensor::f_zeros(b.size(), (b.kind(), b.device()))?;
    if let Some(start) = start {
        before.f_narrow(0, 0, 1)?.f_copy_(start)?;
    }
    for m in 1..b.size()[0] {
        let last = |x: &Tensor| x.f_narrow(0, m - 1, 1);
        let state = last(b)?.f_addcmul(&last(a)?, &last(&before)?)?;
        before.f_narrow(0, m, 1)?.f_copy_(&state)?;
    }
    Ok(before)
}
