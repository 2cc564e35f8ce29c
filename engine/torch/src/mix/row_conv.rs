//! Convolution along the rows of each sequence.

use super::shape_error;
use crate::place;
use tch::{Kind, TchError, Tensor};

/// How a convolution reads its rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stencil {
    /// Step between outputs.
    pub(crate) stride: i64,
    /// Zeros before and after each sequence.
    pub(crate) padding: (i64, i64),
    /// Channel groups.
    pub(crate) groups: i64,
    /// Distance between taps.
    pub(crate) dilation: i64,
}

/// `x [N, A], w [B, A / groups, K], bias [B]` -> `[N', B]` in the kind of x and the limits of its
/// sequences; a sequence of n rows has floor((n + pads - dilation (K - 1) - 1) / stride) + 1 rows
/// afterwards, none if it is shorter than the taps. Sums in f32.
///
/// All sequences lie in one row of numbers, with their padding between them and each beginning at a
/// multiple of the stride: one convolution serves them all without filling up to the longest.
///
/// # Errors
/// Shapes that do not fit, a stride, dilation or number of groups of 0, and errors of torch.
pub(crate) fn row_conv(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stencil: Stencil,
    offsets: &[i64],
) -> Result<(Tensor, Vec<i64>), TchError> {
    let Stencil {
        stride,
        padding: (before, after),
        groups,
        dilation,
    } = stencil;
    let (of_x, of_w) = (x.size(), w.size());
    let &[width, inner, taps] = &of_w[..] else {
        return shape_error(format!("row_conv: the weight is {of_w:?}, `[B, A, K]` is needed"));
    };
    let fits = of_x.len() == 2 && of_x[1] == inner * groups && taps > 0 && before.min(after) >= 0;
    if !fits || stride < 1 || dilation < 1 || groups < 1 || width % groups != 0 {
        return shape_error(format!("row_conv: x is {of_x:?}, its weight {of_w:?}, {stencil:?}"));
    }
    let reach = dilation * (taps - 1) + 1;
    let (mut places, mut picks, mut limits) = (Vec::new(), Vec::new(), vec![0i64]);
    let mut end = 0i64;
    for pair in offsets.windows(2) {
        let count = pair[1] - pair[0];
        let start = (end + stride - 1) / stride * stride;
        places.extend((0..count).map(|t| start + before + t));
        end = start + before + count + after;
        // A sequence without rows has no outputs, padding or not.
        let outputs = match end - start < reach || count == 0 {
            true => 0,
            false => (end - start - reach) / stride + 1,
        };
        picks.extend((0..outputs).map(|i| start / stride + i));
        limits.push(picks.len() as i64);
    }
    let index = |list: &[i64]| place::numbers(list, x.device());
    if picks.is_empty() {
        return Ok((Tensor::f_zeros([0, width], (x.kind(), x.device()))?, limits));
    }
    let wide = x.f_to_kind(Kind::Float)?;
    let line = match before + after == 0 && offsets.len() == 2 {
        true => wide,
        false => {
            let mut line = Tensor::f_zeros([end, of_x[1]], (Kind::Float, x.device()))?;
            line.f_index_copy_(0, &index(&places)?, &wide)?
        }
    };
    let bias = bias.map(|b| b.f_to_kind(Kind::Float)).transpose()?;
    let y = line
        .f_tr()?
        .f_unsqueeze(0)?
        .f_conv1d(&w.f_to_kind(Kind::Float)?, bias, stride, 0, dilation, groups)?;
    let y = y.f_squeeze_dim(0)?.f_tr()?;
    let y = match y.size()[0] == picks.len() as i64 {
        true => y.f_contiguous()?,
        false => y.f_index_select(0, &index(&picks)?)?,
    };
    Ok((y.f_to_kind(x.kind())?, limits))
}
