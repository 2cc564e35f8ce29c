//! The widest vector instructions that this processor has.

/// A piece of work that gains from wide vectors. `run` and what it calls must be `#[inline(always)]`: it is compiled once
/// for each set of instructions.
pub(super) trait Kernel {
    /// Does the work.
    fn run(self);
}

/// Runs `kernel` with AVX-512 or AVX2 where the processor has them. Products and sums are not contracted, so
/// the result is the same with all of them.
pub(super) fn with_widest(kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
            // SAFETY: the processor has these instructions.
            #[allow(unsafe_code)]
            return unsafe { avx512(kernel) };
        }
        if has!("avx2") {
            // SAFETY: the processor has these instructions.
            #[allow(unsafe_code)]
            return unsafe { avx2(kernel) };
        }
    }
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512(kernel: impl Kernel) {
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(kernel: impl Kernel) {
    kernel.run();
}

/// Sums kept side by side, so that one addition need not wait for the one before. The same on every processor.
pub(super) const LANES: usize = 32;

/// The sum of `term` of all elements.
#[inline(always)]
pub(super) fn sum_of<T: Copy>(x: &[T], term: impl Fn(T) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let whole = x.chunks_exact(LANES);
    for (sum, element) in sums.iter_mut().zip(whole.remainder()) {
        *sum += term(*element);
    }
    for chunk in whole {
        for (sum, element) in sums.iter_mut().zip(chunk) {
            *sum += term(*element);
        }
    }
    sums.iter().sum()
}

/// The largest of `value` of all elements, -inf without any.
#[inline(always)]
pub(super) fn most_of<T: Copy>(x: &[T], value: impl Fn(T) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut most = [f32::NEG_INFINITY; LANES];
    let whole = x.chunks_exact(LANES);
    for (most, element) in most.iter_mut().zip(whole.remainder()) {
        *most = larger(*most, value(*element));
    }
    for chunk in whole {
        for (most, element) in most.iter_mut().zip(chunk) {
            *most = larger(*most, value(*element));
        }
    }
    most.into_iter().fold(f32::NEG_INFINITY, larger)
}
