//! Options as a person writes them in `SLI_PIPE_READ`.

use crate::io::BackendKind;
use crate::loader::ReadOptions;

/// `base`, changed as the words of `asked` say. Words that mean nothing are reported and left out.
pub(super) fn options(asked: &str, base: ReadOptions) -> ReadOptions {
    let mut options = base;
    for word in asked.split([',', ' ']).filter(|word| !word.is_empty()) {
        match (
            word,
            word.split_once('=').and_then(|(key, value)| Some((key, size(value)?))),
        ) {
            ("io_uring", _) => options.backend = BackendKind::Uring,
            ("pread", _) => options.backend = BackendKind::Threads,
            ("direct", _) => options.direct = true,
            ("buffered", _) => options.direct = false,
            (_, Some(("depth", depth))) => options.depth = depth,
            (_, Some(("block", bytes))) => options.block_bytes = bytes,
            _ => tracing::warn!(
                "`{word}` in SLI_PIPE_READ means nothing; use io_uring, pread, direct, buffered, depth=8 or block=4M"
            ),
        }
    }
    options.sane()
}

/// A number, perhaps with `K` or `M` for KiB or MiB.
fn size(text: &str) -> Option<usize> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        _ => (text, 0),
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_they_name_and_nothing_else() {
        let base = ReadOptions::default();
        assert_eq!(options("", base), base);
        let all = ReadOptions {
            backend: BackendKind::Threads,
            direct: false,
            block_bytes: 4 << 20,
            depth: 3,
        };
        assert_eq!(options("pread,buffered, depth=3 block=4M", base), all);
        assert_eq!(
            options("io_uring,direct", all),
            ReadOptions {
                block_bytes: 4 << 20,
                depth: 3,
                ..base
            }
        );
        assert_eq!(
            options("fast,depth=many,block=512K", base),
            ReadOptions {
                block_bytes: 512 << 10,
                ..base
            }
        );
        assert_eq!(
            options("depth=0,block=1", base),
            ReadOptions {
                block_bytes: 4096,
                depth: 1,
                ..base
            }
        );
    }
}
