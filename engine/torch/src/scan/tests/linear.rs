//! `linear_scan`.

use super::super::{ScanInputs, linear_scan, linear_scan_within};
use super::{LENGTHS, decays, error, numbers, offsets, uniform};
use sli_model::ScanNormalize;
use tch::{Kind, Tensor};

/// Owned inputs of a scan.
struct Case {
    q: Option<Tensor>,
    k: Option<Tensor>,
    v: Tensor,
    decay: Option<Tensor>,
    beta: Option<Tensor>,
    erase: Option<(Tensor, Tensor)>,
    bonus: Option<Tensor>,
    gain: Option<Tensor>,
    normalize: Option<ScanNormalize>,
}

impl Case {
    /// q, k, v of a batch without anything else.
    fn new(seed: u64, rows: i64, [g, h, k, v]: [i64; 4]) -> Case {
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

    fn inputs(&self) -> ScanInputs<'_> {
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

    fn run(&self, offsets: &[i64]) -> Tensor {
        linear_scan(&self.inputs(), offsets).unwrap()
    }

    /// Every tensor of the case replaced.
    fn map(&self, f: impl Fn(&Tensor, bool) -> Tensor) -> Case {
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
    fn rows(&self, start: i64, count: i64) -> Case {
        self.map(|x, rows| {
            if rows {
                x.narrow(0, start, count)
            } else {
                x.shallow_clone()
            }
        })
    }

    /// The definition, token by token, in f64 and without any trick against overflow.
    fn loop_over_tokens(&self, offsets: &[i64]) -> Vec<f64> {
        let size = self.v.size();
        let (n, h, vs) = (size[0], size[1], size[2]);
        let of_q = self.q.as_ref().or(self.k.as_ref()).map_or(vec![n, 1, 1], Tensor::size);
        let ks = of_q[2];
        let per_head = |x: &Tensor| numbers(&x.repeat_interleave_self_int(h / of_q[1], 1, None));
        let ones = Tensor::ones(&of_q[..], (Kind::Double, tch::Device::Cpu));
        let wide = |x: &Option<Tensor>, shape: &[i64], default: f64| match x {
            Some(x) => numbers(&x.expand(shape, false)),
            None => vec![default; shape.iter().product::<i64>() as usize],
        };
        let q = per_head(self.q.as_ref().unwrap_or(&ones));
        let k = per_head(self.k.as_ref().unwrap_or(&ones));
        let v = numbers(&self.v);
        let w = wide(&self.decay, &[n, h, ks], 0.0);
        let gain = wide(&self.gain, &[n, h, 1], 0.0);
        let beta = self.beta.as_ref().map(|x| numbers(&x.expand([n, h, 1], false)));
        let erase = self.erase.as_ref().map(|(a, b)| (per_head(a), per_head(b)));
        let bonus = self.bonus.as_ref().map(|x| numbers(&x.expand([h, ks], false)));
        let (h, ks, vs) = (h as usize, ks as usize, vs as usize);
        let mut out = vec![0.0; v.len()];
        for pair in offsets.windows(2) {
            for head in 0..h {
                // One more value that is always 1 gives the normaliser.
                let mut s = vec![vec![0.0; vs + 1]; ks];
                for t in pair[0] as usize..pair[1] as usize {
                    let kt = &k[(t * h + head) * ks..][..ks];
                    let qt = &q[(t * h + head) * ks..][..ks];
                    let mut vt = v[(t * h + head) * vs..][..vs].to_vec();
                    vt.push(1.0);
                    let old = s.clone();
                    let through = |x: &[f64], s: &[Vec<f64>], j: usize| -> f64 {
                        x.iter().zip(s).map(|(x, row)| x * row[j]).sum()
                    };
                    for (c, row) in s.iter_mut().enumerate() {
                        let decay = w[(t * h + head) * ks + c].exp();
                        row.iter_mut().for_each(|x| *x *= decay);
                    }
                    let decayed = s.clone();
                    for j in 0..=vs {
                        let value = match &beta {
                            Some(b) => b[t * h + head] * (vt[j] - through(kt, &decayed, j)),
                            None => gain[t * h + head].exp() * vt[j],
                        };
                        for c in 0..ks {
                            s[c][j] += kt[c] * value;
                            if let Some((a, b)) = &erase {
                                let at = (t * h + head) * ks;
                                s[c][j] += b[at + c] * through(&a[at..at + ks], &old, j);
                            }
                        }
                    }
                    let read = |j: usize| match &bonus {
                        None => through(qt, &s, j),
                        Some(u) => (0..ks)
                            .map(|c| {
                                let own = kt[c] * gain[t * h + head].exp() * vt[j];
                                qt[c] * (old[c][j] + u[head * ks + c] * own)
                            })
                            .sum(),
                    };
                    let divisor = match self.normalize {
                        None => 1.0,
                        Some(ScanNormalize::Sum) => read(vs),
                        Some(ScanNormalize::Max1) => read(vs).abs().max(1.0),
                    };
                    for j in 0..vs {
                        out[(t * h + head) * vs + j] = read(j) / divisor;
                    }
                }
            }
        }
        out
    }
}

const ROWS: i64 = 328;

/// The variants with the names of the models that use them.
fn cases() -> Vec<(&'static str, Case)> {
    let unit = |x: Tensor| &x / x.square().sum_dim_intlist([-1i64].as_slice(), true, None).sqrt();
    let mut cases = Vec::new();
    let mut add = |name, case| cases.push((name, case));
    add("no decay", Case::new(1, ROWS, [2, 2, 5, 4]));
    let mut c = Case::new(10, ROWS, [4, 4, 8, 6]);
    c.decay = Some(uniform(13, &[4, 1], -0.2, 0.0));
    add("RetNet: constant decay", c);
    let mut c = Case::new(20, ROWS, [2, 6, 8, 5]);
    c.decay = Some(decays(23, &[ROWS, 6, 1]));
    add("Mamba-2: decay per head, shared q and k", c);
    let mut c = Case::new(30, ROWS, [2, 2, 8, 5]);
    c.decay = Some(decays(33, &[ROWS, 2, 1]));
    c.bonus = Some(uniform(34, &[2, 8], -1.0, 3.0));
    add("decay per head and bonus", c);
    let mut c = Case::new(40, ROWS, [1, 4, 8, 5]);
    c.decay = Some(decays(43, &[ROWS, 4, 1]));
    c.bonus = Some(uniform(44, &[4, 8], -1.0, 3.0));
    add("decay per head, shared q and k, bonus", c);
    let mut c = Case::new(50, ROWS, [3, 3, 16, 5]);
    c.decay = Some(decays(53, &[ROWS, 3, 16]));
    add("GLA: decay per channel", c);
    let mut c = Case::new(60, ROWS, [1, 3, 16, 5]);
    c.decay = Some(decays(63, &[ROWS, 3, 16]));
    add("decay per channel, shared q and k", c);
    let mut c = Case::new(70, ROWS, [3, 3, 16, 5]);
    c.decay = Some(decays(73, &[3, 16]));
    c.bonus = Some(uniform(74, &[3, 16], -1.0, 3.0));
    add("RWKV-5: constant decay per channel, bonus", c);
    let mut c = Case::new(80, ROWS, [3, 3, 16, 5]);
    c.decay = Some(decays(83, &[ROWS, 3, 16]));
    c.bonus = Some(uniform(84, &[3, 16], -1.0, 3.0));
    add("RWKV-6: decay per channel, bonus", c);
    for (name, seed, g, decay) in [
        ("delta rule", 90, 3, None),
        (
            "gated delta rule, shared q and k",
            100,
            1,
            Some(decays(103, &[ROWS, 3, 1])),
        ),
        (
            "KDA: delta rule, decay per channel",
            110,
            3,
            Some(decays(113, &[ROWS, 3, 16])),
        ),
    ] {
        let mut c = Case::new(seed, ROWS, [g, 3, 16, 5]);
        c.k = c.k.map(unit);
        c.decay = decay;
        c.beta = Some(uniform(seed + 4, &[ROWS, 3, 1], 0.0, 1.5));
        add(name, c);
    }
    let mut c = Case::new(120, ROWS, [3, 3, 16, 5]);
    let key = unit(uniform(123, &[ROWS, 3, 16], -1.0, 1.0));
    c.erase = Some((-&key, key * uniform(124, &[ROWS, 3, 16], 0.0, 1.0)));
    c.decay = Some(decays(125, &[ROWS, 3, 16]));
    add("RWKV-7", c);
    let mut c = Case::new(130, ROWS, [3, 3, 8, 5]);
    c.gain = Some(uniform(133, &[ROWS, 3, 1], -15.0, 15.0));
    c.decay = Some(decays(134, &[ROWS, 3, 1]));
    c.normalize = Some(ScanNormalize::Max1);
    add("mLSTM", c);
    let mut c = Case::new(140, ROWS, [3, 3, 8, 5]);
    c.gain = Some(uniform(143, &[ROWS, 3, 1], -2.0, 2.0));
    c.decay = Some(uniform(144, &[ROWS, 3, 1], -0.1, 0.0));
    add("gain alone", c);
    let mut c = Case::new(150, ROWS, [2, 4, 8, 5]);
    c.q = c.q.map(|q| q.abs());
    c.k = c.k.map(|k| k.abs());
    c.bonus = Some(uniform(154, &[4, 8], 0.1, 3.0));
    c.decay = Some(decays(155, &[ROWS, 4, 1]));
    c.normalize = Some(ScanNormalize::Sum);
    add("normalised by the sum, bonus", c);
    let mut c = Case::new(170, ROWS, [2, 6, 1, 1]);
    c.gain = Some(uniform(173, &[ROWS, 6, 1], -3.0, 3.0));
    c.decay = Some(decays(174, &[ROWS, 6, 1]));
    c.normalize = Some(ScanNormalize::Max1);
    add("gained numbers with q and k", c);
    let mut c = Case::new(180, ROWS, [1, 6, 1, 1]);
    (c.q, c.k) = (None, None);
    c.gain = Some(uniform(183, &[ROWS, 6, 1], -5.0, 2.0));
    c.decay = Some(decays(184, &[ROWS, 6, 1]));
    c.normalize = Some(ScanNormalize::Max1);
    add("gained numbers", c);
    let mut c = Case::new(160, ROWS, [1, 24, 1, 1]);
    (c.q, c.k) = (None, None);
    c.v = c.v.abs();
    c.gain = Some(uniform(163, &[ROWS, 24, 1], -300.0, 300.0));
    c.decay = Some(decays(164, &[24, 1]));
    c.bonus = Some(uniform(165, &[24, 1], -2.0, 2.0).exp());
    c.normalize = Some(ScanNormalize::Sum);
    add("RWKV-4", c);
    cases
}

#[test]
fn all_forms_agree_with_a_loop_over_tokens() {
    let offsets = offsets(&LENGTHS);
    assert_eq!(offsets[LENGTHS.len()], ROWS);
    for (name, case) in cases() {
        let e = error(&case.run(&offsets), &case.loop_over_tokens(&offsets));
        assert!(e <= 1e-5, "{name}: relative error {e:.2e}");
    }
}

#[test]
fn a_sequence_alone_equals_the_same_one_packed() {
    let offsets = offsets(&LENGTHS);
    for (name, case) in cases() {
        let packed = case.run(&offsets);
        for pair in offsets.windows(2) {
            let (start, count) = (pair[0], pair[1] - pair[0]);
            let alone = case.rows(start, count).run(&[0, count]);
            let there = numbers(&packed.narrow(0, start, count));
            let e = if count == 0 { 0.0 } else { error(&alone, &there) };
            assert!(e <= 1e-6, "{name}: {count} tokens alone differ by {e:.2e}");
        }
    }
}

#[test]
fn the_size_of_the_blocks_does_not_matter() {
    let offsets = offsets(&[10, 200, 0, 70, 48]);
    for (name, case) in cases() {
        let whole = numbers(&case.run(&offsets));
        // One chunk per block, then a few.
        for bytes in [1, 400_000] {
            let y = linear_scan_within(&case.inputs(), &offsets, bytes).unwrap();
            let e = error(&y, &whole);
            assert!(e <= 1e-6, "{name}: blocks of {bytes} bytes differ by {e:.2e}");
        }
    }
}

#[test]
fn an_empty_batch_gives_an_empty_result() {
    for (name, case) in cases() {
        let empty = case.rows(0, 0);
        assert_eq!(empty.run(&[0]).size(), empty.v.size(), "{name}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let (mut both, mut fits) = (Case::new(1, 4, [1, 2, 3, 3]), Case::new(1, 4, [1, 2, 3, 3]));
    both.beta = Some(Tensor::ones([4, 2, 1], (Kind::Float, tch::Device::Cpu)));
    both.bonus = Some(Tensor::ones([2, 3], (Kind::Float, tch::Device::Cpu)));
    let message = linear_scan(&both.inputs(), &[0, 4]).unwrap_err().to_string();
    assert!(message.contains("go with neither `bonus`"), "{message}");
    fits.k = Some(Tensor::ones([4, 2, 3], (Kind::Float, tch::Device::Cpu)));
    let message = linear_scan(&fits.inputs(), &[0, 4]).unwrap_err().to_string();
    assert!(
        message.contains("k is [4, 2, 3] and does not fit [4, 1, 3]"),
        "{message}"
    );
}

#[test]
fn half_precision_inputs_lose_only_the_rounding_of_the_result() {
    let offsets = offsets(&LENGTHS);
    for (name, case) in cases() {
        let half = case.map(|x, _| x.to_kind(Kind::BFloat16));
        let y = half.run(&offsets);
        assert_eq!(y.kind(), Kind::BFloat16, "{name}");
        let e = error(&y, &half.loop_over_tokens(&offsets));
        assert!(e <= 4.1e-3, "{name}: relative error {e:.2e}");
    }
}
