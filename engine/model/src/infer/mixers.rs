//! Convolutions and scans along the tokens of a sequence.

use super::broadcast::broadcast;
use super::rows::derive;
use super::site::{Site, Tensor};
use super::types::show;
use super::{Dim, Sets, ValueType};

const ROWS: &str = "[tokens, width]";

fn matrix<'a>(site: &Site<'a>) -> Result<Tensor<'a>, String> {
    site.rows(0, "x")?;
    site.ranked(0, "x", 2, ROWS)
}

/// Checks that input `i`, if given, broadcasts to `target`.
fn fits(site: &Site<'_>, i: usize, role: &str, target: &[Dim], sets: &Sets) -> Result<(), String> {
    let Some(tensor) = site.optional(i, role)? else {
        return Ok(());
    };
    if tensor.rank() <= target.len() && broadcast(target, tensor.dims, sets).as_deref() == Ok(target) {
        return Ok(());
    }
    Err(format!(
        "{} expects {role} to fit {}, but it is {}",
        site.op(),
        show(target),
        site.named(i, role)
    ))
}

/// Checks that input `i`, if given, has exactly these dims.
fn exactly(site: &Site<'_>, i: usize, role: &str, dims: &[Dim]) -> Result<(), String> {
    match site.optional(i, role)? {
        Some(tensor) if tensor.dims != dims => Err(format!(
            "{} expects {role} {}, but it is {}",
            site.op(),
            show(dims),
            site.named(i, role)
        )),
        _ => Ok(()),
    }
}

