//! "Did you mean".

/// The candidate that `word` is most likely a misspelling of, if one is close enough to be worth saying.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            (
                distance,
                candidate,
                distance <= 1 + other.chars().count().min(lower.chars().count()) / 4,
            )
        })
        .filter(|(_, _, close)| *close)
        .min_by_key(|(distance, candidate, _)| (*distance, *candidate))
        .map(|(_, candidate, _)| candidate)
}

/// `` did you mean `engine`? `` or, where nothing is close, `` `a`, `b` and `c` are known ``.
pub(crate) fn known_help(word: &str, known: &[&str]) -> String {
    match suggest(word, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("known here: {}", list(known)),
    }
}

/// `` `a`, `b`, `c` ``.
pub(crate) fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn finds_the_closest_and_only_if_close() {
        let keys = ["memory", "device", "dtype", "gpu_memory"];
        assert_eq!(suggest("memroy", keys), Some("memory"));
        assert_eq!(suggest("dtyp", keys), Some("dtype"));
        assert_eq!(suggest("Device", keys), Some("device"));
        assert_eq!(suggest("temperature", keys), None);
        assert_eq!(suggest("x", ["y"]), Some("y"));
        assert_eq!(suggest("memory", keys), None, "the word itself is no suggestion");
    }
}
