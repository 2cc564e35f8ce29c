//! x / sqrt(mean x² + eps) * weight, each element read and written once.

use super::by_kind;
use super::memory::{Rows, filled};
use super::number::Number;
use super::threads::share;
use super::vectors::{Kernel, sum_of, with_widest};
use crate::error::Result;
use std::mem::MaybeUninit;
use tch::{Kind, Tensor};

/// The norm of every `width` numbers of `x` `[N, ..]`, in f32, as the kind of `x`. The weight is f32 and has the
/// shape of a row, or of the end of one.
pub(crate) fn rms_norm(x: &Tensor, weight: Option<&Tensor>, eps: f64, width: i64) -> Result<Option<Tensor>> {
    by_kind!(x.kind(), typed(x, weight, eps as f32, width as usize))
}

fn typed<T: Number>(x: &Tensor, weight: Option<&Tensor>, eps: f32, width: usize) -> Result<Option<Tensor>> {
    let size = x.size();
    let Some(rows) = Rows::<T>::of(x) else { return Ok(None) };
    let weight = match weight {
        None => None,
        Some(weight) if size[1..].ends_with(&weight.size()) => {
            let line = weight.f_reshape([1, -1])?;
            Some(line)
        }
        Some(_) => return Ok(None),
    };
    let weight = match weight.as_ref().map(Rows::<f32>::of) {
        None => None,
        Some(Some(weight)) if weight.width() > 0 => Some(weight.row(0)),
        Some(_) => return Ok(None),
    };
    let row = rows.width();
    let out = filled(&size, |out| {
        share(out, row, |first, out| {
            with_widest(RmsNorm {
                rows,
                weight,
                eps,
                width,
                first,
                out,
            });
        });
    })?;
    Ok(Some(out))
}

struct RmsNorm<'a, T> {
    rows: Rows<'a, T>,
    weight: Option<&'a [f32]>,
    eps: f32,
    width: usize,
    /// The number of the first row.
    first: usize,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Number> Kernel for RmsNorm<'_, T> {
    #[inline(always)]
    fn run(self) {
        let row = self.rows.width();
        for (index, out) in self.out.chunks_exact_mut(row).enumerate() {
            let x = self.rows.row(self.first + index);
            for (part, (x, out)) in x
                .chunks_exact(self.width)
                .zip(out.chunks_exact_mut(self.width))
                .enumerate()
            {
                let mean = sum_of(x, |x| x.wide() * x.wide()) / self.width as f32;
                let factor = 1.0 / (mean + self.eps).sqrt();
                match self.weight {
                    Some(weight) => {
                        let weight = &weight[part * self.width % weight.len()..][..self.width];
                        for ((x, weight), out) in x.iter().zip(weight).zip(out) {
                            out.write(T::narrow(x.wide() * factor * weight));
                        }
                    }
                    None => {
                        for (x, out) in x.iter().zip(out) {
                            out.write(T::narrow(x.wide() * factor));
                        }
                    }
                }
            }
        }
    }
}
