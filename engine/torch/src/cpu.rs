//! The processor: threads, memory pages, and whether it multiplies bfloat16 in hardware.

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

/// Variables that libtorch and its thread pool read while the process is loaded, with the values that suit
/// this program; those that the user has set are left out. They cannot be set from within: start the
/// program anew (`exec`) with them if there are any.
///
/// * `OMP_WAIT_POLICY=passive`: threads that wait sleep. By default they spin, and as soon as a thread of
///   the reader wants a core every small operation takes milliseconds instead of microseconds.
/// * `THP_MEM_ALLOC_ENABLE=1`: large tensors lie in pages of 2 MiB. With pages of 4 KiB elementwise
///   operations on more than 32 MiB are about five times slower, because the allocator returns such memory
///   to the system and every page of it faults anew.
pub fn tuned_environment() -> Vec<(&'static str, &'static str)> {
    missing(|name| std::env::var_os(name).is_some())
}

fn missing(is_set: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    // either variable of libgomp is a choice of how to wait
    let waits = !is_set("OMP_WAIT_POLICY") && !is_set("GOMP_SPINCOUNT");
    let pages = !is_set("THP_MEM_ALLOC_ENABLE");
    let all = [
        (waits, ("OMP_WAIT_POLICY", "passive")),
        (pages, ("THP_MEM_ALLOC_ENABLE", "1")),
    ];
    all.into_iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, variable)| variable)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_has_set_is_left_alone() {
        assert_eq!(
            missing(|_| false),
            [("OMP_WAIT_POLICY", "passive"), ("THP_MEM_ALLOC_ENABLE", "1")]
        );
        assert_eq!(
            missing(|name| name == "GOMP_SPINCOUNT"),
            [("THP_MEM_ALLOC_ENABLE", "1")]
        );
        assert!(
            missing(|_| true).is_empty(),
            "a process started anew is not started again"
        );
    }

    #[test]
    fn threads_can_be_set() {
        let before = threads();
        set_threads(1);
        assert_eq!(threads(), 1);
        set_threads(before);
    }
}
