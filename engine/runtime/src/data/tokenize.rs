//! Text to ids by the checkpoint's own `tokenizer.json`.

use std::path::Path;

use serde::Serialize;
use sli_config::Diagnostic;
use tokenizers::Tokenizer;

use crate::error::{Result, RunError};

/// What the tokenizer put in front of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bos {
    /// Documents that begin with a special token which the tokenizer added.
    pub added: u64,
    /// The last such token.
    pub token: Option<u32>,
    /// Documents whose ids were given, or that got nothing in front.
    pub as_given: u64,
}

/// The ids of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) ids: Vec<i64>,
    /// Token types, if any is not 0.
    pub(super) types: Option<Vec<i64>>,
    /// The special token in front.
    pub(super) bos: Option<u32>,
}

/// A loaded `tokenizer.json`.
pub struct Tokenize {
    inner: Tokenizer,
}

impl Tokenize {
    /// Loads `path`. Its padding and truncation are switched off: batches are packed, and length is the
    /// pipeline's business.
    ///
    /// # Errors
    /// The file is missing or not a tokenizer.
    pub fn open(path: &Path) -> Result<Tokenize> {
        let wrong =
            |why: String| RunError::input(Diagnostic::error(why).help("rows with `input_ids` need no tokenizer"));
        if !path.exists() {
            return Err(wrong(format!(
                "there is no `{}`, and a row has text to tokenise",
                path.display()
            )));
        }
        let load = Tokenizer::from_file(path);
        let mut inner = load.map_err(|error| wrong(format!("`{}` is not a tokenizer: {error}", path.display())))?;
        inner.with_padding(None);
        let cut = inner.with_truncation(None);
        cut.map_err(|error| wrong(format!("`{}`: {error}", path.display())))?;
        Ok(Tokenize { inner })
    }

    /// The ids of several texts, with the special tokens that the tokenizer's post-processor adds if `special`.
    pub(super) fn batch(&self, texts: Vec<&str>, special: bool) -> Result<Vec<Encoded>> {
        let encoded = self.inner.encode_batch_fast(texts, special);
        let encoded =
            encoded.map_err(|error| RunError::input(Diagnostic::error(format!("the tokenizer failed: {error}"))))?;
        let one = |encoding: &tokenizers::Encoding| {
            let ids: Vec<i64> = encoding.get_ids().iter().map(|id| i64::from(*id)).collect();
            let types = encoding.get_type_ids();
            let typed = types.iter().any(|kind| *kind != 0);
            // More than one token: a text that is nothing but its end mark has nothing in front.
            let in_front = ids.len() > 1 && encoding.get_special_tokens_mask().first() == Some(&1);
            Encoded {
                bos: in_front.then(|| encoding.get_ids()[0]),
                types: typed.then(|| types.iter().map(|kind| i64::from(*kind)).collect()),
                ids,
            }
        };
        Ok(encoded.iter().map(one).collect())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    /// A word-level tokenizer with the words `a b c`, ids 1.., and a `[CLS]` (0) in front.
    pub(in crate::data) fn file() -> tempfile::NamedTempFile {
        let text = r#"{"version": "1.0",
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 4,
                "pad_type_id": 0, "pad_token": "[UNK]"},
            "added_tokens": [{"id": 0, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}],
            "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]}}},
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"[CLS]": 0, "a": 1, "b": 2, "c": 3, "[UNK]": 4}, "unk_token": "[UNK]"}}"#;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn special_tokens_are_added_and_neither_cut_nor_padded() {
        let file = file();
        let tokenizer = Tokenize::open(file.path()).unwrap();
        let encoded = tokenizer.batch(vec!["a b c a", ""], true).unwrap();
        assert_eq!(
            (encoded[0].ids.as_slice(), encoded[0].bos),
            (&[0, 1, 2, 3, 1][..], Some(0))
        );
        assert_eq!(
            (encoded[1].ids.as_slice(), encoded[1].bos, &encoded[1].types),
            (&[0][..], None, &None)
        );
    }

    #[test]
    fn a_missing_or_broken_tokenizer_is_named() {
        let error = Tokenize::open(Path::new("/nowhere/tokenizer.json"))
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "there is no `/nowhere/tokenizer.json`, and a row has text to tokenise"
        );
        let mut broken = tempfile::NamedTempFile::new().unwrap();
        broken.write_all(b"{}").unwrap();
        assert!(
            Tokenize::open(broken.path())
                .err()
                .unwrap()
                .to_string()
                .contains("is not a tokenizer")
        );
    }
}
