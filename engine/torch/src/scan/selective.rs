//! The selective scan of Mamba (arXiv 2312.00752, section 3.2): every channel has S states with a
//! decay of its own, h = exp(dt A) h + dt x B, y = h·C. It has no matrix form; the pairs
//! (exp(dt A), dt x B) go through the first order scan, in tiles of channels that stay small.

use super::first_order::{Ring, block_rows, scan, starts};
use tch::{Device, Kind, TchError, Tensor};

/// Bytes of the two tensors of a tile.
fn tile_bytes(device: Device) -> i64 {
    match device {
        Device::Cpu => 4 << 20,
        _ => 1 << 30,
    }
}

/// Rows of a tile at least, before it is made wider.
const ROWS: i64 = 32;

/// `x [N, .., C], dt [N, .., C], a [.., C, S], b [N, .., S], c [N, .., S]` -> `[N, .., C]` in the
/// kind of x, states in f32. `..` is nothing or heads with b and c of their own.
///
/// # Errors
/// Shapes that do not fit, and errors of torch.
pub(crate) fn selective_scan(
    x: &Tensor,
    dt: &Tensor,
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    offsets: &[i64],
) -> Result<Tensor, TchError> {
    selective_scan_within(x, dt, a, b, c, offsets, tile_bytes(x.device()))
}

/// The same with tiles of about that many bytes.
#[allow(clippy::too_many_arguments)]
pub(super) fn selective_scan_within(
    x: &Tensor,
    dt: &Tensor,
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    offsets: &[i64],
    budget: i64,
) -> Result<Tensor, TchError> {
    let shape = x.size();
    let (rows, channels) = (shape[0], shape[shape.len() - 1]);
    let states = a.size().last().copied().unwrap_or(1);
    let heads = shape[1..shape.len() - 1].iter().product::<i64>();
    let f32 = |t: &Tensor| t.f_to_kind(Kind::Float);
    let x3 = f32(x)?.f_reshape([rows, heads, channels])?;
    let dt = f32(&dt.f_expand(&shape[..], false)?)?.f_reshape([rows, heads, channels])?;
    // States before channels: the long dim is the inner one of every operation.
    let a = f32(a)?
        .f_reshape([heads, channels, states])?
        .f_transpose(1, 2)?
        .f_contiguous()?;
    let b = f32(b)?.f_reshape([rows, heads, states])?;
    let c = f32(c)?.f_reshape([rows, heads, states])?;

    let tile = (budget / (ROWS * heads * states * 8)).clamp(1, channels.max(1));
    let step = block_rows(heads * tile * states, budget);
    let y = x3.f_empty_like()?;
    let mut channel = 0;
    while channel < channels {
        let width = tile.min(channels - channel);
        let mut state: Option<Tensor> = None;
        let mut first = 0;
        while first < rows {
            let count = step.min(rows - first);
            let cut = |t: &Tensor| t.f_narrow(0, first, count)?.f_narrow(2, channel, width);
            let dt = cut(&dt)?;
            let decay = dt.f_unsqueeze(2)?.f_mul(&a.f_narrow(2, channel, width)?)?.f_exp_()?;
            let enter = b.f_narrow(0, first, count)?.f_unsqueeze(3)?;
            let enter = dt.f_mul(&cut(&x3)?)?.f_unsqueeze(2)?.f_mul(&enter)?;
            let begins = starts(offsets, first, count);
            let h = scan(Ring::Linear, decay, enter, &begins, state.as_ref())?;
            let out = c.f_narrow(0, first, count)?.f_unsqueeze(2)?.f_matmul(&h)?;
            cut(&y)?.f_copy_(&out.f_squeeze_dim(2)?)?;
            state = Some(h.f_narrow(0, count - 1, 1)?.f_to_dtype(Kind::Float, false, true)?);
            first += count;
        }
        channel += width;
    }
    y.f_reshape(&shape[..])?.f_to_kind(x.kind())
}
