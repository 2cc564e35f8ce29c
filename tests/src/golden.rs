//! Texts that were once read by a person and stay as they are until one reads them again.

use std::path::{Path, PathBuf};

/// The folder of the texts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ui")
}

/// Compares `found` with the text called `name` below `ui/`; with `UPDATE_GOLDEN=1` writes it instead.
#[track_caller]
pub fn check(name: &str, found: &str) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{name} is not what it was (UPDATE_GOLDEN=1 rewrites it)\n--- expected\n{expected}\n--- found\n{found}"
    );
}

/// `text` without what differs from run to run: the test's own folder becomes `<DIR>`, durations `<TIME>`,
/// and words of 64 hexadecimal digits `<HASH>`.
pub fn normalise(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "<DIR>");
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("done in ") {
            Some(_) => out.push_str("done in <TIME>\n"),
            None => out.push_str(&hashes(line)),
        }
    }
    out
}

/// Words of 64 hexadecimal digits become `<HASH>`.
fn hashes(line: &str) -> String {
    let is_digit = |char: char| char.is_ascii_hexdigit();
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_digit) {
        let len = rest[start..].find(|char| !is_digit(char)).unwrap_or(rest.len() - start);
        out.push_str(&rest[..start]);
        out.push_str(if len == 64 { "<HASH>" } else { &rest[start..start + len] });
        rest = &rest[start + len..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_hidden() {
        let hash = "0123456789abcdef".repeat(4);
        let text = format!("/tmp/x/model: {hash} of 12 bad\ndone in 0.3 s\nend");
        assert_eq!(
            normalise(&text, Path::new("/tmp/x")),
            "<DIR>/model: <HASH> of 12 bad\ndone in <TIME>\nend"
        );
    }
}
