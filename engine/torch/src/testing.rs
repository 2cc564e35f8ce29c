//! Helpers of the unit tests: numbers that look random and comparisons.

use crate::Tensor;

/// `n` numbers between -1 and 1, the same for the same seed.
pub(crate) fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let mut next = || {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A tensor of noise.
pub(crate) fn random(shape: &[i64], seed: u64) -> tch::Tensor {
    let count = shape.iter().product::<i64>() as usize;
    Tensor::from_f32(&noise(count, seed), shape)
        .expect("the shape fits")
        .raw()
        .shallow_clone()
}

/// The elements as f32.
pub(crate) fn floats(x: &tch::Tensor) -> Vec<f32> {
    Tensor::own(x.shallow_clone()).to_f32_vec().expect("elements")
}

/// Fails unless every number is within `tolerance` of the expected one, relative to the largest.
#[track_caller]
pub(crate) fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "number of elements");
    let scale = expected
        .iter()
        .filter(|x| x.is_finite())
        .fold(1e-6f32, |m, x| m.max(x.abs()));
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        let same = f == e || (f - e).abs() <= tolerance * scale;
        assert!(same, "element {at}: {f}, {e} is expected (largest {scale})");
    }
}

/// The same for tensors, shapes included.
#[track_caller]
pub(crate) fn close_tensors(found: &tch::Tensor, expected: &tch::Tensor, tolerance: f32) {
    assert_eq!(found.size(), expected.size(), "shapes");
    close(&floats(found), &floats(expected), tolerance);
}
