//! Routing against plain sorts.

use super::*;
use crate::Tensor as Shared;
use crate::testing::{close, floats, random};

fn ints(t: &Tensor) -> Vec<i64> {
    Shared::own(t.shallow_clone()).to_i64_vec().unwrap()
}

#[test]
fn equal_scores_go_to_the_lower_index() {
    let (index, value) = top_k(&Tensor::from_slice(&[1.0f32, 3.0, 3.0, 2.0, 3.0]).unsqueeze(0), 4).unwrap();
    assert_eq!(
        (ints(&index), floats(&value)),
        (vec![1, 2, 4, 3], vec![3.0, 3.0, 3.0, 2.0])
    );
    assert!(top_k(&random(&[2, 3], 1), 4).is_err());
    // wide rows, where an unstable sort would show
    let (index, _) = top_k(&Tensor::zeros([3, 300], (Kind::Float, tch::Device::Cpu)), 8).unwrap();
    assert_eq!(ints(&index), [[0, 1, 2, 3, 4, 5, 6, 7]; 3].concat());
}

#[test]
fn gather_of_rows_and_of_a_vector() {
    let index = Tensor::from_slice(&[1i64, 0, 2, 2]).reshape([2, 2]);
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([2, 3]);
    assert_eq!(floats(&gather(&x, &index).unwrap()), [2.0, 1.0, 6.0, 6.0]);
    assert_eq!(
        floats(&gather(&Tensor::from_slice(&[5.0f32, 6.0, 7.0]), &index).unwrap()),
        [6.0, 5.0, 7.0, 7.0]
    );
    assert!(gather(&x, &Tensor::from_slice(&[1i64])).is_err());
}

#[test]
fn only_the_best_groups_stay() {
    let x = Tensor::from_slice(&[1.0f32, 9.0, 6.0, 5.0, 8.0, 1.5]).reshape([1, 6]);
    let hidden = f32::NEG_INFINITY;
    // by the best: 9, 6, 8; by both: 10, 11, 9.5
    let best = group_limit(&x, 3, 2, 1).unwrap();
    assert_eq!(floats(&best), [1.0, 9.0, hidden, hidden, 8.0, 1.5]);
    let both = group_limit(&x, 3, 1, 2).unwrap();
    assert_eq!(floats(&both), [hidden, hidden, 6.0, 5.0, hidden, hidden]);
    assert!(group_limit(&x, 4, 1, 1).is_err() && group_limit(&x, 3, 4, 1).is_err());
}

/// The rounds of the router by its definition.
fn mixed(row: &[f64], k: usize, eps: f64) -> (Vec<i64>, Vec<f32>) {
    let (mut taken, mut index, mut value) = (vec![], vec![], vec![]);
    for _ in 0..k {
        let left: Vec<usize> = (0..row.len()).filter(|e| !taken.contains(e)).collect();
        let best = left
            .iter()
            .copied()
            .reduce(|a, b| if row[b] > row[a] { b } else { a })
            .unwrap();
        let near = |e: &&usize| (row[best] - row[**e]) / row[**e].abs().max(row[best]) <= 2.0 * eps;
        let sum: f64 = left.iter().filter(near).map(|e| (row[*e] - row[best]).exp()).sum();
        value.push((1.0 / sum) as f32);
        index.push(best as i64);
        taken.push(best);
    }
    (index, value)
}

#[test]
fn the_sparse_mixer_follows_its_definition() {
    let x = random(&[20, 6], 3);
    let (index, value) = sparse_mixer(&x, 2, 0.1).unwrap();
    let xs = floats(&x);
    let rows = xs
        .chunks(6)
        .map(|row| mixed(&row.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), 2, 0.1));
    let (expected_index, expected_value): (Vec<_>, Vec<_>) = rows.unzip();
    assert_eq!(ints(&index), expected_index.concat());
    close(&floats(&value), &expected_value.concat(), 1e-6);
    assert!(sparse_mixer(&x, 0, 0.1).is_err());
}
