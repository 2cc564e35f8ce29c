//! What depends on the distance of query and key alone: made for every distance of a tile once, then
//! laid out as its matrix.

use crate::error::Result;
use crate::kinds::cast;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The distances key - query of a tile, ascending, `[rows + keys - 1]` i64. They and their buckets are numbers
/// of the host: few, and the same whatever device computes.
pub(super) fn ahead(q: &Range<i64>, k: &Range<i64>) -> Result<Tensor> {
    Ok(Tensor::f_arange_start(
        k.start - (q.end - 1),
        k.end - q.start,
        (Kind::Int64, Device::Cpu),
    )?)
}

/// `[.., rows + keys - 1]` by ascending distance key - query -> `[.., rows, keys]`.
pub(super) fn spread(by_distance: &Tensor, rows: i64, keys: i64) -> Result<Tensor> {
    // entry (i, j) is distance number j - i + rows - 1: with the rows upside down, number i' + j
    let flat = by_distance.f_contiguous()?;
    let (mut size, mut stride) = (flat.size(), flat.stride());
    size.pop();
    stride.pop();
    size.extend([rows, keys]);
    stride.extend([1, 1]);
    Ok(flat.f_as_strided(size, stride, None)?.f_flip([-2])?)
}

/// The slope of each head (arXiv 2108.12409; heads beyond a power of two as its authors' code has them).
pub(super) fn alibi_slopes(heads: u64, max: f64) -> Vec<f32> {
    let n = if heads == 0 { 0 } else { 1u64 << heads.ilog2() };
    let slope = |j: u64| {
        let exponent = if j < n {
            -8.0 * (j + 1) as f64 / n as f64
        } else {
            -4.0 * (2 * (j - n) + 1) as f64 / n as f64
        };
        (exponent * max / 8.0).exp2() as f32
    };
    (0..heads).map(slope).collect()
}

/// T5's bucket of each distance key - query, i64 (arXiv 1910.10683). libtorch computes the logarithm, so
/// that distances at the edge of a bucket fall as they do in the reference.
pub(super) fn t5_buckets(d: &Tensor, buckets: i64, max_distance: i64, bidirectional: bool) -> Result<Tensor> {
    let (n, first, d) = if bidirectional {
        (
            buckets / 2,
            d.f_gt(0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(buckets / 2)?,
            d.f_abs()?,
        )
    } else {
        (buckets, d.f_zeros_like()?, d.f_neg()?.f_clamp_min(0)?)
    };
    let m = n / 2;
    let base = (max_distance as f64 / m as f64).ln();
    let log = cast(&d, Kind::Float)?.f_div_scalar(m as f64)?.f_log()?;
    let steps = log.f_div_scalar(base)?.f_mul_scalar((n - m) as f64)?;
    // a distance of 0 gives -inf, which the small branch replaces
    let far = steps
        .f_clamp_min(0.0)?
        .f_to_kind(Kind::Int64)?
        .f_add_scalar(m)?
        .f_clamp_max(n - 1)?;
    Ok(d.f_where_self(&d.f_lt(m)?, &far)?.f_add(&first)?)
}

/// DeBERTa's log bucket of each distance query - key, i64 (arXiv 2006.03654 and its v2 code), whose
/// logarithms are all libtorch's, for the same reason.
pub(super) fn deberta_buckets(d: &Tensor, n: i64, max_distance: i64) -> Result<Tensor> {
    let m = n / 2;
    let base = Tensor::f_from_slice(&[((max_distance - 1) as f64 / m as f64) as f32])?.f_log()?;
    let log = cast(&d.f_abs()?, Kind::Float)?.f_div_scalar(m as f64)?.f_log()?;
    let steps = log
        .f_div(&base)?
        .f_mul_scalar((m - 1) as f64)?
        .f_ceil()?
        .f_clamp_min(0.0)?;
    let far = steps.f_to_kind(Kind::Int64)?.f_add_scalar(m)?.f_mul(&d.f_sign()?)?;
    Ok(d.f_where_self(&d.f_abs()?.f_le(m)?, &far)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor as Shared;

    fn ints(t: Tensor) -> Vec<i64> {
        Shared::own(t).to_i64_vec().unwrap()
    }

    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(alibi_slopes(8, 8.0)[..3], [0.5, 0.25, 0.125]);
        // 12 heads: the 8 of a power of two, then every other one of 16
        let twelve = alibi_slopes(12, 8.0);
        assert_eq!(twelve[7], 1.0 / 256.0);
        assert!((twelve[8] - 0.5f32.sqrt()).abs() < 1e-7 && (twelve[9] - 0.5f32.powf(1.5)).abs() < 1e-7);
        assert_eq!(alibi_slopes(2, 16.0), [1.0 / 256.0, 1.0 / 65536.0]);
    }

    #[test]
    fn distances_are_spread_as_a_matrix() {
        let d = ahead(&(3..5), &(1..4)).unwrap();
        assert_eq!(ints(spread(&d, 2, 3).unwrap()), [-2, -1, 0, -3, -2, -1]);
    }

    #[test]
    fn t5_buckets_follow_the_definition() {
        let d = Tensor::from_slice(&[-200i64, -20, -16, -8, -7, 0, 1, 7, 8, 127, 128]);
        // n = 16, m = 8: 8 is the first of the log buckets, 16 = 8 * 128^(1/4)/..: 8 + floor(ln 2 / ln 16 * 8) = 10
        assert_eq!(
            ints(t5_buckets(&d, 32, 128, true).unwrap()),
            [15, 10, 10, 8, 7, 0, 17, 23, 24, 31, 31]
        );
        assert_eq!(
            ints(t5_buckets(&d, 16, 128, false).unwrap()),
            [15, 10, 10, 8, 7, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn deberta_buckets_follow_the_definition() {
        // n = 8, m = 4, max_distance = 16: 4 + ceil(3 ln(d / 4) / ln(15 / 4))
        let d = Tensor::from_slice(&[-15i64, -6, -5, -4, -1, 0, 3, 4, 5, 9, 15]);
        assert_eq!(
            ints(deberta_buckets(&d, 8, 16).unwrap()),
            [-7, -5, -5, -4, -1, 0, 3, 4, 5, 6, 7]
        );
    }
}
