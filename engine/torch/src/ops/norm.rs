//! Norms: computed in f32, returned in the type of x.

use crate::error::{Result, fail};
use crate::host;
use crate::kinds::{cast, float_kind, upcast};
use tch::{Device, Kind, Tensor};

/// (x - mean) / sqrt(var + eps) * (offset + weight) + bias (`Op::LayerNorm`).
pub(crate) fn layer_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
    offset: f64,
    groups: u64,
) -> Result<Tensor> {
    let width = last_dim(x)?;
    let wide = Kind::Float;
    let weight = weight.map(|w| shifted(w, offset)).transpose()?;
    let bias = bias.map(|b| cast(b, wide)).transpose()?;
    let fits = |t: &Option<Tensor>| t.as_ref().is_none_or(|t| t.size() == [width]);
    if groups == 1 && fits(&weight) && fits(&bias) {
        // libtorch's kernel takes half-precision x with f32 weights only if both are given, and on the CPU
        let mixed = x.device() == Device::Cpu && weight.is_some() && bias.is_some();
        let full = x.kind() == wide || mixed;
        if full {
            return Ok(x.f_layer_norm([width], weight.as_ref(), bias.as_ref(), eps, false)?);
        }
    }
    let parts = in_groups(&upcast(x)?, groups)?;
    let normed = parts.f_layer_norm(
        [parts.size()[parts.dim() - 1]],
        None::<Tensor>,
        None::<Tensor>,
        eps,
        false,
    )?;
    scaled(
        normed.f_reshape(x.size())?,
        weight.as_ref(),
        bias.as_ref(),
        float_kind(x),
    )
}

/// x / sqrt(mean x² + eps) * (offset + weight) (`Op::RmsNorm`).
pub(crate) fn rms_norm(x: &Tensor, weight: Option<&Tensor>, eps: f64, offset: f64, groups: u64) -> Result<Tensor> {
    if x.dim() == 1 {
        return Ok(rms_norm(&x.f_unsqueeze(0)?, weight, eps, offset, groups)?.f_squeeze_dim(0)?);
    }
    let weight = weight.map(|w| shifted(w, offset)).transpose()?;
    let parts = in_groups(x, groups)?;
    fits(x, weight.as_ref())?;
    let width = parts.size()[parts.dim() - 1];
    if let Some(y) = host::rms_norm(x, weight.as_ref(), eps, width)? {
        return Ok(y);
    }
    let wide = upcast(&parts)?;
    let mean = wide.f_square()?.f_mean_dim(-1, true, None)?;
    let factor = mean.f_add_scalar(eps)?.f_rsqrt_()?;
    let y = wide.f_mul(&factor)?.f_reshape(x.size())?;
    scaled(y, weight.as_ref(), None, float_kind(x))
}

/// An error unless the weight broadcasts to x without its rows.
fn fits(x: &Tensor, weight: Option<&Tensor>) -> Result<()> {
    let Some(weight) = weight else { return Ok(()) };
    let (of_x, of_w) = (x.size(), weight.size());
    let pairs = of_x.iter().rev().zip(of_w.iter().rev());
    let per_row = of_w.len() == of_x.len() && of_w[0] != 1;
    if per_row || of_w.len() > of_x.len() || pairs.clone().any(|(x, w)| w != x && *w != 1) {
        fail!("a weight of shape {of_w:?} for rows of shape {:?}", &of_x[1..]);
    }
    Ok(())
}

/// x / sqrt(sum x² + eps) (`Op::L2Norm`).
pub(crate) fn l2_norm(x: &Tensor, eps: f64) -> Result<Tensor> {
    last_dim(x)?;
    let factor = upcast(x)?
        .f_square()?
        .f_sum_dim_intlist(-1, true, None)?
        .f_add_scalar_(eps)?
        .f_rsqrt_()?;
    cast(&x.f_mul(&factor)?, float_kind(x))
}

/// x / (sum over the last dim + eps) (`Op::Normalize`).
pub(crate) fn normalize(x: &Tensor, eps: f64) -> Result<Tensor> {
    last_dim(x)?;
    let wide = upcast(x)?;
    let sum = wide.f_sum_dim_intlist(-1, true, None)?.f_add_scalar_(eps)?;
    cast(&wide.f_div(&sum)?, float_kind(x))
}

/// The weight plus its offset, in f32.
fn shifted(weight: &Tensor, offset: f64) -> Result<Tensor> {
    let weight = cast(weight, Kind::Float)?;
    if offset == 0.0 {
        Ok(weight)
    } else {
        Ok(weight.f_add_scalar(offset)?)
    }
}

/// `fresh`, which nobody else holds, times weight plus bias, as `kind`.
fn scaled(mut fresh: Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, kind: Kind) -> Result<Tensor> {
    if let Some(weight) = weight {
        fresh = fresh.f_mul_(weight)?;
    }
    if let Some(bias) = bias {
        fresh = fresh.f_add_(bias)?;
    }
    cast(&fresh, kind)
}

fn in_groups(x: &Tensor, groups: u64) -> Result<Tensor> {
    let (width, groups) = (last_dim(x)?, groups.max(1) as i64);
    if width % groups != 0 {
        fail!(
            "the last dim of {:?} cannot be cut into {groups} equal groups",
            x.size()
        );
    }
    if groups == 1 {
        Ok(x.shallow_clone())
    } else {
        Ok(x.f_unflatten(-1, [groups, width / groups])?)
    }
}

fn last_dim(x: &Tensor) -> Result<i64> {
    match x.size().last() {
        Some(width) => Ok(*width),
        None => fail!("a single number has no last dim to norm"),
    }
}

#[cfg(test)]
mod tests;
