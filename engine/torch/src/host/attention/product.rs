//! The product of a few rows and packed columns.

use super::packed::PANEL;
use super::rows::ROWS;
use half::bf16;
use std::arch::x86_64::{__m512bh, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps};
use std::mem::transmute;

/// Panels that are multiplied together: with more, the sums do not fit the registers.
pub(super) const PANELS: usize = 2;

/// Sums over all pairs of `a[row][pair]` times `b[panel][pair]`, by row, panel and column.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn product(a: [&[u32]; ROWS], b: [&[[u32; PANEL]]; PANELS]) -> [[[f32; PANEL]; PANELS]; ROWS] {
    let pairs = a[0].len();
    let (a, b) = (a.map(|a| &a[..pairs]), b.map(|b| &b[..pairs]));
    let mut sums = [[_mm512_setzero_ps(); PANELS]; ROWS];
    for pair in 0..pairs {
        let columns = b.map(|b| numbers(b[pair]));
        for (sums, a) in sums.iter_mut().zip(&a) {
            // SAFETY: any 512 bits are 32 numbers.
            #[allow(unsafe_code)]
            let factor: __m512bh = unsafe { transmute(_mm512_set1_epi32(a[pair] as i32)) };
            for (sum, columns) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbf16_ps(*sum, factor, columns);
            }
        }
    }
    // SAFETY: a register is 16 f32.
    #[allow(unsafe_code)]
    unsafe {
        transmute(sums)
    }
}

#[inline(always)]
fn numbers(pairs: [u32; PANEL]) -> __m512bh {
    // SAFETY: any 512 bits are 32 numbers.
    #[allow(unsafe_code)]
    unsafe {
        transmute(pairs)
    }
}

/// The numbers that pairs consist of.
pub(super) fn halves(pairs: &mut [u32]) -> &mut [bf16] {
    // SAFETY: a u32 is two bf16 in memory, the first one in its lower half on this processor.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts_mut(pairs.as_mut_ptr().cast(), 2 * pairs.len())
    }
}