/// `x [N, C], w [C, 1, K], [bias [C]]` -> like x.
pub(super) fn causal_conv(site: &Site<'_>) -> Result<ValueType, String> {
    let x = matrix(site)?;
    let w = site.ranked(1, "the weight", 3, "[width, 1, taps]")?;
    exactly(site, 1, "the weight", &[x.dims[1], Dim::Size(1), w.dims[2]])?;
    exactly(site, 2, "the bias", &x.dims[1..])?;
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x [N, .., C], dt like x, a [.., C, S], b [N, .., S], c [N, .., S]` -> like x.
pub(super) fn selective_scan(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.tensor(0, "x")?;
    site.last(x, "x")?;
    fits(site, 1, "dt", x.dims, sets)?;
    let a = site.tensor(2, "a")?;
    let states = site.last(a, "a")?;
    fits(site, 2, "a", &[x.dims, &[Dim::Size(states)]].concat(), sets)?;
    let lead = [&x.dims[..x.rank() - 1], &[Dim::Size(states)]].concat();
    for (i, role) in [(3, "b"), (4, "c")] {
        site.same_rows(i, role, set, sets)?;
        exactly(site, i, role, &lead)?;
    }
    site.tensor(1, "dt")?;
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `a [N, C], b [N, C]` -> like b.
pub(super) fn recurrence(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "a")?;
    site.same_rows(1, "b", set, sets)?;
    let a = site.tensor(0, "a")?;
    exactly(site, 1, "b", a.dims)?;
    Ok(ValueType::float(a.dims.to_vec()))
}

/// `[q], [k], v, [decay], [beta], [erase_a], [erase_b], [bonus], [gain]` -> like v.
pub(super) fn linear_scan(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(2, "v")?;
    let v = site.ranked(2, "v", 3, "[tokens, heads, width]")?;
    let heads = v.size(1).unwrap_or(0);
    let keys = match (site.optional(0, "q")?, site.optional(1, "k")?) {
        (Some(q), _) => q.dims.to_vec(),
        (None, Some(k)) => k.dims.to_vec(),
        (None, None) => vec![v.dims[0], v.dims[1], Dim::Size(1)],
    };
    let [_, Dim::Size(groups), Dim::Size(width)] = keys[..] else {
        return Err(format!(
            "`linear_scan` expects q and k [tokens, groups, width], but they are {}",
            show(&keys)
        ));
    };
    for (i, role) in [(0, "q"), (1, "k"), (5, "erase a"), (6, "erase b")] {
        if site.value(i).is_some() {
            site.same_rows(i, role, set, sets)?;
        }
        exactly(site, i, role, &keys)?;
    }
    if groups == 0 || heads % groups != 0 {
        let (keys, v) = (show(&keys), v.show());
        return Err(format!(
            "`linear_scan` needs groups that divide the {heads} heads of v {v}, but q and k are {keys}"
        ));
    }
    let per_channel = [v.dims[0], v.dims[1], Dim::Size(width)];
    let per_head = [v.dims[0], v.dims[1], Dim::Size(1)];
    fits(site, 3, "decay", &per_channel, sets)?;
    fits(site, 4, "beta", &per_head, sets)?;
    exactly(site, 7, "bonus", &per_channel[1..])?;
    fits(site, 8, "gain", &per_head, sets)?;
    if site.value(4).is_some() && (site.value(5).is_some() || site.value(6).is_some()) {
        return Err("`linear_scan` takes `beta` or `erase`, not both".to_string());
    }
    if site.value(5).is_some() != site.value(6).is_some() {
        return Err("`linear_scan` needs both tensors of `erase`".to_string());
    }
    Ok(ValueType::float(v.dims.to_vec()))
}

/// `x [N, C], h [L, C]` -> like x.
pub(super) fn long_conv(site: &Site<'_>) -> Result<ValueType, String> {
    let x = matrix(site)?;
    let h = site.ranked(1, "h", 2, "[taps, width]")?;
    exactly(site, 1, "h", &[h.dims[0], x.dims[1]])?;
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x [N, C], poles [C, S, 2], residues [C, S, 2]` -> like x.
pub(super) fn modal_conv(site: &Site<'_>) -> Result<ValueType, String> {
    let x = matrix(site)?;
    let poles = site.ranked(1, "the poles", 3, "[width, states, 2]")?;
    let wanted = [x.dims[1], poles.dims[1], Dim::Size(2)];
    exactly(site, 1, "the poles", &wanted)?;
    site.tensor(2, "the residues")?;
    exactly(site, 2, "the residues", &wanted)?;
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x [N, H, D], w [N, H, K] or [H, K]` -> like x.
pub(super) fn dynamic_conv(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.ranked(0, "x", 3, "[tokens, heads, width]")?;
    let w = site.tensor(1, "the weight")?;
    let taps = site.last(w, "the weight")?;
    if taps % 2 == 0 {
        return Err(format!(
            "`dynamic_conv` needs an odd number of taps, but its weight is {}",
            w.show()
        ));
    }
    if w.rank() == 3 {
        site.same_rows(1, "the weight", set, sets)?;
        exactly(site, 1, "the weight", &[x.dims[0], x.dims[1], Dim::Size(taps)])?;
    } else {
        exactly(site, 1, "the weight", &[x.dims[1], Dim::Size(taps)])?;
    }
    Ok(ValueType::float(x.dims.to_vec()))
}

/// The numbers of a `row_conv`.
#[derive(Clone, Copy)]
pub(super) struct ConvShape {
    pub(super) stride: u64,
    pub(super) padding: (u64, u64),
    pub(super) groups: u64,
    pub(super) dilation: u64,
}

/// `x [N, A], w [B, A/groups, K], [bias [B]]` -> `[N', B]`; the same rows if every length stays.
pub(super) fn row_conv(site: &Site<'_>, shape: ConvShape, sets: &mut Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = matrix(site)?;
    let w = site.ranked(1, "the weight", 3, "[outputs, inputs / groups, taps]")?;
    let (inputs, sizes) = (site.last(x, "x")?, w.sizes());
    let Some([outputs, per_group, taps]) = sizes.as_deref().and_then(|sizes| <[u64; 3]>::try_from(sizes).ok()) else {
        return Err(format!(
            "`row_conv` needs a weight of fixed sizes, but it is {}",
            w.show()
        ));
    };
    let ConvShape {
        stride,
        padding,
        groups,
        dilation,
    } = shape;
    if per_group.checked_mul(groups) != Some(inputs) || outputs % groups != 0 || taps == 0 {
        return Err(format!(
            "`row_conv` in {groups} groups expects a weight [outputs, {inputs} / {groups}, taps] for x {}, but it is {}",
            x.show(),
            site.named(1, "the weight")
        ));
    }
    exactly(site, 2, "the bias", &[Dim::Size(outputs)])?;
    let keeps = stride == 1 && padding.0.checked_add(padding.1) == dilation.checked_mul(taps - 1);
    let rows = match keeps {
        true => set,
        false => {
            let (before, after) = padding;
            derive(
                sets,
                set,
                &format!("row_conv({taps} taps, stride {stride}, padding [{before}, {after}], dilation {dilation})"),
            )?
        }
    };
    Ok(ValueType::float(vec![Dim::Rows(rows), Dim::Size(outputs)]))
}
