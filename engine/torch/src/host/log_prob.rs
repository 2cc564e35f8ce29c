//! The log-probability of one entry per row.

use super::by_kind;
use super::memory::Rows;
use super::number::{Number, exp};
use super::threads::share_among;
use super::vectors::{Kernel, most_of, sum_of, with_widest};
use crate::error::Result;
use crate::threads;
use std::mem::MaybeUninit;
use tch::{Kind, Tensor};

/// Logits that are worth a thread of their own.
const LEAST: usize = 1 << 18;
/// Rows that a thread takes at a time.
const PIECE: usize = 16;

/// logit - log sum exp of each row's target, in f32: logits `[n, V]`, targets `n` numbers below V.
pub(crate) fn log_probs(logits: &Tensor, targets: &[i64]) -> Result<Option<Vec<f32>>> {
    by_kind!(logits.kind(), typed(logits, targets))
}

fn typed<T: Number>(logits: &Tensor, targets: &[i64]) -> Result<Option<Vec<f32>>> {
    let Some(rows) = Rows::<T>::of(logits) else {
        return Ok(None);
    };
    let mut found = Vec::with_capacity(targets.len());
    let count = threads().min(targets.len() * rows.width() / LEAST);
    let out = &mut found.spare_capacity_mut()[..targets.len()];
    share_among(count, out, PIECE, |piece, out| {
        let first = piece * PIECE;
        with_widest(LogProbs {
            rows,
            targets: &targets[first..][..out.len()],
            first,
            out,
        });
    });
    // SAFETY: there is room for as many, and the kernel has written all of them.
    #[allow(unsafe_code)]
    unsafe {
        found.set_len(targets.len());
    }
    Ok(Some(found))
}

struct LogProbs<'a, T> {
    rows: Rows<'a, T>,
    targets: &'a [i64],
    /// The number of the first row.
    first: usize,
    out: &'a mut [MaybeUninit<f32>],
}

impl<T: Number> Kernel for LogProbs<'_, T> {
    #[inline(always)]
    fn run(self) {
        for (index, (target, out)) in self.targets.iter().zip(self.out).enumerate() {
            let row = self.rows.row(self.first + index);
            let most = most_of(row, T::wide);
            // a row of -inf has no probabilities, as in libtorch: its shift is 0
            let shift = if most.is_infinite() { 0.0 } else { most };
            let total = sum_of(row, |x| exp(x.wide() - shift));
            out.write(row[*target as usize].wide() - (shift + total.ln()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, floats, random};

    #[test]
    fn bf16_logits_are_scored_as_the_numbers_they_are() {
        let logits = random(&[40, 9000], 1).f_mul_scalar(30.0).unwrap();
        let logits = logits.f_to_kind(Kind::BFloat16).unwrap();
        let targets: Vec<i64> = (0..40).map(|row| row * 223).collect();
        let wide = logits.f_to_kind(Kind::Double).unwrap();
        let index = Tensor::f_from_slice(&targets).unwrap().f_unsqueeze(1).unwrap();
        let exact = wide
            .f_log_softmax(-1, None)
            .unwrap()
            .f_gather(1, &index, false)
            .unwrap();
        let found = log_probs(&logits, &targets).unwrap().unwrap();
        close(&found, &floats(&exact), 1e-6);
    }

    #[test]
    fn rows_without_probability_are_what_libtorch_says() {
        let row = |x: f32| Tensor::f_full([1, 40], f64::from(x), (Kind::Float, tch::Device::Cpu)).unwrap();
        let score = |x: f32| log_probs(&row(x), &[3]).unwrap().unwrap()[0];
        assert!(score(f32::NAN).is_nan() && score(f32::INFINITY).is_nan() && score(f32::NEG_INFINITY).is_nan());
    }
}
