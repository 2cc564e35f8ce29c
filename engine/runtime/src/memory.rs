//! The process's own memory: what is resident, and making the allocator give freed memory back.

use std::fs;

/// What the promise adds to the budget: code, libtorch, its thread pools and the allocator's own slack.
/// `engine.memory` + this is what the process stays under.
pub const OVERHEAD: u64 = 256 << 20;

/// Part of [`OVERHEAD`] that is kept for what the allocator and libtorch take beyond what was asked of them.
pub const SLACK: u64 = 96 << 20;

/// Bytes of this process in memory now; 0 where the system does not say.
pub fn resident() -> u64 {
    status("VmRSS:")
}

/// The most bytes of this process that were ever in memory together; 0 where the system does not say.
pub fn peak() -> u64 {
    status("VmHWM:")
}

/// Seconds since this process was started; nothing where the system does not say. Counted in hundredths.
pub fn since_start() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; the start is the 22nd field, the 20th behind the name.
    let started: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = fs::read_to_string("/proc/uptime")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some((uptime - started / ticks).max(0.0))
}

fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse(&text, key).unwrap_or(0)
}

fn parse(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Tells the allocator what to keep. Buffers below 32 MiB are cut from its heap and up to 64 MiB at the heap's end
/// stay for the next operation: mapping every buffer anew made a page fault of each 4 KiB and doubled the time
/// in the kernel. Larger ones are mapped on their own and go back to the system at once. By default glibc moves
/// these limits as buffers come and go. What stays is part of [`OVERHEAD`]. Call once, at the start.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: `mallopt` may be called at any time; it changes numbers of the allocator only.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives free memory at the ends of the allocator's heaps back to the system.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: `malloc_trim` may be called at any time and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Main memory that is free for use now; 0 where the system does not say.
pub fn available() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let system = parse(&text, "MemAvailable:").unwrap_or(0);
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(system, |limit| limit.min(system))
}

/// `bytes` for people: `1.5 GiB`.
pub fn show(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_kernel_is_read() {
        assert_eq!(parse("Name: a\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 << 10));
        assert_eq!(parse("Name: a\n", "VmRSS:"), None);
        assert!(resident() > 1 << 20 && peak() >= resident() - (1 << 20));
    }

    #[test]
    fn freed_buffers_go_back_to_the_system() {
        tune_allocator();
        for size in [2 << 20, 40 << 20] {
            let buffers: Vec<Vec<u8>> = (0..(320 << 20) / size).map(|_| vec![1; size]).collect();
            let with = resident();
            drop(buffers);
            let left = resident();
            assert!(left + (200 << 20) < with, "{left} of {with} left of buffers of {size}");
        }
    }

    #[test]
    fn a_process_has_a_start() {
        let before = since_start().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40));
        let after = since_start().unwrap();
        assert!(before >= 0.0 && after > before, "{before} {after}");
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(
            [show(5), show(1536), show(900 << 20), show(3 << 29)],
            ["5 B", "1.5 KiB", "900.0 MiB", "1.50 GiB"]
        );
    }
}
