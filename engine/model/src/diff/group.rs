//! Many names as few: `layers.*.q_proj.weight (32)`, `0-3, 7`.

use std::collections::{BTreeMap, BTreeSet};

/// A set of dotted names.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    pub(super) fn add(&mut self, name: String) {
        self.0.insert(name);
    }

    /// The names that `other` lacks; those that differ in numbers only are one, with their count.
    pub(super) fn minus(&self, other: &Names) -> Vec<String> {
        let mut patterns: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for name in self.0.difference(&other.0) {
            patterns.entry(without_numbers(name)).or_default().push(name);
        }
        let one = |(pattern, names): (String, Vec<&String>)| match names.as_slice() {
            [name] => (*name).clone(),
            names => format!("{pattern} ({})", names.len()),
        };
        patterns.into_iter().map(one).collect()
    }
}

/// A text in which every segment of a name that is a number is `*`: `layers.3.q` is `layers.*.q`.
pub(super) fn without_numbers(text: &str) -> String {
    let is_number = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    let word = |word: &str| {
        // `0.5` and `1.` are numbers, not names.
        if !word.contains('.') || !word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return word.to_owned();
        }
        let segments = word
            .split('.')
            .map(|segment| if is_number(segment) { "*" } else { segment });
        segments.collect::<Vec<_>>().join(".")
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Numbers in ascending order as ranges: `0-3, 7`.
pub(super) fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => parts.push((number, number)),
        }
    }
    let show = |(start, end): (usize, usize)| match start == end {
        true => start.to_string(),
        false => format!("{start}-{end}"),
    };
    parts.into_iter().map(show).collect::<Vec<_>>().join(", ")
}
