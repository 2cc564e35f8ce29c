//! `linear`, `embedding`, `matmul`.

use super::broadcast::broadcast;
use super::site::{Site, Tensor};
use super::types::show;
use super::{Dim, Kind, Sets, ValueType};

/// `x [.., a], w, [bias]` -> `[.., b]`.
pub(super) fn linear(site: &Site<'_>, transposed: bool) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let w = site.tensor(1, "the weight")?;
    no_integers(site, 1)?;
    let named = || site.named(1, "the weight");
    let sizes = w
        .sizes()
        .ok_or_else(|| format!("`linear` needs a weight of fixed sizes, but it is {}", named()))?;
    let (heads, first, second) = match sizes[..] {
        [b, a] => (None, b, a),
        [h, b, a] => (Some(h), b, a),
        [b, _, _, _] | [b, _, _, _, _] if !transposed => (
            None,
            b,
            sizes[1..]
                .iter()
                .fold(1, |product: u64, size| product.saturating_mul(*size)),
        ),
        _ => {
            return Err(format!(
                "`linear` cannot use {} as a weight: it has {} dims",
                named(),
                sizes.len()
            ));
        }
    };
    let (out, input) = if transposed { (second, first) } else { (first, second) };
    if x.dims.last() != Some(&Dim::Size(input)) {
        return Err(format!(
            "`linear` expects the last dim of x to be {input}, the inputs of {}, but x is {}; config and weights disagree",
            named(),
            x.show()
        ));
    }
    if let Some(heads) = heads
        && (x.rank() < 2 || x.dims[x.rank() - 2] != Dim::Size(heads))
    {
        return Err(format!(
            "`linear` has one matrix for each of {heads} heads in {}, but x is {}",
            named(),
            x.show()
        ));
    }
    let mut dims = x.dims.to_vec();
    dims[x.rank() - 1] = Dim::Size(out);
    check_bias(site, &dims, out)?;
    Ok(ValueType::float(dims))
}

fn check_bias(site: &Site<'_>, dims: &[Dim], out: u64) -> Result<(), String> {
    let Some(bias) = site.optional(2, "the bias")? else {
        return Ok(());
    };
    // Some files store a bias as [1, b].
    let ones = bias.dims.iter().take_while(|dim| **dim == Dim::Size(1)).count();
    let own = &bias.dims[ones.min(bias.rank().saturating_sub(1))..];
    let fits = own.last() == Some(&Dim::Size(out)) && dims.ends_with(own);
    if fits {
        return Ok(());
    }
    Err(format!(
        "`linear` expects a bias of {out}, but it is {}",
        site.named(2, "the bias")
    ))
}

/// `ids, table [V, C]` -> `[.., C]`.
pub(super) fn embedding(site: &Site<'_>) -> Result<ValueType, String> {
    let ids = site.tensor(0, "ids")?;
    if ids.kind != Kind::Int {
        return Err(format!(
            "`embedding` looks up whole numbers, but {} are floats",
            site.named(0, "ids")
        ));
    }
    let table = site.ranked(1, "the table", 2, "[entries, width]")?;
    no_integers(site, 1)?;
    let dims = [ids.dims, &table.dims[1..]].concat();
    Ok(table.with(dims))
}

/// Refuses a tensor of whole numbers as a weight: taken as they are, quantised weights give numbers and no sense.
fn no_integers(site: &Site<'_>, i: usize) -> Result<(), String> {
    if !site.is_int(i) || !site.is_param(i) {
        return Ok(());
    }
    Err(format!(
        "{} needs weights of floats, but {} holds whole numbers; quantised weights cannot be read",
        site.op(),
        site.named(i, "the weight")
    ))
}

/// `a [.., n, k], b [.., k, m]` -> `[.., n, m]`.
pub(super) fn matmul(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let (a, b) = (site.tensor(0, "the left side")?, site.tensor(1, "the right side")?);
    let clash = || format!("`matmul` cannot multiply {} by {}", a.show(), b.show());
    if a.rank() < 2 || b.rank() < 2 {
        return Err(format!("{}: both need at least 2 dims", clash()));
    }
    let (rows_a, inner_a) = split_matrix(a);
    let (rows_b, inner_b) = split_matrix(b);
    if inner_a[1] != inner_b[0] {
        return Err(format!("{}: {} meets {}", clash(), inner_a[1], inner_b[0]));
    }
    if matches!(inner_b[1], Dim::Rows(_) | Dim::Seqs(_)) || (matches!(inner_a[1], Dim::Rows(_))) {
        return Err(format!("{}: it would multiply along the rows", clash()));
    }
    let lead = broadcast(rows_a, rows_b, sets).map_err(|why| format!("{}: it {why}", clash()))?;
    let dims = [&lead[..], &[inner_a[0], inner_b[1]]].concat();
    if dims[1..].iter().any(|dim| matches!(dim, Dim::Rows(_) | Dim::Seqs(_))) {
        return Err(format!(
            "{}: the rows would not be the first dim of {}",
            clash(),
            show(&dims)
        ));
    }
    Ok(ValueType::float(dims))
}

fn split_matrix<'a>(tensor: Tensor<'a>) -> (&'a [Dim], &'a [Dim]) {
    tensor.dims.split_at(tensor.dims.len() - 2)
}
