//! Matrix products and table look-up.

use crate::error::{Result, fail};
use crate::kinds::{cast, is_float};
use tch::{Device, Kind, Tensor};

/// Bytes of one converted piece of a weight that is converted while it is used: small enough that the allocator keeps
/// its memory for the next one, so that no page of it is fetched twice.
const PIECE: i64 = 8 << 20;

/// x wᵀ + bias (`Op::Linear`), computed in `compute`.
pub(crate) fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, transposed: bool, compute: Kind) -> Result<Tensor> {
    let x = cast(x, compute)?;
    let flat = match w.dim() {
        4 | 5 if !transposed => w.f_flatten(1, -1)?,
        4 | 5 => fail!("a weight of shape {:?} cannot be read transposed", w.size()),
        2 | 3 => w.shallow_clone(),
        _ => fail!("a weight of shape {:?} is no matrix", w.size()),
    };
    let inner = if transposed {
        flat.size()[flat.dim() - 2]
    } else {
        flat.size()[flat.dim() - 1]
    };
    if x.size().last() != Some(&inner) {
        fail!(
            "x {:?} and weight {:?} do not fit: {inner} features are expected",
            x.size(),
            w.size()
        );
    }
    let bias = bias.map(|b| cast(b, compute)).transpose()?;
    // Some files store a bias as [1, b].
    let bias = match bias {
        Some(bias) if flat.dim() == 2 && bias.dim() > 1 && bias.size()[0] == 1 => Some(bias.f_flatten(0, -1)?),
        other => other,
    };
    if flat.dim() == 3 {
        return per_head(&x, &cast(&flat, compute)?, bias.as_ref(), transposed);
    }
    if flat.kind() != compute && !transposed {
        return in_pieces(&x, &flat, bias.as_ref(), compute);
    }
    let w = cast(&flat, compute)?;
    let w = if transposed { w.f_transpose(0, 1)? } else { w };
    Ok(x.f_linear(&w, bias.as_ref())?)
}

/// One matrix per head: x `[.., H, a]`, w `[H, b, a]` -> `[.., H, b]`.
fn per_head(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, transposed: bool) -> Result<Tensor> {
    let size = x.size();
    let (heads, inner) = (w.size()[0], size[size.len() - 1]);
    if size.len() < 2 || size[size.len() - 2] != heads {
        fail!(
            "x {size:?} and weight {:?} do not fit: {heads} heads are expected",
            w.size()
        );
    }
    let w = if transposed {
        w.shallow_clone()
    } else {
        w.f_transpose(1, 2)?
    };
    let flat = x.f_reshape([-1, heads, inner])?.f_transpose(0, 1)?;
    let y = flat.f_bmm(&w)?.f_transpose(0, 1)?;
    let mut out = size;
    let last = out.len() - 1;
    out[last] = w.size()[2];
    let y = y.f_reshape(out)?;
    match bias {
        Some(bias) => Ok(y.f_add(&bias.f_reshape([heads, -1])?)?),
        None => Ok(y),
    }
}

/// The same for a weight too large to be converted whole: some of its rows at a time.
fn in_pieces(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, compute: Kind) -> Result<Tensor> {
    let (rows, inner) = w.size2()?;
    let step = (PIECE / (inner.max(1) * compute.elt_size_in_bytes() as i64)).clamp(1, rows.max(1));
    let mut size = x.size();
    let last = size.len() - 1;
    size[last] = rows;
    let out = Tensor::f_empty(size, (compute, x.device()))?;
    for start in (0..rows).step_by(step as usize) {
        let len = step.min(rows - start);
        let piece = cast(&w.f_narrow(0, start, len)?, compute)?;
        let bias = bias.map(|b| b.f_narrow(0, start, len)).transpose()?;
        out.f_narrow(-1, start, len)?
            .f_copy_(&x.f_linear(&piece, bias.as_ref())?)?;
    }
    Ok(out)
}

/// Rows of a table (`Op::Embedding`), as `compute`.
pub(crate) fn embedding(ids: &Tensor, table: &Tensor, compute: Kind) -> Result<Tensor> {
    if is_float(ids.kind()) {
        fail!("ids are whole numbers, these are {:?}", ids.kind());
    }
    if table.dim() < 2 {
        fail!("a table of shape {:?} has no rows", table.size());
    }
    // an accelerator would have to wait; the runtime checks ids before anything is computed
    if ids.numel() > 0 && ids.device() == Device::Cpu {
        let (low, high) = (ids.f_min()?.f_int64_value(&[])?, ids.f_max()?.f_int64_value(&[])?);
        let rows = table.size()[0];
        if low < 0 || high >= rows {
            let id = if low < 0 { low } else { high };
            fail!("id {id} is outside the table, which has the rows 0 .. {}", rows - 1);
        }
    }
    let flat = ids.f_reshape([-1])?;
    let mut size = ids.size();
    size.extend(&table.size()[1..]);
    cast(
        &table.f_index_select(0, &cast(&flat, Kind::Int64)?)?.f_reshape(size)?,
        compute,
    )
}

/// a b with leading dims broadcast (`Op::MatMul`); operands of unequal dtypes meet in `compute`.
pub(crate) fn matmul(a: &Tensor, b: &Tensor, compute: Kind) -> Result<Tensor> {
    let kind = if a.kind() == b.kind() && is_float(a.kind()) {
        a.kind()
    } else {
        compute
    };
    Ok(cast(a, kind)?.f_matmul(&cast(b, kind)?)?)
}

#[cfg(test)]
mod tests;
