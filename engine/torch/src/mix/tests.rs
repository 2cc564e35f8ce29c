//! Each mixer against its definition in f64, on ragged batches.

use super::*;
use tch::{Device, Kind, Tensor};

const LENGTHS: [i64; 7] = [5, 1, 0, 17, 2, 5, 40];
const ROWS: i64 = 70;

fn offsets() -> Vec<i64> {
    let mut offsets = vec![0];
    for n in LENGTHS {
        offsets.push(offsets[offsets.len() - 1] + n);
    }
    assert_eq!(offsets[LENGTHS.len()], ROWS);
    offsets
}

/// Deterministic numbers in -1 .. 1.
fn random(seed: usize, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let number = |i: usize| (((i + 1) * (seed * 7919 + 104_729)) % 10_007) as f32 / 5003.5 - 1.0;
    Tensor::from_slice(&(0..count).map(number).collect::<Vec<f32>>()).reshape(shape)
}

fn numbers(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
}

fn assert_close(found: &Tensor, wanted: &[f64], limit: f64) {
    let size = wanted.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let found = numbers(found);
    assert_eq!(found.len(), wanted.len());
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= limit * size, "number {i}: {f} instead of {w}");
    }
}

/// y[t, c] = f(t in the sequence, its length, x of the sequence and channel).
fn by_definition(x: &Tensor, f: impl Fn(i64, i64, i64, &dyn Fn(i64) -> f64) -> f64) -> Vec<f64> {
    let channels = x.size()[1];
    let xs = numbers(x);
    let mut y = vec![0.0; xs.len()];
    for (start, len) in sequences(&offsets()) {
        for t in 0..len {
            for c in 0..channels {
                let read = |s: i64| match (0..len).contains(&s) {
                    true => xs[((start + s) * channels + c) as usize],
                    false => 0.0,
                };
                y[((start + t) * channels + c) as usize] = f(start + t, t, c, &read);
            }
        }
    }
    y
}

#[test]
fn causal_conv1d_sees_only_its_own_sequence() {
    let (w, bias) = (random(2, &[6, 1, 4]), random(3, &[6]));
    let (ws, bs) = (numbers(&w), numbers(&bias));
    for (kind, limit) in [(Kind::Float, 1e-6), (Kind::BFloat16, 4e-3)] {
        let x = random(1, &[ROWS, 6]).to_kind(kind);
        let wanted = by_definition(&x, |_, t, c, x| {
            let c = c as usize;
            bs[c] + (0..4).map(|j| ws[c * 4 + j as usize] * x(t - 3 + j)).sum::<f64>()
        });
        let y = causal_conv1d(&x, &w, Some(&bias), &offsets()).unwrap();
        assert_eq!(y.kind(), kind);
        assert_close(&y, &wanted, limit);
    }
    let error = causal_conv1d(&random(1, &[ROWS, 5]), &w, None, &offsets()).unwrap_err();
    assert!(error.to_string().contains("x has 5 channels"), "{error}");
}

#[test]
fn a_nan_stays_in_its_sequence() {
    let x = random(1, &[ROWS, 6]);
    let _ = x.narrow(0, 6, 17).fill_(f64::NAN);
    let y = causal_conv1d(&x, &random(2, &[6, 1, 4]), None, &offsets()).unwrap();
    let wide = x.view([ROWS, 2, 3]);
    let z = dynamic_conv(&wide, &random(3, &[2, 9]), &offsets())
        .unwrap()
        .view([ROWS, 6]);
    for y in [y, z] {
        let rows = y.isnan().any_dim(1, false);
        assert_eq!(rows.to_kind(Kind::Int64).sum(None).int64_value(&[]), 17);
        assert_eq!(rows.narrow(0, 6, 17).all().int64_value(&[]), 1);
    }
}

#[test]
fn dynamic_conv_with_weights_per_token_and_shared_ones() {
    let x = random(1, &[ROWS, 6]);
    for shape in [&[ROWS, 2, 9][..], &[2, 9]] {
        let w = random(2, shape);
        let ws = numbers(&w.expand([ROWS, 2, 9], false));
        let wanted = by_definition(&x, |row, t, c, x| {
            let at = ((row * 2 + c / 3) * 9) as usize;
            (0..9).map(|j| ws[at + j as usize] * x(t + j - 4)).sum()
        });
        assert_close(
            &dynamic_conv(&x.view([ROWS, 2, 3]), &w, &offsets()).unwrap(),
            &wanted,
            1e-6,
        );
    }
    let error = dynamic_conv(&x.view([ROWS, 2, 3]), &random(1, &[2, 4]), &offsets()).unwrap_err();
    assert!(error.to_string().contains("an odd number"), "{error}");
}

