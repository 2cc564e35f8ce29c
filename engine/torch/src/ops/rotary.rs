//! Rotary position embeddings (arXiv 2104.09864); angles, cos and sin in f32.

use crate::error::{Result, fail};
use crate::host;
use crate::kinds::{cast, upcast};
use crate::place;
use crate::{RowSet, Tensor as Shared};
use sli_model::{Axes, Rope};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// cos and sin, `[.., width/2]` f32 each.
type Turn = (Tensor, Tensor);

/// The first features of each head turned (`Op::Rotary`): x `[N, H, D]`, `at` `[N]` or `[N, A]`.
pub(crate) fn rotary(x: &Tensor, rope: &Rope, at: &Shared, set: Option<&RowSet>) -> Result<Tensor> {
    let size = x.size();
    let (width, half) = (rope.width as i64, rope.width as i64 / 2);
    if size.len() != 3 || size[2] < width {
        fail!("heads of shape {size:?} for a rotary embedding of {width} features, [N, H, D] is expected");
    }
    if width == 0 || size[0] == 0 {
        return Ok(x.shallow_clone());
    }
    let (cos, sin) = angles(rope, at, set)?;
    if cos.size() != [size[0], half] {
        fail!(
            "positions of shape {:?} for {} rows and {half} pairs",
            at.shape(),
            size[0]
        );
    }
    if let Some(y) = host::turn(x, &cos, &sin, rope.interleaved)? {
        return Ok(y);
    }
    let (cos, sin) = (cos.f_unsqueeze(1)?, sin.f_unsqueeze(1)?);
    let out = x.f_empty_like()?;
    let (a, b) = pairs(x, rope)?;
    let (a, b) = (upcast(&a)?, upcast(&b)?);
    let (mut to_a, mut to_b) = pairs(&out, rope)?;
    to_a.f_copy_(&a.f_mul(&cos)?.f_sub_(&b.f_mul(&sin)?)?)?;
    to_b.f_copy_(&b.f_mul(&cos)?.f_add_(&a.f_mul(&sin)?)?)?;
    let rest = size[2] - width;
    if rest > 0 {
        out.f_narrow(-1, width, rest)?.f_copy_(&x.f_narrow(-1, width, rest)?)?;
    }
    Ok(out)
}

/// The first and the second features of the pairs that turn, views.
fn pairs(x: &Tensor, rope: &Rope) -> Result<(Tensor, Tensor)> {
    let half = rope.width as i64 / 2;
    let turned = x.f_narrow(-1, 0, 2 * half)?;
    if rope.interleaved {
        let pairs = turned.f_unflatten(-1, [half, 2])?;
        return Ok((pairs.f_select(-1, 0)?, pairs.f_select(-1, 1)?));
    }
    Ok((turned.f_narrow(-1, 0, half)?, turned.f_narrow(-1, half, half)?))
}

/// cos and sin of every row's angles, times the factor of the rope, `[N, width/2]`.
fn angles(rope: &Rope, at: &Shared, set: Option<&RowSet>) -> Result<Turn> {
    if !rope.depends_on_length() {
        return of_class(rope, 0, at);
    }
    let Some(set) = set else {
        fail!("a rotary embedding that depends on the length needs rows of sequences")
    };
    // runs of sequences with the same frequencies are looked up together
    let mut runs: Vec<(u64, Range<i64>)> = Vec::new();
    for s in 0..set.sequences() {
        let (length, rows) = (set.length(s).max(1) as u64, set.range(s));
        match runs.last_mut() {
            Some((first, run)) if rope.at_length(*first) == rope.at_length(length) => run.end = rows.end,
            _ => runs.push((length, rows)),
        }
    }
    let mut parts = Vec::with_capacity(runs.len());
    for (length, rows) in runs {
        parts.push(of_class(rope, length, &at.rows(rows.start, rows.end - rows.start)?)?);
    }
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let (cos, sin): (Vec<Tensor>, Vec<Tensor>) = parts.into_iter().unzip();
    Ok((Tensor::f_cat(&cos, 0)?, Tensor::f_cat(&sin, 0)?))
}

/// The same for rows whose sequences have frequencies of length `length`.
fn of_class(rope: &Rope, length: u64, at: &Shared) -> Result<Turn> {
    let (frequencies, scale) = rope.at_length(length);
    let at = at.raw();
    match (&rope.axes, at.dim()) {
        (Axes::One, 1) if at.kind() == Kind::Int64 => looked_up(frequencies, scale, at),
        (Axes::One, 1) => turn(&outer(at, &numbers(&frequencies, at)?)?, scale),
        (_, 1) => of_axes(rope, &frequencies, scale, &at.f_unsqueeze(1)?),
        (_, 2) => of_axes(rope, &frequencies, scale, at),
        _ => fail!("positions of shape {:?}, [N] or [N, A] is expected", at.size()),
    }
}

