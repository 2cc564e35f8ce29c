//! `linear_scan` by its definition: one token after the other, in f64, without any trick against
//! overflow.

use super::case::Case;
use super::numbers;
use sli_model::ScanNormalize;
use tch::{Device, Kind, Tensor};

/// All inputs at their full size, row by row, head by head.
struct Wide {
    heads: usize,
    keys: usize,
    values: usize,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    decay: Vec<f64>,
    gain: Vec<f64>,
    beta: Option<Vec<f64>>,
    erase: Option<(Vec<f64>, Vec<f64>)>,
    bonus: Option<Vec<f64>>,
    normalize: Option<ScanNormalize>,
}

/// The result of the case, `[N, H, V]`.
pub(super) fn loop_over_tokens(case: &Case, offsets: &[i64]) -> Vec<f64> {
    let wide = Wide::new(case);
    let mut out = vec![0.0; wide.v.len()];
    for pair in offsets.windows(2) {
        for head in 0..wide.heads {
            // One more value that is always 1 gives the normaliser.
            let mut state = vec![vec![0.0; wide.values + 1]; wide.keys];
            for t in pair[0] as usize..pair[1] as usize {
                let y = wide.step(t, head, &mut state);
                out[(t * wide.heads + head) * wide.values..][..wide.values].copy_from_slice(&y);
            }
        }
    }
    out
}

/// x' S, column j.
fn through(x: &[f64], state: &[Vec<f64>], j: usize) -> f64 {
    x.iter().zip(state).map(|(x, row)| x * row[j]).sum()
}

impl Wide {
    fn new(case: &Case) -> Wide {
        let size = case.v.size();
        let (n, h) = (size[0], size[1]);
        let like = case.q.as_ref().or(case.k.as_ref()).map_or(vec![n, 1, 1], Tensor::size);
        let keys = like[2];
        let per_head = |x: &Tensor| numbers(&x.repeat_interleave_self_int(h / like[1], 1, None));
        let ones = Tensor::ones(&like[..], (Kind::Double, Device::Cpu));
        let expand = |x: &Tensor, shape: &[i64]| numbers(&x.expand(shape, false));
        let or_zeros = |x: &Option<Tensor>, shape: &[i64]| match x {
            Some(x) => expand(x, shape),
            None => vec![0.0; shape.iter().product::<i64>() as usize],
        };
        Wide {
            heads: h as usize,
            keys: keys as usize,
            values: size[2] as usize,
            q: per_head(case.q.as_ref().unwrap_or(&ones)),
            k: per_head(case.k.as_ref().unwrap_or(&ones)),
            v: numbers(&case.v),
            decay: or_zeros(&case.decay, &[n, h, keys]),
            gain: or_zeros(&case.gain, &[n, h, 1]),
            beta: case.beta.as_ref().map(|x| expand(x, &[n, h, 1])),
            erase: case.erase.as_ref().map(|(a, b)| (per_head(a), per_head(b))),
            bonus: case.bonus.as_ref().map(|x| expand(x, &[h, keys])),
            normalize: case.normalize,
        }
    }

    /// Takes the state over token t and returns y.
    fn step(&self, t: usize, head: usize, state: &mut [Vec<f64>]) -> Vec<f64> {
        let at = t * self.heads + head;
        let of_keys = |x: &[f64]| x[at * self.keys..][..self.keys].to_vec();
        let (q, k) = (of_keys(&self.q), of_keys(&self.k));
        let mut v = self.v[at * self.values..][..self.values].to_vec();
        v.push(1.0);
        let old = state.to_vec();
        for (row, decay) in state.iter_mut().zip(of_keys(&self.decay)) {
            row.iter_mut().for_each(|x| *x *= decay.exp());
        }
        let gain = self.gain[at].exp();
        for j in 0..=self.values {
            let entered = match &self.beta {
                Some(beta) => beta[at] * (v[j] - through(&k, state, j)),
                None => gain * v[j],
            };
            for c in 0..self.keys {
                state[c][j] += k[c] * entered;
                if let Some((a, b)) = &self.erase {
                    state[c][j] += of_keys(b)[c] * through(&of_keys(a), &old, j);
                }
            }
        }
        let read = |j: usize| match &self.bonus {
            None => through(&q, state, j),
            Some(u) => {
                let own = |c: usize| u[head * self.keys + c] * k[c] * gain * v[j];
                (0..self.keys).map(|c| q[c] * (old[c][j] + own(c))).sum()
            }
        };
        let divisor = match self.normalize {
            None => 1.0,
            Some(ScanNormalize::Sum) => read(self.values),
            Some(ScanNormalize::Max1) => read(self.values).abs().max(1.0),
        };
        (0..self.values).map(|j| read(j) / divisor).collect()
    }
}
