//! The chunked forms against loops over single tokens in f64, on random ragged batches.

mod by_token;
mod case;
mod linear;
mod order;

use tch::{Device, Kind, Tensor};

/// Lengths around the limits of the chunks, one that several small blocks share, and an empty one.
const LENGTHS: [i64; 8] = [65, 1, 64, 0, 130, 2, 63, 3];

/// Their sum.
const ROWS: i64 = 328;

/// Limits of sequences of these lengths.
fn offsets(lengths: &[i64]) -> Vec<i64> {
    let mut offsets = vec![0];
    for n in lengths {
        offsets.push(offsets[offsets.len() - 1] + n);
    }
    offsets
}

/// Uniform numbers in lo .. hi, the same for the same seed (splitmix64).
fn uniform(seed: u64, shape: &[i64], lo: f64, hi: f64) -> Tensor {
    let count = shape.iter().product::<i64>() as u64;
    let numbers: Vec<f32> = (0..count)
        .map(|i| {
            let mut z = (seed << 32).wrapping_add(i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
            (lo + (hi - lo) * unit) as f32
        })
        .collect();
    Tensor::from_slice(&numbers).reshape(shape)
}

/// Log decays between -60 and 0, most of them weak.
fn decays(seed: u64, shape: &[i64]) -> Tensor {
    uniform(seed, shape, 0.0, 1.0).pow_tensor_scalar(6) * -60.0
}

/// The elements in f64.
fn numbers(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).to_device(Device::Cpu).contiguous().view(-1)).unwrap()
}

/// The largest error of a vector (the last dim) relative to its largest element. Vectors much
/// smaller than the typical one, where the sum cancels, count relative to a tenth of the latter.
fn error(found: &Tensor, wanted: &[f64]) -> f64 {
    assert_eq!(found.numel(), wanted.len());
    let width = found.size().last().map_or(1, |&w| w as usize);
    let found = numbers(found);
    let square = wanted.iter().map(|x| x * x).sum::<f64>() / wanted.len() as f64;
    let mut worst = 0.0;
    for (f, w) in found.chunks(width).zip(wanted.chunks(width)) {
        let size = w.iter().fold(0.1 * square.sqrt(), |m, x| m.max(x.abs()));
        for (f, w) in f.iter().zip(w) {
            let e = (f - w).abs() / size;
            worst = if e <= worst { worst } else { e };
        }
    }
    worst
}
