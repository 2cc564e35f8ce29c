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
    share_among(count, out, 1, |first, out| {
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
