//! Convolutions with few taps, as one multiply-add over all rows per tap.

use super::{sequences, shape_error};
use crate::place;
use tch::{Kind, TchError, Tensor};

/// Depthwise causal convolution: `x [N, C], w [C, 1, K]` or `[C, K]`, bias `[C]` ->
/// `[N, C]`, y_t = bias + sum_j w_j x_(t - (K-1) + j), zeros before each sequence. Sums in f32,
/// the result has the kind of x. (Mamba, arXiv 2312.00752; H3, arXiv 2212.14052.)
///
/// # Errors
/// Shapes that do not fit, and errors of torch.
pub(crate) fn causal_conv1d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    offsets: &[i64],
) -> Result<Tensor, TchError> {
    let (size, channels) = (w.size(), x.size().last().copied().unwrap_or(0));
    let taps = match size[..] {
        [c, 1, taps] | [c, taps] if c == channels => taps,
        _ => {
            return shape_error(format!(
                "causal_conv1d: the weight is {size:?}, but x has {channels} channels and \
                 `[{channels}, 1, K]` is needed"
            ));
        }
    };
    let w = w.f_to_kind(Kind::Float)?.f_reshape([channels, taps])?;
    let wide = x.f_to_kind(Kind::Float)?;
    let mut y = wide.f_mul(&w.f_select(1, taps - 1)?)?;
    for back in 1..taps {
        let weight = w.f_select(1, taps - 1 - back)?.f_unsqueeze(0)?;
        add_tap(&mut y, &wide, &weight, -back, offsets)?;
    }
    if let Some(bias) = bias {
        y = y.f_add_(&bias.f_to_kind(Kind::Float)?)?;
    }
    y.f_to_kind(x.kind())
}

/// Convolution with the taps of each token and head: `x [N, H, D], w [N, H, K] or [H, K]` ->
/// `[N, H, D]`, y_t = sum_j w[t, h, j] x_(t + j - (K-1)/2), zeros outside of the sequence. Sums in
/// f32, the result has the kind of x. (Wu et al., arXiv 1901.10430; ConvBERT, arXiv 2008.02496.)
///
/// # Errors
/// An even K, shapes that do not fit, and errors of torch.
pub(crate) fn dynamic_conv(x: &Tensor, w: &Tensor, offsets: &[i64]) -> Result<Tensor, TchError> {
    let (of_x, of_w) = (x.size(), w.size());
    let taps = of_w.last().copied().unwrap_or(0);
    if taps % 2 == 0 {
        return shape_error(format!("dynamic_conv: {taps} taps, an odd number is needed"));
    }
    let fits = match of_w[..] {
        [n, h, _] => of_x.len() == 3 && of_x[..2] == [n, h],
        [h, _] => of_x.len() == 3 && of_x[1] == h,
        _ => false,
    };
    if !fits {
        return shape_error(format!("dynamic_conv: x is {of_x:?}, its weight {of_w:?}"));
    }
    // [N or 1, H, 1, K]
    let mut w = w.f_to_kind(Kind::Float)?.f_unsqueeze(-2)?;
    if of_w.len() == 2 {
        w = w.f_unsqueeze(0)?;
    }
    let wide = x.f_to_kind(Kind::Float)?;
    let mut y = wide.f_mul(&w.f_select(3, taps / 2)?)?;
    for j in (0..taps).filter(|j| *j != taps / 2) {
        add_tap(&mut y, &wide, &w.f_select(3, j)?, j - taps / 2, offsets)?;
    }
    y.f_to_kind(x.kind())
}

/// y_t += weight_t x_(t + by) where t + by lies in the sequence of t. The weight has one row, or one
/// per row of y.
///
/// One operation covers the whole batch; the few rows that reach beyond their sequence are put back
/// afterwards, so that nothing of a neighbour, not even a NaN, gets in.
fn add_tap(y: &mut Tensor, x: &Tensor, weight: &Tensor, by: i64, offsets: &[i64]) -> Result<(), TchError> {
    let rows = x.size()[0];
    let count = rows - by.abs();
    if count <= 0 {
        return Ok(());
    }
    let (to, from) = ((-by).max(0), by.max(0));
    let outside: Vec<i64> = sequences(offsets)
        .flat_map(|(start, len)| match by < 0 {
            true => start..start + len.min(-by),
            false => start + (len - by).max(0)..start + len,
        })
        .filter(|t| (to..to + count).contains(t))
        .collect();
    let outside = place::numbers(&outside, x.device())?;
    let kept = y.f_index_select(0, &outside)?;
    let weight = match weight.size()[0] {
        1 => weight.shallow_clone(),
        _ => weight.f_narrow(0, to, count)?,
    };
    let _ = y
        .f_narrow(0, to, count)?
        .f_addcmul_(&x.f_narrow(0, from, count)?, &weight)?;
    let _ = y.f_index_copy_(0, &outside, &kept)?;
    Ok(())
}
