//! The only place of this crate that prints: lines, progress bars, times.
#![allow(clippy::print_stderr, reason = "xtask is a command-line tool")]

use std::{
    cell::Cell,
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

/// Prints one line, on stderr.
pub(crate) fn line(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Prints why a command stopped.
pub(crate) fn failure(failure: &Failure) {
    eprintln!("error: {failure}");
}

/// A byte count in decimal megabytes, as downloads are usually stated.
pub(crate) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.0} MB", bytes as f64 / 1e6),
    }
}

/// A duration in words that fit a log line: `0.8 s`, `12 s`, `3 min 5 s`.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// From this many bytes on, quarters are reported where there is no terminal.
const WORTH_QUARTERS: u64 = 100_000_000;

/// The progress of one transfer in bytes: a bar on a terminal, a line every quarter otherwise.
pub(crate) struct Progress {
    what: String,
    total: u64,
    started: Instant,
    bar: Option<ProgressBar>,
    quarters: Cell<u64>,
}

impl Progress {
    /// Starts to show `what`, which will move `total` bytes.
    pub(crate) fn start(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "  {msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
            );
            let bar = ProgressBar::new(total).with_message(what.clone());
            // The template is a constant; were it wrong, indicatif's own style would do.
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar
        });
        if bar.is_none() {
            line(format!("  {what}: {}", megabytes(total)));
        }
        Self {
            what,
            total,
            started: Instant::now(),
            bar,
            quarters: Cell::new(0),
        }
    }

    /// Shows that `done` bytes have been moved so far.
    pub(crate) fn set(&self, done: u64) {
        let done = done.min(self.total);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        if self.total < WORTH_QUARTERS {
            return;
        }
        let quarter = (done * 4).checked_div(self.total).unwrap_or(0).min(3);
        if quarter > self.quarters.get() {
            self.quarters.set(quarter);
            line(format!(
                "  {}: {} % of {}",
                self.what,
                quarter * 25,
                megabytes(self.total)
            ));
        }
    }

    /// Ends the display with a line that stays.
    pub(crate) fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        line(format!(
            "  {}: {} in {}",
            self.what,
            megabytes(self.total),
            seconds(self.started.elapsed())
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // After a failure the bar must not stand between the user and the message.
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(seconds(Duration::from_millis(840)), "0.8 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
        assert_eq!(megabytes(530_604_548), "531 MB");
        assert_eq!(megabytes(2_243_632), "2.2 MB");
    }
}
