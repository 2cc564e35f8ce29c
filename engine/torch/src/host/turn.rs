//! Pairs of features turned by an angle, for rotary position embeddings.

use super::by_kind;
use super::memory::{Rows, filled};
use super::number::Number;
use super::threads::share;
use super::vectors::{Kernel, with_widest};
use crate::error::Result;
use std::mem::MaybeUninit;
use tch::{Kind, Tensor};

/// The first `2 * half` features of each head of `x` `[N, H, D]` turned, the others as they are; `cos` and `sin` are
/// `[N, half]` f32. Features i and i + half make a pair, or 2i and 2i + 1 if `interleaved`.
pub(crate) fn turn(x: &Tensor, cos: &Tensor, sin: &Tensor, interleaved: bool) -> Result<Option<Tensor>> {
    by_kind!(x.kind(), typed(x, cos, sin, interleaved))
}

fn typed<T: Number>(x: &Tensor, cos: &Tensor, sin: &Tensor, interleaved: bool) -> Result<Option<Tensor>> {
    let size = x.size();
    let (Some(rows), Some(cos), Some(sin)) = (Rows::<T>::of(x), Rows::of(cos), Rows::of(sin)) else {
        return Ok(None);
    };
    let dim = size[2] as usize;
    let out = filled(&size, |out| {
        share(out, rows.width(), |first, out| {
            with_widest(Turn {
                rows,
                cos,
                sin,
                interleaved,
                dim,
                first,
                out,
            });
        });
    })?;
    Ok(Some(out))
}

struct Turn<'a, T> {
    rows: Rows<'a, T>,
    cos: Rows<'a, f32>,
    sin: Rows<'a, f32>,
    interleaved: bool,
    /// Features of a head.
    dim: usize,
    /// The number of the first row.
    first: usize,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Number> Kernel for Turn<'_, T> {
    #[inline(always)]
    fn run(self) {
        let row = self.rows.width();
        let turned = 2 * self.cos.width();
        for (index, out) in self.out.chunks_exact_mut(row).enumerate() {
            let index = self.first + index;
            let (x, cos, sin) = (self.rows.row(index), self.cos.row(index), self.sin.row(index));
            for (x, out) in x.chunks_exact(self.dim).zip(out.chunks_exact_mut(self.dim)) {
                let ((x, rest), (out, out_rest)) = (x.split_at(turned), out.split_at_mut(turned));
                if self.interleaved {
                    neighbours(x, cos, sin, out);
                } else {
                    halves(x, cos, sin, out);
                }
                for (x, out) in rest.iter().zip(out_rest) {
                    out.write(*x);
                }
            }
        }
    }
}

#[inline(always)]
fn halves<T: Number>(x: &[T], cos: &[f32], sin: &[f32], out: &mut [MaybeUninit<T>]) {
    let half = cos.len();
    let ((a, b), (to_a, to_b)) = (x.split_at(half), out.split_at_mut(half));
    let sin = &sin[..half];
    for i in 0..half {
        let (x, y) = (a[i].wide(), b[i].wide());
        to_a[i].write(T::narrow(x * cos[i] - y * sin[i]));
        to_b[i].write(T::narrow(y * cos[i] + x * sin[i]));
    }
}

#[inline(always)]
fn neighbours<T: Number>(x: &[T], cos: &[f32], sin: &[f32], out: &mut [MaybeUninit<T>]) {
    let pairs = x.chunks_exact(2).zip(out.chunks_exact_mut(2));
    for ((pair, out), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
        let (x, y) = (pair[0].wide(), pair[1].wide());
        out[0].write(T::narrow(x * cos - y * sin));
        out[1].write(T::narrow(y * cos + x * sin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, floats, random};

    #[test]
    fn bf16_heads_of_a_wider_tensor_turn_as_f32_ones() {
        let wide = random(&[3, 7, 10], 1).f_to_kind(Kind::BFloat16).unwrap();
        let x = wide.f_narrow(1, 2, 4).unwrap();
        let (cos, sin) = (random(&[3, 4], 2), random(&[3, 4], 3));
        for interleaved in [false, true] {
            let exact = turn(&x.f_to_kind(Kind::Float).unwrap(), &cos, &sin, interleaved);
            let y = turn(&x, &cos, &sin, interleaved).unwrap().unwrap();
            assert_eq!((y.kind(), y.size()), (Kind::BFloat16, vec![3, 4, 10]));
            let exact = exact.unwrap().unwrap();
            close(&floats(&y), &floats(&exact), 4e-3);
            let rest = |t: &Tensor| floats(&t.f_narrow(-1, 8, 2).unwrap());
            assert_eq!(rest(&y), rest(&x), "features beyond the pairs stay");
        }
    }
}
