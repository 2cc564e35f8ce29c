//! `linear_scan`.

use super::super::{linear_scan, linear_scan_within};
use super::by_token::loop_over_tokens;
use super::case::Case;
use super::{LENGTHS, ROWS, decays, error, numbers, offsets, uniform};
use sli_model::ScanNormalize;
use tch::{Kind, Tensor};

/// The variants with the names of the models that use them.
fn cases() -> Vec<(&'static str, Case)> {
    let unit = |x: Tensor| &x / x.square().sum_dim_intlist([-1i64].as_slice(), true, None).sqrt();
    let mut cases = Vec::new();
    let mut add = |name, case| cases.push((name, case));
    add("no decay", Case::new(1, ROWS, [2, 2, 5, 4]));
    let mut c = Case::new(10, ROWS, [4, 4, 8, 6]);
    c.decay = Some(uniform(13, &[4, 1], -0.2, 0.0));
    add("RetNet: constant decay", c);
    let mut c = Case::new(20, ROWS, [2, 6, 8, 5]);
    c.decay = Some(decays(23, &[ROWS, 6, 1]));
    add("Mamba-2: decay per head, shared q and k", c);
    let mut c = Case::new(30, ROWS, [2, 2, 8, 5]);
    c.decay = Some(decays(33, &[ROWS, 2, 1]));
    c.bonus = Some(uniform(34, &[2, 8], -1.0, 3.0));
    add("decay per head and bonus", c);
    let mut c = Case::new(40, ROWS, [1, 4, 8, 5]);
    c.decay = Some(decays(43, &[ROWS, 4, 1]));
    c.bonus = Some(uniform(44, &[4, 8], -1.0, 3.0));
    add("decay per head, shared q and k, bonus", c);
    let mut c = Case::new(50, ROWS, [3, 3, 16, 5]);
    c.decay = Some(decays(53, &[ROWS, 3, 16]));
    add("GLA: decay per channel", c);
    let mut c = Case::new(60, ROWS, [1, 3, 16, 5]);
    c.decay = Some(decays(63, &[ROWS, 3, 16]));
    add("decay per channel, shared q and k", c);
    let mut c = Case::new(70, ROWS, [3, 3, 16, 5]);
    c.decay = Some(decays(73, &[3, 16]));
    c.bonus = Some(uniform(74, &[3, 16], -1.0, 3.0));
    add("RWKV-5: constant decay per channel, bonus", c);
    let mut c = Case::new(80, ROWS, [3, 3, 16, 5]);
    c.decay = Some(decays(83, &[ROWS, 3, 16]));
    c.bonus = Some(uniform(84, &[3, 16], -1.0, 3.0));
    add("RWKV-6: decay per channel, bonus", c);
    for (name, seed, g, decay) in [
        ("delta rule", 90, 3, None),
        (
            "gated delta rule, shared q and k",
            100,
            1,
            Some(decays(103, &[ROWS, 3, 1])),
        ),
        (
            "KDA: delta rule, decay per channel",
            110,
            3,
            Some(decays(113, &[ROWS, 3, 16])),
        ),
    ] {
        let mut c = Case::new(seed, ROWS, [g, 3, 16, 5]);
        c.k = c.k.map(unit);
        c.decay = decay;
        c.beta = Some(uniform(seed + 4, &[ROWS, 3, 1], 0.0, 1.5));
        add(name, c);
    }
    let mut c = Case::new(120, ROWS, [3, 3, 16, 5]);
    let key = unit(uniform(123, &[ROWS, 3, 16], -1.0, 1.0));
    c.erase = Some((-&key, key * uniform(124, &[ROWS, 3, 16], 0.0, 1.0)));
    c.decay = Some(decays(125, &[ROWS, 3, 16]));
    add("RWKV-7", c);
    let mut c = Case::new(130, ROWS, [3, 3, 8, 5]);
    c.gain = Some(uniform(133, &[ROWS, 3, 1], -15.0, 15.0));
    c.decay = Some(decays(134, &[ROWS, 3, 1]));
    c.normalize = Some(ScanNormalize::Max1);
    add("mLSTM", c);
    let mut c = Case::new(140, ROWS, [3, 3, 8, 5]);
    c.gain = Some(uniform(143, &[ROWS, 3, 1], -2.0, 2.0));
    c.decay = Some(uniform(144, &[ROWS, 3, 1], -0.1, 0.0));
    add("gain alone", c);
    let mut c = Case::new(150, ROWS, [2, 4, 8, 5]);
    c.q = c.q.map(|q| q.abs());
    c.k = c.k.map(|k| k.abs());
    c.bonus = Some(uniform(154, &[4, 8], 0.1, 3.0));
    c.decay = Some(decays(155, &[ROWS, 4, 1]));
    c.normalize = Some(ScanNormalize::Sum);
    add("normalised by the sum, bonus", c);
    let mut c = Case::new(170, ROWS, [2, 6, 1, 1]);
    c.gain = Some(uniform(173, &[ROWS, 6, 1], -3.0, 3.0));
    c.decay = Some(decays(174, &[ROWS, 6, 1]));
    c.normalize = Some(ScanNormalize::Max1);
    add("gained numbers with q and k", c);
    let mut c = Case::new(180, ROWS, [1, 6, 1, 1]);
    (c.q, c.k) = (None, None);
    c.gain = Some(uniform(183, &[ROWS, 6, 1], -5.0, 2.0));
    c.decay = Some(decays(184, &[ROWS, 6, 1]));
    c.normalize = Some(ScanNormalize::Max1);
    add("gained numbers", c);
    let mut c = Case::new(160, ROWS, [1, 24, 1, 1]);
    (c.q, c.k) = (None, None);
    c.v = c.v.abs();
    c.gain = Some(uniform(163, &[ROWS, 24, 1], -300.0, 300.0));
    c.decay = Some(decays(164, &[24, 1]));
    c.bonus = Some(uniform(165, &[24, 1], -2.0, 2.0).exp());
    c.normalize = Some(ScanNormalize::Sum);
    add("RWKV-4", c);
    cases
}