#[test]
fn long_conv_agrees_with_the_sum() {
    let h = random(2, &[50, 6]);
    let hs = numbers(&h);
    for (kind, limit) in [(Kind::Float, 1e-6), (Kind::BFloat16, 4e-3)] {
        let x = random(1, &[ROWS, 6]).to_kind(kind);
        let wanted = by_definition(&x, |_, t, c, x| {
            (0..=t).map(|s| hs[((t - s) * 6 + c) as usize] * x(s)).sum()
        });
        assert_close(&long_conv(&x, &h, &offsets()).unwrap(), &wanted, limit);
        // One channel and one sequence at a time.
        let small = long::convolve(&x, &offsets(), 1, |first, width, len| {
            Ok(h.narrow(1, first, width).narrow(0, 0, len.min(50)).tr())
        });
        assert_close(&small.unwrap(), &wanted, limit);
    }
    let error = long_conv(&random(1, &[ROWS, 6]), &h.narrow(0, 0, 39), &offsets()).unwrap_err();
    assert!(
        error.to_string().contains("39 taps, the longest sequence 40 tokens"),
        "{error}"
    );
}

#[test]
fn modal_conv_agrees_with_its_recurrence() {
    let x = random(1, &[ROWS, 6]);
    let (poles, residues) = (random(2, &[6, 3, 2]) * 0.7, random(3, &[6, 3, 2]));
    let (p, r, xs) = (numbers(&poles), numbers(&residues), numbers(&x));
    let mut wanted = vec![0.0; xs.len()];
    for (start, len) in sequences(&offsets()) {
        for at in 0..18 {
            let (mut re, mut im) = (0.0, 0.0);
            for t in start..start + len {
                let i = (t * 6) as usize + at / 3;
                let (pr, pi) = (p[2 * at], p[2 * at + 1]);
                (re, im) = (pr * re - pi * im + xs[i], pr * im + pi * re);
                wanted[i] += r[2 * at] * re - r[2 * at + 1] * im;
            }
        }
    }
    assert_close(&modal_conv(&x, &poles, &residues, &offsets()).unwrap(), &wanted, 2e-6);
}

#[test]
fn row_conv_for_strides_paddings_dilations_and_groups() {
    for (stride, padding, groups, dilation, taps) in [
        (1, (1, 1), 1, 1, 3),
        (2, (1, 1), 2, 1, 3),
        (3, (2, 0), 1, 2, 4),
        (1, (0, 0), 2, 1, 1),
    ] {
        let x = random(1, &[ROWS, 6]);
        let w = random(2, &[4, 6 / groups, taps]);
        let bias = random(3, &[4]);
        let stencil = Stencil {
            stride,
            padding,
            groups,
            dilation,
        };
        let (y, limits) = row_conv(&x, &w, Some(&bias), stencil, &offsets()).unwrap();
        assert_eq!(y.size(), [limits[LENGTHS.len()], 4]);
        for (i, pair) in offsets().windows(2).enumerate() {
            let count = pair[1] - pair[0];
            let places = count + padding.0 + padding.1 - dilation * (taps - 1) - 1;
            let outputs = if places < 0 || count == 0 {
                0
            } else {
                places / stride + 1
            };
            assert_eq!(limits[i + 1] - limits[i], outputs, "{stencil:?}, {count} rows");
            for o in 0..outputs {
                let mut wanted = numbers(&bias);
                for (b, sum) in wanted.iter_mut().enumerate() {
                    for a in 0..6 / groups {
                        for j in 0..taps {
                            let t = o * stride + j * dilation - padding.0;
                            if (0..count).contains(&t) {
                                let channel = b as i64 / (4 / groups) * (6 / groups) + a;
                                *sum += w.double_value(&[b as i64, a, j]) * x.double_value(&[pair[0] + t, channel]);
                            }
                        }
                    }
                }
                assert_close(&y.get(limits[i] + o), &wanted, 2e-6);
            }
        }
    }
}

#[test]
fn row_conv_of_sequences_shorter_than_its_taps_is_empty() {
    let stencil = Stencil {
        stride: 1,
        padding: (0, 0),
        groups: 1,
        dilation: 1,
    };
    let (x, w) = (random(1, &[3, 6]), random(2, &[4, 6, 3]));
    let (y, limits) = row_conv(&x, &w, None, stencil, &[0, 2, 3]).unwrap();
    assert_eq!((y.size(), limits), (vec![0, 4], vec![0, 0, 0]));
}

#[test]
fn fourier_is_the_real_part_of_the_transform() {
    let x = random(1, &[ROWS, 6]);
    let xs = numbers(&x);
    let mut wanted = vec![0.0; xs.len()];
    for (start, len) in sequences(&offsets()) {
        for (t, c) in (0..len).flat_map(|t| (0..6).map(move |c| (t, c))) {
            for (s, d) in (0..len).flat_map(|s| (0..6).map(move |d| (s, d))) {
                let turns = (t * s) as f64 / len as f64 + (c * d) as f64 / 6.0;
                wanted[((start + t) * 6 + c) as usize] +=
                    (std::f64::consts::TAU * turns).cos() * xs[((start + s) * 6 + d) as usize];
            }
        }
    }
    assert_close(&fourier(&x, &offsets()).unwrap(), &wanted, 1e-6);
    let half = fourier(&x.to_kind(Kind::BFloat16).to_device(Device::Cpu), &offsets()).unwrap();
    assert_eq!(half.kind(), Kind::BFloat16);
    assert_close(&half, &wanted, 1e-2);
}