/// Positions with axes: which axis and frequency each pair takes.
fn of_axes(rope: &Rope, frequencies: &[f64], scale: f64, at: &Tensor) -> Result<Turn> {
    let (axes, pairs) = (at.size()[1] as usize, (rope.width / 2) as usize);
    if axes == 0 {
        fail!("positions of shape {:?} have no axis", at.size());
    }
    let chosen: Vec<(usize, f64)> = match &rope.axes {
        Axes::One => fail!("positions of shape {:?} for a rotary embedding of one axis", at.size()),
        Axes::Split { theta } => {
            let each = pairs / axes;
            let own = |j: usize| theta.0.powf(-2.0 * (j * axes) as f64 / rope.width as f64);
            (0..each * axes).map(|p| (p / each, own(p % each))).collect()
        }
        Axes::Alternate => {
            let own = |axis: usize| frequencies.iter().skip(axis).step_by(axes).map(move |f| (axis, *f));
            (0..axes).flat_map(own).collect()
        }
        // positions with one axis are the same on all
        Axes::Sections(list) => (list.iter().zip(frequencies))
            .map(|(axis, f)| (if axes == 1 { 0 } else { *axis as usize }, *f))
            .collect(),
    };
    if chosen.len() != pairs || chosen.iter().any(|c| c.0 >= axes) {
        fail!("{axes} axes of positions do not fill the {pairs} pairs of a rotary embedding");
    }
    let (axis, frequency): (Vec<i64>, Vec<f64>) = chosen.into_iter().map(|(axis, f)| (axis as i64, f)).unzip();
    let axis = place::numbers(&axis, at.device())?;
    let at = cast(at, Kind::Float)?.f_index_select(1, &axis)?;
    turn(&at.f_mul(&numbers(&frequency, &at)?)?, scale)
}

fn outer(at: &Tensor, frequencies: &Tensor) -> Result<Tensor> {
    Ok(cast(at, Kind::Float)?.f_unsqueeze(1)?.f_mul(frequencies)?)
}

fn numbers(frequencies: &[f64], beside: &Tensor) -> Result<Tensor> {
    let narrow: Vec<f32> = frequencies.iter().map(|f| *f as f32).collect();
    Ok(place::numbers(&narrow, beside.device())?)
}

fn turn(angles: &Tensor, scale: f64) -> Result<Turn> {
    let (mut cos, mut sin) = (angles.f_cos()?, angles.f_sin()?);
    if scale != 1.0 {
        (cos, sin) = (cos.f_mul_scalar_(scale)?, sin.f_mul_scalar_(scale)?);
    }
    Ok((cos, sin))
}

/// A table of positions 0 .. rows - 1.
struct Table {
    frequencies: Vec<f64>,
    scale: f64,
    rows: i64,
    cos: Shared,
    sin: Shared,
}

/// The tables used last, the latest first. A model has one to three ropes; a table of 128 Ki positions
/// and 64 pairs takes 64 MiB.
static TABLES: Mutex<Vec<Arc<Table>>> = Mutex::new(Vec::new());
const TABLES_KEPT: usize = 4;
const LONGEST_TABLE: i64 = 1 << 17;

/// cos and sin of whole positions, from a table.
fn looked_up(frequencies: Vec<f64>, scale: f64, at: &Tensor) -> Result<Turn> {
    let computed = || turn(&outer(at, &numbers(&frequencies, at)?)?, scale);
    // an accelerator computes angles in no time, and the range would make it wait
    if at.device() != Device::Cpu {
        return computed();
    }
    let (low, high) = (at.f_min()?.f_int64_value(&[])?, at.f_max()?.f_int64_value(&[])?);
    if low < 0 || high >= LONGEST_TABLE {
        return computed();
    }
    let table = table(frequencies, scale, high + 1)?;
    Ok((
        table.cos.raw().f_index_select(0, at)?,
        table.sin.raw().f_index_select(0, at)?,
    ))
}

fn table(frequencies: Vec<f64>, scale: f64, rows: i64) -> Result<Arc<Table>> {
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = tables
        .iter()
        .position(|t| t.frequencies == frequencies && t.scale == scale)
    {
        let found = tables.remove(at);
        if found.rows >= rows {
            tables.insert(0, found.clone());
            return Ok(found);
        }
    }
    // rounded up, so that slowly growing lengths do not rebuild the table each time
    let rows = rows.unsigned_abs().next_power_of_two() as i64;
    let positions = Tensor::f_arange(rows, (Kind::Int64, Device::Cpu))?;
    let (cos, sin) = turn(&outer(&positions, &numbers(&frequencies, &positions)?)?, scale)?;
    let made = Arc::new(Table {
        frequencies,
        scale,
        rows,
        cos: Shared::own(cos),
        sin: Shared::own(sin),
    });
    tables.insert(0, made.clone());
    tables.truncate(TABLES_KEPT);
    Ok(made)
}

#[cfg(test)]
mod tests;
