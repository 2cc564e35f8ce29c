//! Numbers for people.

/// `bytes` in binary units: `1.50 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    sli_runtime::memory::show(bytes)
}

/// An integer with its digits in groups: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 document`, `2 documents`, `3 batches`.
pub(crate) fn many(number: u64, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(number))
}

/// A duration, as precise as one wants to know it: `42 ms`, `3.4 s`, `5 min 20 s`, `2 h 05 min`.
pub(crate) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0 if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A rate in decimal gigabytes, as disks state it: `1.25 GB/s`.
pub(crate) fn rate(bytes: u64, seconds: f64) -> String {
    if seconds <= 0.0 {
        return "unknown".to_owned();
    }
    let rate = bytes as f64 / seconds;
    if rate < 1e7 {
        format!("{:.2} MB/s", rate / 1e6)
    } else {
        format!("{:.2} GB/s", rate / 1e9)
    }
}

/// A share: `0.4%`, `35%`.
pub(crate) fn share(part: f64, whole: f64) -> String {
    let percent = if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
    if percent < 9.95 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!(
            [0, 12, 123, 1234, 123_456, 1_234_567].map(count),
            ["0", "12", "123", "1,234", "123,456", "1,234,567"]
        );
        let shown = [many(1, "file"), many(0, "file"), many(1000, "file"), many(2, "batch")];
        assert_eq!(shown, ["1 file", "0 files", "1,000 files", "2 batches"]);
    }

    #[test]
    fn durations_are_as_precise_as_needed() {
        let shown = [0.0421, 0.9996, 3.44, 59.2, 320.0, 7500.0, f64::NAN, -1.0].map(seconds);
        assert_eq!(
            shown,
            [
                "42 ms",
                "1.0 s",
                "3.4 s",
                "59.2 s",
                "5 min 20 s",
                "2 h 05 min",
                "unknown",
                "unknown"
            ]
        );
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(
            [rate(2_500_000_000, 2.0), rate(1_000_000, 1.0), rate(5, 0.0)],
            ["1.25 GB/s", "1.00 MB/s", "unknown"]
        );
        assert_eq!(
            [share(1.0, 250.0), share(1.0, 3.0), share(1.0, 0.0)],
            ["0.4%", "33%", "0.0%"]
        );
    }
}
