//! Operations along sequences.

use super::*;
use crate::testing::{close, floats};

fn rows(lengths: &[i64]) -> (Tensor, RowSet) {
    let set = RowSet::from_lengths(lengths).unwrap();
    let x = Tensor::arange_start(1, set.len() + 1, (Kind::Float, tch::Device::Cpu));
    (x.unsqueeze(1), set)
}

#[test]
fn shifts_stay_within_a_sequence() {
    let (x, set) = rows(&[3, 1, 2]);
    for (n, expected) in [
        (1, [0.0, 1.0, 2.0, 0.0, 0.0, 5.0]),
        (2, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
        (-1, [2.0, 3.0, 0.0, 0.0, 6.0, 0.0]),
        (0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        (9, [0.0; 6]),
        (-5, [0.0; 6]),
    ] {
        assert_eq!(floats(&shift(&x, n, &set).unwrap()), expected, "by {n}");
    }
    assert!(shift(&x.narrow(0, 0, 5), 1, &set).is_err());
}

#[test]
fn first_last_and_mean_of_each_sequence() {
    let (x, set) = rows(&[3, 1, 2]);
    assert_eq!(floats(&end_token(&x, false, &set).unwrap()), [1.0, 4.0, 5.0]);
    assert_eq!(floats(&end_token(&x, true, &set).unwrap()), [3.0, 4.0, 6.0]);
    let means = mean_rows(&x, &set).unwrap();
    assert_eq!(means.size(), [3, 1]);
    close(&floats(&means), &[2.0, 4.0, 5.5], 0.0);
}

#[test]
fn the_index_of_a_token() {
    let set = RowSet::from_lengths(&[3, 2]).unwrap();
    let tokens = Shared::from_i64(&[7, 2, 2, 5, 7], &[5]).unwrap();
    assert_eq!(
        floats(&first_index(&tokens, 2, &set).unwrap()),
        [1.0, 1.0, 1.0, 2.0, 2.0]
    );
}

#[test]
fn distances_reach_as_far_as_the_longest() {
    let set = RowSet::from_lengths(&[1, 2]).unwrap();
    assert_eq!(floats(&distances(&set).unwrap()), [-2.0, -1.0, 0.0, 1.0, 2.0]);
}

#[test]
fn a_rest_joins_the_last_block() {
    let (x, set) = rows(&[5, 1, 4]);
    let (sums, blocks) = block_sums(&x, 2, &set).unwrap();
    assert_eq!(floats(&sums), [3.0, 12.0, 15.0, 19.0]);
    assert_eq!(blocks.offsets(), [0, 2, 2, 4]);
}

#[test]
fn the_last_index_of_a_token_or_of_any_other() {
    let set = RowSet::from_lengths(&[4, 2]).unwrap();
    let tokens = Shared::from_i64(&[7, 1, 7, 1, 1, 1], &[6]).unwrap();
    let found = |id, not| last_index(&tokens, id, not, &set).unwrap();
    let ints = |t: Tensor| Vec::<i64>::try_from(t).unwrap();
    assert_eq!(ints(found(7, false)), [2, 2, 2, 2, 0, 0]);
    assert_eq!(ints(found(1, true)), [2, 2, 2, 2, 0, 0]);
    assert_eq!(ints(found(1, false)), [3, 3, 3, 3, 1, 1]);
}

#[test]
fn a_row_of_each_sequence_and_back_to_all_rows() {
    let set = RowSet::from_lengths(&[3, 2]).unwrap();
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0]).reshape([5, 1]);
    let index = Shared::from_i64(&[2, 2, 2, 0, 0], &[5]).unwrap();
    let rows = row_at(&x, &index, &set).unwrap();
    assert_eq!(Vec::<f32>::try_from(rows.reshape([-1])).unwrap(), [3.0, 4.0]);
    let all = spread(&rows, &set).unwrap();
    assert_eq!(
        Vec::<f32>::try_from(all.reshape([-1])).unwrap(),
        [3.0, 3.0, 3.0, 4.0, 4.0]
    );
    let beyond = Shared::from_i64(&[3, 3, 3, 0, 0], &[5]).unwrap();
    assert!(
        row_at(&x, &beyond, &set)
            .unwrap_err()
            .to_string()
            .contains("sequence 0")
    );
}
