//! The processor: threads, and whether it multiplies bfloat16 in hardware.

/// Sets the number of threads that one operation may use.
pub fn set_threads(n: usize) {
    tch::set_num_threads(n.clamp(1, 1024) as i32);
}

/// The number of threads that one operation may use.
pub fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

/// True if bf16 matrices are multiplied in hardware (AVX512-BF16, which every processor with AMX has too), so that bf16 is at least as
/// fast as f32. Without it libtorch widens every element.
pub fn cpu_has_fast_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
