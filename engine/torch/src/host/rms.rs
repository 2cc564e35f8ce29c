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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, floats, random};

    #[test]
    fn rows_in_every_type_and_layout() {
        let x = random(&[9, 5, 70], 1);
        let weight = random(&[70], 2);
        for (kind, tolerance) in [(Kind::Float, 1e-6), (Kind::BFloat16, 4e-3), (Kind::Half, 1e-3)] {
            let x = x.f_to_kind(kind).unwrap().f_narrow(1, 1, 2).unwrap();
            let y = rms_norm(&x, Some(&weight), 0.1, 35).unwrap().unwrap();
            let (xs, ws) = (floats(&x), floats(&weight));
            let expected: Vec<f32> = (0..xs.len())
                .map(|i| {
                    let part = &xs[i / 35 * 35..][..35];
                    let square: f64 = part.iter().map(|x| f64::from(*x).powi(2)).sum();
                    (f64::from(xs[i]) / (square / 35.0 + 0.1).sqrt()) as f32 * ws[i % 70]
                })
                .collect();
            close(&floats(&y), &expected, tolerance);
        }
    }

    #[test]
    fn other_types_layouts_and_weights_are_left_to_libtorch() {
        let x = random(&[6, 4], 1);
        let double = x.f_to_kind(Kind::Double).unwrap();
        assert!(rms_norm(&double, None, 0.1, 4).unwrap().is_none());
        let turned = x.f_transpose(0, 1).unwrap();
        assert!(rms_norm(&turned, None, 0.1, 6).unwrap().is_none());
        assert!(rms_norm(&x, Some(&random(&[1], 2)), 0.1, 4).unwrap().is_none());
        assert!(rms_norm(&x, Some(&random(&[4], 2)), 0.1, 4).unwrap().is_some());
    }
}
