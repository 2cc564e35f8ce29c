//! `recurrence` and `selective_scan`.

use super::super::first_order::{recurrence, recurrence_within};
use super::super::selective::{selective_scan, selective_scan_within};
use super::{LENGTHS, ROWS, decays, error, numbers, offsets, uniform};
use tch::{Kind, Tensor};

fn recurrence_by_token(a: &Tensor, b: &Tensor, offsets: &[i64]) -> Vec<f64> {
    let width = b.size()[1] as usize;
    let (a, mut h) = (numbers(a), numbers(b));
    for pair in offsets.windows(2) {
        for t in pair[0] as usize + 1..pair[1] as usize {
            for c in 0..width {
                h[t * width + c] += a[t * width + c] * h[(t - 1) * width + c];
            }
        }
    }
    h
}

#[test]
fn recurrence_agrees_with_a_loop_over_tokens() {
    let offsets = offsets(&LENGTHS);
    let a = decays(1, &[ROWS, 7]).exp();
    let b = uniform(2, &[ROWS, 7], -1.0, 1.0);
    let h = recurrence(&a, &b, &offsets).unwrap();
    let e = error(&h, &recurrence_by_token(&a, &b, &offsets));
    assert!(e <= 2e-6, "relative error {e:.2e}");
}

/// x, dt, a, b, c of the selective scan, with heads or without.
fn inputs(heads: Option<i64>, kind: Kind) -> [Tensor; 5] {
    let (channels, states) = (6, 4);
    let with = |last: i64| match heads {
        Some(h) => vec![ROWS, h, last],
        None => vec![ROWS, last],
    };
    [
        uniform(1, &with(channels), -1.0, 1.0).to_kind(kind),
        uniform(2, &with(channels), 0.0, 1.0).pow_tensor_scalar(4).to_kind(kind),
        -uniform(3, &[&with(channels)[1..], &[states]].concat(), 0.1, 60.0),
        uniform(4, &with(states), -1.0, 1.0).to_kind(kind),
        uniform(5, &with(states), -1.0, 1.0).to_kind(kind),
    ]
}

/// h = exp(dt a) h + dt x b; y = h·c, for one sequence of rows after the other.
fn selective_by_token(inputs: &[Tensor; 5], offsets: &[i64]) -> Vec<f64> {
    let shape = inputs[0].size();
    let (channels, states) = (shape[shape.len() - 1] as usize, 4);
    let heads = inputs[0].numel() / ROWS as usize / channels;
    let [x, dt, a, b, c] = inputs.each_ref().map(numbers);
    let mut y = vec![0.0; x.len()];
    for pair in offsets.windows(2) {
        for p in 0..heads * channels {
            let mut h = vec![0.0; states];
            for t in pair[0] as usize..pair[1] as usize {
                let at = t * heads * channels + p;
                let shared = (t * heads + p / channels) * states;
                for s in 0..states {
                    h[s] = (dt[at] * a[p * states + s]).exp() * h[s] + dt[at] * x[at] * b[shared + s];
                    y[at] += h[s] * c[shared + s];
                }
            }
        }
    }
    y
}

fn run(inputs: &[Tensor; 5], offsets: &[i64]) -> Tensor {
    let [x, dt, a, b, c] = inputs;
    selective_scan(x, dt, a, b, c, offsets).unwrap()
}

#[test]
fn selective_scan_agrees_with_a_loop_over_tokens() {
    let offsets = offsets(&LENGTHS);
    for heads in [None, Some(3)] {
        let inputs = inputs(heads, Kind::Float);
        let e = error(&run(&inputs, &offsets), &selective_by_token(&inputs, &offsets));
        assert!(e <= 5e-6, "{heads:?}: relative error {e:.2e}");
    }
}

#[test]
fn selective_scan_of_half_precision_keeps_its_states_in_f32() {
    let offsets = offsets(&LENGTHS);
    let inputs = inputs(Some(2), Kind::BFloat16);
    let y = run(&inputs, &offsets);
    assert_eq!(y.kind(), Kind::BFloat16);
    let e = error(&y, &selective_by_token(&inputs, &offsets));
    assert!(e <= 4.1e-3, "relative error {e:.2e}");
}

#[test]
fn a_sequence_alone_equals_the_same_one_packed() {
    let offsets = offsets(&LENGTHS);
    let inputs = inputs(None, Kind::Float);
    let packed = run(&inputs, &offsets);
    for pair in offsets.windows(2).filter(|pair| pair[0] < pair[1]) {
        let (start, count) = (pair[0], pair[1] - pair[0]);
        let cut = |x: &Tensor| x.narrow(0, start, count);
        let [x, dt, a, b, c] = &inputs;
        let alone = selective_scan(&cut(x), &cut(dt), a, &cut(b), &cut(c), &[0, count]).unwrap();
        let e = error(&alone, &numbers(&cut(&packed)));
        assert!(e <= 2e-6, "{count} tokens alone differ by {e:.2e}");
    }
}

#[test]
fn the_size_of_the_blocks_does_not_matter() {
    let offsets = offsets(&[10, 200, 0, 70, 48]);
    let [x, dt, a, b, c] = &inputs(Some(2), Kind::Float);
    let whole = numbers(&selective_scan(x, dt, a, b, c, &offsets).unwrap());
    for bytes in [1, 100_000] {
        let y = selective_scan_within(x, dt, a, b, c, &offsets, bytes).unwrap();
        let e = error(&y, &whole);
        assert!(e <= 2e-6, "tiles of {bytes} bytes differ by {e:.2e}");
    }
    let (a, b) = (decays(1, &[ROWS, 7]).exp(), uniform(2, &[ROWS, 7], -1.0, 1.0));
    let whole = numbers(&recurrence(&a, &b, &offsets).unwrap());
    let e = error(&recurrence_within(&a, &b, &offsets, 1).unwrap(), &whole);
    assert!(e <= 1e-6, "blocks differ by {e:.2e}");
}
