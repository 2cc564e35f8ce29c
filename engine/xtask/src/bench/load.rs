//! How busy other programs keep the machine while it is measured.

use std::fs;

/// Processor time so far, in ticks of the system's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Of all cores, busy or not.
    all: f64,
    /// Of all cores, busy.
    busy: f64,
    /// Of this process and the ended processes that it started.
    own: f64,
}

impl Load {
    /// The state now; zeros where the system does not tell.
    pub(super) fn now() -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        Self::parse(&read("/proc/stat"), &read("/proc/self/stat"))
    }

    /// How many of `cores` cores other programs used on average since `self` was taken.
    pub(super) fn others(self, cores: usize) -> f64 {
        self.others_until(Self::now(), cores)
    }

    fn others_until(self, now: Self, cores: usize) -> f64 {
        let (all, busy, own) = (now.all - self.all, now.busy - self.busy, now.own - self.own);
        if all > 0.0 {
            cores as f64 * (busy - own).max(0.0) / all
        } else {
            0.0
        }
    }

    /// From the texts of `/proc/stat` and `/proc/self/stat` (proc(5)).
    fn parse(system: &str, own: &str) -> Self {
        let numbers = |text: &str| {
            text.split_whitespace()
                .map(|word| word.parse().unwrap_or(0.0))
                .collect::<Vec<f64>>()
        };
        // user, nice, system, idle, iowait, irq, softirq, steal; the guests' time behind them is in user already
        let cores = numbers(system.lines().next().unwrap_or_default().trim_start_matches("cpu"));
        let cores = &cores[..cores.len().min(8)];
        let idle: f64 = cores.iter().skip(3).take(2).sum();
        let all: f64 = cores.iter().sum();
        // behind the name, which may hold spaces: utime is field 14 of all, 12 of these; then stime, cutime, cstime
        let fields = numbers(own.rsplit_once(')').map_or("", |(_, fields)| fields));
        Self {
            all,
            busy: all - idle,
            own: fields.iter().skip(11).take(4).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_and_not_ours_is_of_others() {
        let own = |ticks| format!("7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 {ticks} 5 100 0 20");
        let before = Load::parse("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1\n", &own(10));
        assert_eq!((before.all, before.busy, before.own), (1000.0, 200.0, 115.0));
        let after = Load::parse("cpu  350 0 150 1350 100 0 0 50 50 0\n", &own(210));
        // of 1000 ticks of two cores 350 were busy, 200 of them ours
        assert_eq!(before.others_until(after, 2), 0.3);
        assert_eq!(before.others_until(before, 2), 0.0);
    }

    #[test]
    fn this_system_tells() {
        assert!(Load::now().all > 0.0);
    }
}
