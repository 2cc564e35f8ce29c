//! Matrix products against plain loops.

use super::*;
use crate::testing::{close, close_tensors, floats, random};

/// y[r, o] = sum_i x[r, i] w(o, i) + b[o].
fn product(
    x: &[f32],
    rows: usize,
    inner: usize,
    outer: usize,
    w: impl Fn(usize, usize) -> f32,
    b: Option<&[f32]>,
) -> Vec<f32> {
    let one = |r: usize, o: usize| {
        let sum: f64 = (0..inner)
            .map(|i| f64::from(x[r * inner + i]) * f64::from(w(o, i)))
            .sum();
        sum as f32 + b.map_or(0.0, |b| b[o])
    };
    (0..rows * outer).map(|at| one(at / outer, at % outer)).collect()
}

#[test]
fn linear_of_both_layouts() {
    let (x, w, b) = (random(&[5, 7], 1), random(&[3, 7], 2), random(&[3], 3));
    let (xs, ws, bs) = (floats(&x), floats(&w), floats(&b));
    let expected = product(&xs, 5, 7, 3, |o, i| ws[o * 7 + i], Some(&bs));
    close(
        &floats(&linear(&x, &w, Some(&b), false, Kind::Float).unwrap()),
        &expected,
        1e-6,
    );
    let turned = w.transpose(0, 1).contiguous();
    close(
        &floats(&linear(&x, &turned, Some(&b), true, Kind::Float).unwrap()),
        &expected,
        1e-6,
    );
    let heads = x.reshape([5, 1, 7]);
    assert_eq!(linear(&heads, &w, None, false, Kind::Float).unwrap().size(), [5, 1, 3]);
}

#[test]
fn one_matrix_per_head() {
    let (x, w, b) = (random(&[4, 2, 3], 1), random(&[2, 5, 3], 2), random(&[2, 5], 3));
    let (xs, ws, bs) = (floats(&x), floats(&w), floats(&b));
    let mut expected = Vec::new();
    for row in 0..4 {
        for head in 0..2 {
            let x = &xs[(row * 2 + head) * 3..][..3];
            expected.extend(product(
                x,
                1,
                3,
                5,
                |o, i| ws[(head * 5 + o) * 3 + i],
                Some(&bs[head * 5..][..5]),
            ));
        }
    }
    let found = linear(&x, &w, Some(&b), false, Kind::Float).unwrap();
    assert_eq!(found.size(), [4, 2, 5]);
    close(&floats(&found), &expected, 1e-6);
    let turned = w.transpose(1, 2).contiguous();
    close(
        &floats(&linear(&x, &turned, Some(&b), true, Kind::Float).unwrap()),
        &expected,
        1e-6,
    );
}

#[test]
fn convolution_weights_are_flattened() {
    let (x, w) = (random(&[2, 12], 1), random(&[5, 3, 2, 2], 2));
    let flat = linear(&x, &w.reshape([5, 12]), None, false, Kind::Float).unwrap();
    close_tensors(&linear(&x, &w, None, false, Kind::Float).unwrap(), &flat, 0.0);
}

#[test]
fn narrow_weights_are_converted_in_pieces() {
    let (x, w, b) = (
        random(&[3, 6], 1),
        random(&[4, 6], 2).to_kind(Kind::BFloat16),
        random(&[4], 3),
    );
    let whole = linear(&x, &w.to_kind(Kind::Float), Some(&b), false, Kind::Float).unwrap();
    close_tensors(&in_pieces(&x, &w, Some(&b), Kind::Float).unwrap(), &whole, 1e-6);
    // pieces of more than one: 64 MiB are 8192 rows of 2048
    let (x, w) = (random(&[1, 2048], 4), random(&[8200, 2048], 5).to_kind(Kind::BFloat16));
    let whole = linear(&x, &w.to_kind(Kind::Float), None, false, Kind::Float).unwrap();
    close_tensors(&linear(&x, &w, None, false, Kind::Float).unwrap(), &whole, 1e-5);
}

#[test]
fn half_precision_casts_x_and_bias() {
    let (x, w, b) = (random(&[3, 6], 1), random(&[4, 6], 2), random(&[4], 3));
    let wide = linear(&x, &w, Some(&b), false, Kind::Float).unwrap();
    let narrow = linear(&x, &w.to_kind(Kind::BFloat16), Some(&b), false, Kind::BFloat16).unwrap();
    assert_eq!(narrow.kind(), Kind::BFloat16);
    close(&floats(&narrow), &floats(&wide), 0.02);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let error = linear(&random(&[5, 7], 1), &random(&[3, 8], 2), None, false, Kind::Float).unwrap_err();
    assert!(error.0.contains("[5, 7]") && error.0.contains("[3, 8]"), "{error}");
    assert!(linear(&random(&[5, 7], 1), &random(&[7], 2), None, false, Kind::Float).is_err());
    assert!(linear(&random(&[5, 3, 7], 1), &random(&[2, 4, 7], 2), None, false, Kind::Float).is_err());
}

#[test]
fn embedding_looks_rows_up_and_refuses_others() {
    let table = random(&[4, 3], 1).to_kind(Kind::BFloat16);
    let found = embedding(&Tensor::from_slice(&[3i64, 0, 3]), &table, Kind::Float).unwrap();
    assert_eq!((found.kind(), found.size()), (Kind::Float, vec![3, 3]));
    let rows = floats(&table);
    assert_eq!(floats(&found), [&rows[9..], &rows[..3], &rows[9..]].concat());
    for id in [4i64, -1] {
        let error = embedding(&Tensor::from_slice(&[0i64, id]), &table, Kind::Float).unwrap_err();
        assert!(error.0.contains(&format!("id {id} ")), "{error}");
    }
    assert_eq!(
        embedding(&Tensor::from_slice::<i64>(&[]), &table, Kind::Float)
            .unwrap()
            .size(),
        [0, 3]
    );
}

#[test]
fn matmul_broadcasts_and_meets_in_the_compute_type() {
    let (a, b) = (random(&[2, 3, 4], 1), random(&[4, 5], 2));
    let found = matmul(&a, &b, Kind::BFloat16).unwrap();
    assert_eq!((found.kind(), found.size()), (Kind::Float, vec![2, 3, 5]));
    let (xs, ws) = (floats(&a), floats(&b));
    close(
        &floats(&found),
        &product(&xs, 6, 4, 5, |o, i| ws[i * 5 + o], None),
        1e-6,
    );
    assert_eq!(
        matmul(&a.to_kind(Kind::BFloat16), &b, Kind::BFloat16).unwrap().kind(),
        Kind::BFloat16
    );
    assert!(matmul(&a, &random(&[3, 5], 2), Kind::Float).is_err());
}
