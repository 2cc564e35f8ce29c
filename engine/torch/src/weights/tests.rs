//! Pieces of stored tensors against plain loops.

use super::*;
use crate::testing::noise;
use sli_model::bind::{Index, Rows};

const E: usize = 3;
const R: usize = 4;
const C: usize = 5;

fn stored(shape: &[i64]) -> (Tensor, Vec<f32>) {
    let data = noise(shape.iter().product::<i64>() as usize, 7);
    (Tensor::from_f32(&data, shape).unwrap(), data)
}

fn piece(at: u64, transposed: bool, rows: (u64, u64, u64), shape: &[u64]) -> Piece {
    let (start, len, step) = rows;
    Piece {
        tensor: 0,
        index: Some(Index { at, of: E as u64 }),
        transposed,
        rows: Some(Rows { start, len, step }),
        shape: shape.to_vec(),
    }
}

#[test]
fn a_piece_is_a_view_of_the_rows_of_one_index() {
    for shape in [vec![E as i64, R as i64, C as i64], vec![(E * R) as i64, C as i64]] {
        let (whole, data) = stored(&shape);
        let found = whole.piece(&piece(1, false, (2, 2, 1), &[2, C as u64])).unwrap();
        let expected: Vec<f32> = (2..4)
            .flat_map(|r| (0..C).map(move |c| (R + r) * C + c))
            .map(|at| data[at])
            .collect();
        assert_eq!(found.to_f32_vec().unwrap(), expected);
        let offset = found.raw().data_ptr() as usize - whole.raw().data_ptr() as usize;
        assert_eq!(offset, (R + 2) * C * 4, "no copy");
    }
}

#[test]
fn turned_and_alternating_pieces_take_every_second_column() {
    let (whole, data) = stored(&[E as i64, R as i64, C as i64 + 1]);
    let found = whole.piece(&piece(2, true, (1, 3, 2), &[3, R as u64])).unwrap();
    let width = C + 1;
    let expected: Vec<f32> = (0..3)
        .flat_map(|k| (0..R).map(move |r| (2 * R + r) * width + 1 + 2 * k))
        .map(|at| data[at])
        .collect();
    assert_eq!(found.to_f32_vec().unwrap(), expected);
}

#[test]
fn a_piece_of_another_shape_is_refused() {
    let (whole, _) = stored(&[E as i64, R as i64, C as i64]);
    let error = whole
        .piece(&piece(0, false, (0, 2, 1), &[2, C as u64 + 1]))
        .unwrap_err();
    assert!(error.to_string().contains("[2, 5], not [2, 6]"), "{error}");
}
