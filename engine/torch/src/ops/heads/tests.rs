//! Moves of elements within rows.

use super::*;
use crate::testing::floats;
use tch::Kind;

fn count(shape: &[i64]) -> Tensor {
    Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, tch::Device::Cpu)).reshape(shape)
}

#[test]
fn heads_are_split_and_merged() {
    let x = count(&[2, 6]);
    for (heads, dim) in [(Some(2), Some(3)), (Some(2), None), (None, Some(3))] {
        let split = split_heads(&x, heads, dim).unwrap();
        assert_eq!(split.size(), [2, 2, 3]);
        assert_eq!(floats(&merge_heads(&split).unwrap()), floats(&x));
    }
    assert!(split_heads(&x, Some(4), None).unwrap_err().0.contains("6 features"));
    assert!(split_heads(&x, Some(2), Some(2)).is_err());
    assert!(merge_heads(&count(&[3])).is_err());
}

#[test]
fn heads_are_repeated_in_a_row_or_as_a_whole() {
    let x = count(&[1, 2, 1]);
    assert_eq!(floats(&repeat_heads(&x, 2, false).unwrap()), [0.0, 0.0, 1.0, 1.0]);
    let tiled = repeat_heads(&x, 2, true).unwrap();
    assert_eq!(
        (tiled.size(), floats(&tiled)),
        (vec![1, 4, 1], vec![0.0, 1.0, 0.0, 1.0])
    );
    assert!(repeat_heads(&count(&[2, 2]), 2, true).is_err());
}

#[test]
fn parts_and_slices_of_the_last_dim() {
    let x = count(&[2, 4]);
    let parts = split(&x, &Sizes::Each(vec![1, 3])).unwrap();
    assert_eq!(
        (floats(&parts[0]), floats(&parts[1])),
        (vec![0.0, 4.0], vec![1.0, 2.0, 3.0, 5.0, 6.0, 7.0])
    );
    assert_eq!(floats(&split(&x, &Sizes::Equal(2)).unwrap()[1]), [2.0, 3.0, 6.0, 7.0]);
    assert!(split(&x, &Sizes::Equal(3)).unwrap_err().0.contains("do not add up"));
    assert!(split(&x, &Sizes::Each(vec![1, 1])).is_err());
    assert_eq!(floats(&slice(&x, Some(-1), None).unwrap()), [3.0, 7.0]);
    assert_eq!(floats(&slice(&x, None, Some(-3)).unwrap()), [0.0, 4.0]);
    assert_eq!(floats(&slice(&x, Some(1), Some(2)).unwrap()), [1.0, 5.0]);
    assert!(slice(&x, Some(2), Some(5)).is_err() && slice(&x, Some(3), Some(2)).is_err());
}

#[test]
fn joins_repeat_dims_of_one() {
    let joined = concat(&[count(&[2, 2]), count(&[1, 1])]).unwrap();
    assert_eq!(
        (joined.size(), floats(&joined)),
        (vec![2, 3], vec![0.0, 1.0, 0.0, 2.0, 3.0, 0.0])
    );
    let joined = concat(&[count(&[2, 1, 1]), count(&[1, 2, 1])]).unwrap();
    assert_eq!(joined.size(), [2, 2, 2]);
    assert_eq!(floats(&joined), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    assert!(concat(&[count(&[2, 2]), count(&[3, 2])]).is_err());
    assert!(concat(&[count(&[2, 2]), count(&[2])]).is_err());
    assert_eq!(join_rows(&[count(&[2, 1]), count(&[1, 1])]).unwrap().size(), [3, 1]);
}

#[test]
fn the_last_two_dims_exchanged() {
    assert_eq!(floats(&transpose(&count(&[2, 2])).unwrap()), [0.0, 2.0, 1.0, 3.0]);
    assert!(transpose(&count(&[2])).is_err());
}
