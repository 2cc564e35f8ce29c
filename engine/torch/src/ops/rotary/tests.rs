//! Rotary embeddings against plain loops.

use super::*;
use crate::testing::{close, floats, random};
use sli_model::{Frequencies, Num};

fn fixed(width: u64, interleaved: bool, axes: Axes) -> Rope {
    let inv_freq = Rope::base(10000.0, width).into_iter().map(Num).collect();
    Rope {
        width,
        interleaved,
        frequencies: Frequencies::Fixed {
            inv_freq,
            scale: Num(1.5),
        },
        axes,
    }
}

/// Turns by `angle(row, pair)`, with cos and sin times `scale`.
fn expected(x: &Tensor, rope: &Rope, scale: f64, angle: impl Fn(usize, usize) -> f64) -> Vec<f32> {
    let (size, mut out) = (x.size(), floats(x));
    let (heads, dim, half) = (size[1] as usize, size[2] as usize, rope.width as usize / 2);
    for row in 0..size[0] as usize {
        for head in 0..heads {
            for j in 0..half {
                let (a, b) = if rope.interleaved {
                    (2 * j, 2 * j + 1)
                } else {
                    (j, j + half)
                };
                let at = (row * heads + head) * dim;
                let (u, v) = (f64::from(out[at + a]), f64::from(out[at + b]));
                let (sin, cos) = (angle(row, j).sin() * scale, angle(row, j).cos() * scale);
                out[at + a] = (u * cos - v * sin) as f32;
                out[at + b] = (v * cos + u * sin) as f32;
            }
        }
    }
    out
}

fn positions(at: &[i64]) -> Shared {
    Shared::from_i64(at, &[at.len() as i64]).unwrap()
}

#[test]
fn pairs_turn_by_position_and_the_rest_passes() {
    let (x, at) = (random(&[4, 2, 10], 1), [0i64, 1, 7, 300]);
    for interleaved in [false, true] {
        let rope = fixed(8, interleaved, Axes::One);
        let f = Rope::base(10000.0, 8);
        let by = expected(&x, &rope, 1.5, |row, j| at[row] as f64 * f[j]);
        close(&floats(&rotary(&x, &rope, &positions(&at), None).unwrap()), &by, 2e-5);
        let floats_at = Shared::from_f32(&[0.0, 1.0, 7.0, 300.0], &[4]).unwrap();
        close(&floats(&rotary(&x, &rope, &floats_at, None).unwrap()), &by, 2e-5);
    }
}

#[test]
fn half_precision_is_turned_in_f32() {
    let (x, rope) = (
        random(&[3, 1, 8], 1).to_kind(Kind::BFloat16),
        fixed(8, false, Axes::One),
    );
    let at = positions(&[3, 4, 5]);
    let narrow = rotary(&x, &rope, &at, None).unwrap();
    let wide = rotary(&x.to_kind(Kind::Float), &rope, &at, None).unwrap();
    assert_eq!(floats(&narrow), floats(&wide.to_kind(Kind::BFloat16)));
}

#[test]
fn positions_with_axes() {
    let x = random(&[2, 1, 8], 1);
    let at = Shared::from_i64(&[3, 5, 2, 9], &[2, 2]).unwrap();
    let grid = [[3.0, 5.0], [2.0, 9.0]];
    let f = Rope::base(10000.0, 8);
    let own = Rope::base(10000.0, 4);
    let split = fixed(8, false, Axes::Split { theta: Num(10000.0) });
    let by = expected(&x, &split, 1.5, |row, j| grid[row][j / 2] * own[j % 2]);
    close(&floats(&rotary(&x, &split, &at, None).unwrap()), &by, 1e-5);
    // axis 0 takes f_0, f_2, axis 1 f_1, f_3
    let alternate = fixed(8, false, Axes::Alternate);
    let by = expected(&x, &alternate, 1.5, |row, j| grid[row][j / 2] * f[2 * (j % 2) + j / 2]);
    close(&floats(&rotary(&x, &alternate, &at, None).unwrap()), &by, 1e-5);
    let sections = fixed(8, false, Axes::Sections(vec![0, 1, 1, 0]));
    let by = expected(&x, &sections, 1.5, |row, j| grid[row][[0, 1, 1, 0][j]] * f[j]);
    close(&floats(&rotary(&x, &sections, &at, None).unwrap()), &by, 1e-5);
    // one position for all axes
    let by = expected(&x, &sections, 1.5, |row, j| [3.0, 2.0][row] * f[j]);
    close(
        &floats(&rotary(&x, &sections, &positions(&[3, 2]), None).unwrap()),
        &by,
        1e-5,
    );
}

#[test]
fn every_sequence_uses_its_own_length() {
    let set = RowSet::from_lengths(&[3, 40, 2]).unwrap();
    let frequencies = Frequencies::Dynamic {
        theta: Num(1e4),
        factor: Num(4.0),
        max_position: Num(16.0),
    };
    let rope = Rope {
        width: 8,
        interleaved: false,
        frequencies,
        axes: Axes::One,
    };
    let x = random(&[45, 2, 8], 2);
    let found = rotary(&x, &rope, set.positions(), Some(&set)).unwrap();
    let (short, long) = (rope.at_length(3).0, rope.at_length(40).0);
    assert_ne!(short, long);
    let place = set.positions().to_i64_vec().unwrap();
    let angle = |row: usize, j: usize| place[row] as f64 * if (3..43).contains(&row) { long[j] } else { short[j] };
    close(&floats(&found), &expected(&x, &rope, 1.0, angle), 1e-5);
    assert!(rotary(&x, &rope, set.positions(), None).is_err());
}

#[test]
fn positions_that_do_not_fit_are_errors() {
    let rope = fixed(8, false, Axes::One);
    assert!(rotary(&random(&[2, 1, 8], 1), &rope, &positions(&[1]), None).is_err());
    assert!(rotary(&random(&[2, 1, 6], 1), &rope, &positions(&[1, 2]), None).is_err());
    let two = Shared::from_i64(&[1, 2, 3, 4], &[2, 2]).unwrap();
    assert!(rotary(&random(&[2, 1, 8], 1), &rope, &two, None).is_err());
    assert_eq!(
        rotary(&random(&[0, 1, 8], 1), &rope, &positions(&[]), None)
            .unwrap()
            .size(),
        [0, 1, 8]
    );
}
