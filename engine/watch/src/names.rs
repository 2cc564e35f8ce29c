//! Names that editors use on the way to a saved file.

use std::path::Path;

/// Whether a file of this name is an editor's own: a swap file, a backup, a probe, a file about to be renamed.
pub(crate) fn is_an_editors_own(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let ends = [".tmp", ".swp", ".swx", ".bak", ".part", "___jb_tmp___", "___jb_old___"];
    // vim asks with a file called 4913 whether it may write in a folder
    name.starts_with('.')
        || name.starts_with('#')
        || name.ends_with('~')
        || name == "4913"
        || ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_leave_for_a_moment_is_known() {
        for name in [
            ".a.toml.swp",
            "4913",
            "a.toml~",
            "#a.toml#",
            ".#a.toml",
            "a.toml.tmp",
            ".goutputstream-X1",
        ] {
            assert!(is_an_editors_own(&Path::new("families").join(name)), "{name}");
        }
        for name in ["a.toml", "x.wasm", "std", "4913.toml"] {
            assert!(!is_an_editors_own(&Path::new(".config/families").join(name)), "{name}");
        }
    }
}
