//! Names of plugins and of their files.

/// What a plugin may be called.
pub(crate) const ID_PATTERN: &str = "^[a-z0-9][a-z0-9_-]*$";

/// How the files of a formatter may end.
pub(crate) const EXTENSION_PATTERN: &str = r"^[a-z0-9]+(\.[a-z0-9]+)*$";

/// Whether `id` fits [`ID_PATTERN`] and is short enough for a file's name.
pub(crate) fn is_plugin_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    id.len() <= 64
        && id.bytes().next().is_some_and(plain)
        && id.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'-'))
}

/// Whether `extension` fits [`EXTENSION_PATTERN`] and is short.
pub(super) fn is_extension(extension: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    extension.len() <= 32 && extension.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::{is_extension, is_plugin_id};

    #[test]
    fn ids_are_names_of_files_everywhere() {
        for id in ["a", "length-filter", "0x", "a_b-c9"] {
            assert!(is_plugin_id(id), "{id}");
        }
        for id in ["", "-a", "_a", "A", "a.b", "a/b", "é", "a b", &"a".repeat(65)] {
            assert!(!is_plugin_id(id), "{id}");
        }
    }

    #[test]
    fn an_extension_has_no_dot_at_its_ends() {
        assert!(is_extension("csv") && is_extension("csv.gz"));
        for extension in ["", ".csv", "csv.", "a..b", "CSV", "a/b"] {
            assert!(!is_extension(extension), "{extension}");
        }
    }
}
