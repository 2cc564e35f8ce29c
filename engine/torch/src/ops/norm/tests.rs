//! Norms against plain loops.

use super::*;
use crate::testing::{close, close_tensors, floats, random};

/// Every group of `width` numbers through `f`.
fn each(x: &[f32], width: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f32> {
    let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    wide.chunks(width)
        .flat_map(|row| f(row).into_iter().map(|x| x as f32))
        .collect()
}

fn times(x: &[f32], w: &[f32], offset: f32, b: Option<&[f32]>) -> Vec<f32> {
    let scaled = x.iter().enumerate().map(|(i, x)| x * (offset + w[i % w.len()]));
    scaled
        .enumerate()
        .map(|(i, x)| x + b.map_or(0.0, |b| b[i % b.len()]))
        .collect()
}

fn layer(row: &[f64], eps: f64) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let var = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    row.iter().map(|x| (x - mean) / (var + eps).sqrt()).collect()
}

fn rms(row: &[f64], eps: f64) -> Vec<f64> {
    let square = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
    row.iter().map(|x| x / (square + eps).sqrt()).collect()
}

#[test]
fn layer_norm_with_and_without_weights() {
    let (x, w, b) = (random(&[3, 4, 6], 1), random(&[6], 2), random(&[6], 3));
    let (xs, ws, bs) = (floats(&x), floats(&w), floats(&b));
    let plain = each(&xs, 6, |row| layer(row, 1e-5));
    let run = |w: Option<&Tensor>, b: Option<&Tensor>, offset, groups| {
        floats(&layer_norm(&x, w, b, 1e-5, offset, groups).unwrap())
    };
    close(&run(None, None, 0.0, 1), &plain, 1e-5);
    close(
        &run(Some(&w), Some(&b), 0.0, 1),
        &times(&plain, &ws, 0.0, Some(&bs)),
        1e-5,
    );
    close(&run(Some(&w), None, 1.0, 1), &times(&plain, &ws, 1.0, None), 1e-5);
    close(
        &run(None, Some(&b), 0.0, 1),
        &times(&plain, &[1.0], 0.0, Some(&bs)),
        1e-5,
    );
    let grouped = each(&xs, 3, |row| layer(row, 1e-5));
    close(
        &run(Some(&w), Some(&b), 0.0, 2),
        &times(&grouped, &ws, 0.0, Some(&bs)),
        1e-5,
    );
}

#[test]
fn rms_norm_with_offset_and_groups() {
    let (x, w) = (random(&[5, 8], 1), random(&[8], 2));
    let (xs, ws) = (floats(&x), floats(&w));
    for (groups, width) in [(1, 8), (4, 2)] {
        let plain = each(&xs, width, |row| rms(row, 1e-6));
        close(&floats(&rms_norm(&x, None, 1e-6, 0.0, groups).unwrap()), &plain, 1e-5);
        let found = rms_norm(&x, Some(&w), 1e-6, 1.0, groups).unwrap();
        close(&floats(&found), &times(&plain, &ws, 1.0, None), 1e-5);
    }
}

#[test]
fn a_long_row_loses_nothing() {
    let x = random(&[2, 16384], 7);
    let expected = each(&floats(&x), 16384, |row| rms(row, 1e-6));
    close(&floats(&rms_norm(&x, None, 1e-6, 0.0, 1).unwrap()), &expected, 1e-6);
}

#[test]
fn a_single_row_is_normed_as_a_whole() {
    let (x, w) = (random(&[8], 1), random(&[8], 2));
    let expected = times(&each(&floats(&x), 8, |row| rms(row, 1e-6)), &floats(&w), 0.0, None);
    let found = rms_norm(&x, Some(&w), 1e-6, 0.0, 1).unwrap();
    assert_eq!(found.size(), [8]);
    close(&floats(&found), &expected, 1e-5);
    assert!(rms_norm(&random(&[3, 8], 1), Some(&random(&[3, 8], 2)), 1e-6, 0.0, 1).is_err());
}

#[test]
fn many_rows_are_normed_block_by_block() {
    let (x, w) = (random(&[301, 4096], 1), random(&[4096], 2));
    let expected = times(&each(&floats(&x), 4096, |row| rms(row, 1e-6)), &floats(&w), 0.0, None);
    close(&floats(&rms_norm(&x, Some(&w), 1e-6, 0.0, 1).unwrap()), &expected, 1e-6);
}

#[test]
fn a_weight_per_head_broadcasts() {
    let (x, w) = (random(&[2, 3, 4], 1), random(&[3, 4], 2));
    let plain = each(&floats(&x), 4, |row| rms(row, 1e-6));
    let found = rms_norm(&x, Some(&w), 1e-6, 0.0, 1).unwrap();
    close(&floats(&found), &times(&plain, &floats(&w), 0.0, None), 1e-5);
    let plain = each(&floats(&x), 4, |row| layer(row, 1e-6));
    let found = layer_norm(&x, Some(&w), None, 1e-6, 0.0, 1).unwrap();
    close(&floats(&found), &times(&plain, &floats(&w), 0.0, None), 1e-5);
}

#[test]
fn half_precision_is_computed_in_f32() {
    let (x, w, b) = (
        random(&[3, 64], 1).to_kind(Kind::BFloat16),
        random(&[64], 2),
        random(&[64], 3),
    );
    let wide = x.to_kind(Kind::Float);
    for (w, b) in [(Some(&w), Some(&b)), (Some(&w), None), (None, None)] {
        let found = layer_norm(&x, w, b, 1e-5, 0.0, 1).unwrap();
        assert_eq!(found.kind(), Kind::BFloat16);
        let expected = layer_norm(&wide, w, b, 1e-5, 0.0, 1).unwrap().to_kind(Kind::BFloat16);
        close_tensors(&found, &expected, 0.004);
    }
    let found = rms_norm(&x, Some(&w), 1e-5, 1.0, 1).unwrap();
    let expected = rms_norm(&wide, Some(&w), 1e-5, 1.0, 1).unwrap().to_kind(Kind::BFloat16);
    close_tensors(&found, &expected, 0.0);
}

#[test]
fn l2_norm_and_normalize() {
    let x = random(&[4, 5], 1).abs();
    let xs = floats(&x);
    let unit = each(&xs, 5, |row| {
        let length = (row.iter().map(|x| x * x).sum::<f64>() + 0.1).sqrt();
        row.iter().map(|x| x / length).collect()
    });
    close(&floats(&l2_norm(&x, 0.1).unwrap()), &unit, 1e-6);
    let share = each(&xs, 5, |row| {
        let sum = row.iter().sum::<f64>() + 0.1;
        row.iter().map(|x| x / sum).collect()
    });
    close(&floats(&normalize(&x, 0.1).unwrap()), &share, 1e-6);
}

#[test]
fn groups_that_do_not_fit_are_errors() {
    assert!(
        rms_norm(&random(&[2, 6], 1), None, 1e-6, 0.0, 4)
            .unwrap_err()
            .0
            .contains("4 equal groups")
    );
    assert!(rms_norm(&random(&[2, 6], 1), Some(&random(&[5], 1)), 1e-6, 0.0, 1).is_err());
    assert!(l2_norm(&Tensor::from(1.0f32), 0.0).is_err());
}
