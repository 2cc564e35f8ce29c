//! Statistics against direct sums.

use super::*;
use crate::testing::noise;

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{a} and {b}");
}

fn direct(values: &[f64]) -> Moments {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let power = |p| values.iter().map(|x| (x - mean).powi(p)).sum::<f64>();
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Moments {
        count,
        mean,
        m2: power(2),
        m3: power(3),
        m4: power(4),
        min,
        max,
    }
}

fn same(a: &Moments, b: &Moments) {
    for (x, y) in [
        (a.count, b.count),
        (a.mean, b.mean),
        (a.m2, b.m2),
        (a.m3, b.m3),
        (a.m4, b.m4),
    ] {
        near(x, y);
    }
    assert_eq!((a.min, a.max), (b.min, b.max));
}

#[test]
fn pieces_give_the_moments_of_the_whole() {
    let (rows, width) = (50, 3);
    // a mean far from 0 is where sums of powers would fail
    let data: Vec<f32> = noise(rows * width, 5).iter().map(|x| x * x * x + 100.0).collect();
    let x = Tensor::from_f32(&data, &[rows as i64, width as i64]).unwrap();
    let mut all = Accumulator::new();
    all.update(&x.rows(0, 20).unwrap()).unwrap();
    let mut rest = Accumulator::new();
    rest.update(&x.rows(20, 30).unwrap()).unwrap();
    all.merge(&rest).unwrap();
    let summary = all.finish();
    for c in 0..width {
        let values: Vec<f64> = (0..rows).map(|r| f64::from(data[r * width + c])).collect();
        same(&summary.channels[c], &direct(&values));
    }
    let everything: Vec<f64> = data.iter().map(|x| f64::from(*x)).collect();
    same(&summary.total, &direct(&everything));
    near(
        summary.total.mean_square(),
        everything.iter().map(|x| x * x).sum::<f64>() / 150.0,
    );
}

#[test]
fn values_that_are_not_finite_are_counted_apart() {
    let x = Tensor::from_f32(&[1.0, f32::NAN, 3.0, 4.0, f32::INFINITY, 6.0], &[3, 2]).unwrap();
    let mut all = Accumulator::new();
    all.update(&x).unwrap();
    let summary = all.finish();
    assert_eq!(summary.not_finite, 2);
    same(&summary.channels[0], &direct(&[1.0, 3.0]));
    same(&summary.channels[1], &direct(&[4.0, 6.0]));
}

#[test]
fn a_loud_channel_is_an_outlier() {
    let x = Tensor::from_f32(&[1.0, -1.0, 50.0, 1.0, 1.0, -60.0], &[2, 3]).unwrap();
    let mut all = Accumulator::new();
    all.update(&x).unwrap();
    assert_eq!(all.finish().outlier_channels(6.0), [2]);
    assert!(all.update(&Tensor::from_f32(&[1.0], &[1, 1]).unwrap()).is_err());
}

#[test]
fn cosines_of_equal_opposite_and_zero_rows() {
    let a = Tensor::from_f32(&[1.0, 2.0, 1.0, 0.0, 0.0, 0.0], &[3, 2]).unwrap();
    let b = Tensor::from_f32(&[2.0, 4.0, -3.0, 0.0, 1.0, 0.0], &[3, 2]).unwrap();
    let cosines = cosine(&a, &b).unwrap();
    assert_eq!(cosines.count, 3);
    assert!(cosines.sum.abs() < 1e-6, "1 - 1 + 0");
    assert!((cosine(&a, &a).unwrap().sum - 2.0).abs() < 1e-6);
}

#[test]
fn experts_are_counted() {
    let index = Tensor::from_i64(&[0, 2, 2, 1], &[2, 2]).unwrap();
    assert_eq!(counts(&index, 4).unwrap(), [1, 1, 2, 0]);
    assert!(counts(&index, 2).is_err());
}
