//! Inputs of `linear_scan`, made up for the tests.

use super::super::{ScanInputs, linear_scan};
use super::uniform;
use sli_model::ScanNormalize;
use tch::Tensor;

/// Owned inputs of a scan.
pub(super) struct Case {
    pub(super) q: Option<Tensor>,
    pub(super) k: Option<Tensor>,
    pub(super) v: Tensor,
    pub(super) decay: Option<Tensor>,
    pub(super) beta: Option<Tensor>,
    pub(super) erase: Option<(Tensor, Tensor)>,
    pub(super) bonus: Option<Tensor>,
    pub(super) gain: Option<Tensor>,
    pub(super) normalize: Option<ScanNormalize>,
}

impl Case {
    /// q, k, v of a batch without anything else.
    pub(super) fn new(seed: u64, rows: i64, [g, h, k, v]: [i64; 4]) -> Case {
        Case {
            q: Some(uniform(seed, &[rows, g, k], -1.0, 1.0)),
            k: Some(uniform(seed + 1, &[rows, g, k], -1.0, 1.0)),
            v: uniform(seed + 2, &[rows, h, v], -1.0, 1.0),
            decay: None,
            beta: None,
            erase: None,
            bonus: None,
            gain: None,
            normalize: None,
        }
    }

    pub(super) fn inputs(&self) -> ScanInputs<'_> {
        ScanInputs {
            q: self.q.as_ref(),
            k: self.k.as_ref(),
            v: &self.v,
            decay: self.decay.as_ref(),
            beta: self.beta.as_ref(),
            erase: self.erase.as_ref().map(|(a, b)| (a, b)),
            bonus: self.bonus.as_ref(),
            gain: self.gain.as_ref(),
            normalize: self.normalize,
        }
    }

    pub(super) fn run(&self, offsets: &[i64]) -> Tensor {
        linear_scan(&self.inputs(), offsets).unwrap()
    }

    /// Every tensor of the case replaced.
    pub(super) fn map(&self, f: impl Fn(&Tensor, bool) -> Tensor) -> Case {
        let n = self.v.size()[0];
        let g = |x: &Option<Tensor>| x.as_ref().map(|x| f(x, x.size()[0] == n));
        Case {
            q: g(&self.q),
            k: g(&self.k),
            v: f(&self.v, true),
            decay: g(&self.decay),
            beta: g(&self.beta),
            erase: self.erase.as_ref().map(|(a, b)| (f(a, true), f(b, true))),
            bonus: self.bonus.as_ref().map(|x| f(x, false)),
            gain: g(&self.gain),
            normalize: self.normalize,
        }
    }

    /// The rows of one sequence.
    pub(super) fn rows(&self, start: i64, count: i64) -> Case {
        self.map(|x, rows| {
            if rows {
                x.narrow(0, start, count)
            } else {
                x.shallow_clone()
            }
        })
    }
}