#[test]
fn all_forms_agree_with_a_loop_over_tokens() {
    let offsets = offsets(&LENGTHS);
    assert_eq!(offsets[LENGTHS.len()], ROWS);
    for (name, case) in cases() {
        let e = error(&case.run(&offsets), &loop_over_tokens(&case, &offsets));
        assert!(e <= 1e-5, "{name}: relative error {e:.2e}");
    }
}

#[test]
fn a_sequence_alone_equals_the_same_one_packed() {
    let offsets = offsets(&LENGTHS);
    for (name, case) in cases() {
        let packed = case.run(&offsets);
        for pair in offsets.windows(2) {
            let (start, count) = (pair[0], pair[1] - pair[0]);
            let alone = case.rows(start, count).run(&[0, count]);
            let there = numbers(&packed.narrow(0, start, count));
            let e = if count == 0 { 0.0 } else { error(&alone, &there) };
            assert!(e <= 1e-6, "{name}: {count} tokens alone differ by {e:.2e}");
        }
    }
}

#[test]
fn the_size_of_the_blocks_does_not_matter() {
    let offsets = offsets(&[10, 200, 0, 70, 48]);
    for (name, case) in cases() {
        let whole = numbers(&case.run(&offsets));
        // One chunk per block, then a few.
        for bytes in [1, 400_000] {
            let y = linear_scan_within(&case.inputs(), &offsets, bytes).unwrap();
            let e = error(&y, &whole);
            assert!(e <= 1e-6, "{name}: blocks of {bytes} bytes differ by {e:.2e}");
        }
    }
}

#[test]
fn an_empty_batch_gives_an_empty_result() {
    for (name, case) in cases() {
        let empty = case.rows(0, 0);
        assert_eq!(empty.run(&[0]).size(), empty.v.size(), "{name}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let (mut both, mut fits) = (Case::new(1, 4, [1, 2, 3, 3]), Case::new(1, 4, [1, 2, 3, 3]));
    both.beta = Some(Tensor::ones([4, 2, 1], (Kind::Float, tch::Device::Cpu)));
    both.bonus = Some(Tensor::ones([2, 3], (Kind::Float, tch::Device::Cpu)));
    let message = linear_scan(&both.inputs(), &[0, 4]).unwrap_err().to_string();
    assert!(message.contains("go with neither `bonus`"), "{message}");
    fits.k = Some(Tensor::ones([4, 2, 3], (Kind::Float, tch::Device::Cpu)));
    let message = linear_scan(&fits.inputs(), &[0, 4]).unwrap_err().to_string();
    assert!(
        message.contains("k is [4, 2, 3] and does not fit [4, 1, 3]"),
        "{message}"
    );
}

#[test]
fn half_precision_inputs_lose_only_the_rounding_of_the_result() {
    let offsets = offsets(&LENGTHS);
    for (name, case) in cases() {
        let half = case.map(|x, _| x.to_kind(Kind::BFloat16));
        let y = half.run(&offsets);
        assert_eq!(y.kind(), Kind::BFloat16, "{name}");
        let e = error(&y, &loop_over_tokens(&half, &offsets));
        assert!(e <= 4.1e-3, "{name}: relative error {e:.2e}");
    }
}
