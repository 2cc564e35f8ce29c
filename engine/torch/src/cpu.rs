//! The processor: threads, memory pages, and whether it multiplies bfloat16 in hardware.

use std::ffi::CStr;

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

/// A variable that libtorch or its thread pool reads while the process is loaded, with the value that suits this
/// program.
#[derive(Clone, Copy, Debug)]
pub struct Tuned {
    /// `NAME=value`.
    pub setting: &'static CStr,
    /// Who has set one of these has decided otherwise.
    pub unless: &'static [&'static str],
}

/// Variables to be set before libtorch is loaded. They cannot be set from within: start the program anew (`exec`)
/// with them if one is missing.
///
/// * `OMP_WAIT_POLICY=passive`: threads that wait sleep. By default they spin, and as soon as a thread of
///   the reader wants a core every small operation takes milliseconds instead of microseconds.
/// * `THP_MEM_ALLOC_ENABLE=1`: large tensors lie in pages of 2 MiB. With pages of 4 KiB elementwise
///   operations on more than 32 MiB are about five times slower, because the allocator returns such memory
///   to the system and every page of it faults anew.
/// * `ONEDNN_PRIMITIVE_CACHE_CAPACITY=64`: oneDNN keeps code for the last products of different shapes. Every expert of
///   a mixture has its own number of rows; 1024 of them took 90 MiB and were no faster than 32.
pub const TUNED: [Tuned; 3] = [
    Tuned {
        setting: c"OMP_WAIT_POLICY=passive",
        // either variable of libgomp is a choice of how to wait
        unless: &["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"],
    },
    Tuned {
        setting: c"THP_MEM_ALLOC_ENABLE=1",
        unless: &["THP_MEM_ALLOC_ENABLE"],
    },
    Tuned {
        setting: c"ONEDNN_PRIMITIVE_CACHE_CAPACITY=64",
        unless: &["ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_left_alone_once_it_is_set() {
        for tuned in TUNED {
            let name = tuned.setting.to_str().unwrap().split_once('=').unwrap().0;
            assert!(
                tuned.unless.contains(&name),
                "{name}: a process started anew is not started again"
            );
        }
    }

    #[test]
    fn threads_can_be_set() {
        let before = threads();
        set_threads(1);
        assert_eq!(threads(), 1);
        set_threads(before);
    }
}
