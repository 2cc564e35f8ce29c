//! The element types: all are computed with as f32.

use half::{bf16, f16};
use tch::Kind;

/// A floating-point type that tensors are stored in.
pub(super) trait Number: Copy + Send + Sync + 'static {
    /// libtorch's name of it.
    const KIND: Kind;

    /// Its value, exactly.
    fn wide(self) -> f32;

    /// The nearest number of this type, ties to even.
    fn narrow(x: f32) -> Self;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(x: f32) -> f32 {
        x
    }
}

// without the branches of `half`, which would keep the loops from becoming vector instructions
impl Number for bf16 {
    const KIND: Kind = Kind::BFloat16;

    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn narrow(x: f32) -> bf16 {
        let bits = x.to_bits();
        let even = (bits >> 16) & 1;
        let rounded = (bits.wrapping_add(0x7fff + even) >> 16) as u16;
        bf16::from_bits(if x.is_nan() { 0x7fc0 } else { rounded })
    }
}

impl Number for f16 {
    const KIND: Kind = Kind::Half;

    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn narrow(x: f32) -> f16 {
        f16::from_f32(x)
    }
}

/// e^x to about 2 units in the last place; 0 below -87.3, where f32 has no more normal numbers, and infinity above 88.7
///
/// 2^n p(r) with x = n ln 2 + r and the polynomial of Cephes' `expf`, without branches.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LEAST: f32 = -87.33;
    const MOST: f32 = 88.72;
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // comparisons that leave NaN as it is
    let kept = if x < LEAST { LEAST } else { x };
    let kept = if kept > MOST { MOST } else { kept };
    let shifted = kept * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = kept - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // 2^n in two halves: n may be 128
    let half = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32 >> 1;
    let rest = (shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32) - half;
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    let found = p * power(half) * power(rest);
    if x < LEAST {
        0.0
    } else if x > MOST {
        f32::INFINITY
    } else {
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_as_the_library_does() {
        let special = [
            0.0f32,
            -0.0,
            1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE / 8.0,
        ];
        let ties = (0..4u32).map(|i| f32::from_bits(0x3f80_8000 + (i << 15)));
        let many = (0..10_000u32).map(|i| f32::from_bits(i.wrapping_mul(429_497)));
        for x in special.into_iter().chain(ties).chain(many).filter(|x| !x.is_nan()) {
            let (ours, theirs) = (<bf16 as Number>::narrow(x), bf16::from_f32(x));
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{x}");
            assert_eq!(ours.wide().to_bits(), theirs.to_f32().to_bits(), "{x}");
        }
        assert!(<bf16 as Number>::narrow(f32::NAN).is_nan());
        assert!(<bf16 as Number>::narrow(-f32::NAN).wide().is_nan());
    }

    #[test]
    fn exp_is_within_three_units() {
        for i in -87_000..88_700 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3.0 * f64::from(f32::EPSILON) / 2.0, "exp({x}) is {error:e} off");
        }
    }

    #[test]
    fn exp_at_its_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!((exp(f32::NEG_INFINITY), exp(-100.0)), (0.0, 0.0));
        assert_eq!((exp(f32::INFINITY), exp(89.0)), (f32::INFINITY, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan());
    }
}
