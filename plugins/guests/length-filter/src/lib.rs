//! A filter by length: drops documents that are too short or too long, or splits the long ones.

use serde::Deserialize;
use sli_pipe_plugin::filter::{Document, Filter};
use sli_pipe_plugin::log;

/// The filter.
pub struct LengthFilter(Options);

sli_pipe_plugin::filter!(LengthFilter);

/// The stage's `with` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    #[serde(default = "one")]
    min: usize,
    max: Option<usize>,
    #[serde(default)]
    unit: Unit,
    split_at: Option<usize>,
    #[serde(default)]
    squeeze: bool,
}

fn one() -> usize {
    1
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    #[default]
    Characters,
    Words,
}

impl Unit {
    fn count(self, text: &str) -> usize {
        match self {
            Unit::Characters => text.chars().count(),
            Unit::Words => text.split_whitespace().count(),
        }
    }

    /// Where the first `n` units of a text that has more end, as a byte offset; at the end of a word where there is one.
    fn cut(self, text: &str, n: usize) -> usize {
        match self {
            Unit::Words => {
                let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
                text.split_whitespace().nth(n).map_or(text.len(), start)
            }
            Unit::Characters => {
                let end = text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
                // A word that goes on behind the limit begins the next piece.
                let whole = text[end..].starts_with(char::is_whitespace);
                match text[..end].trim_end().rfind(char::is_whitespace) {
                    Some(space) if !whole && !text[space..end].trim().is_empty() => space + 1,
                    _ => end,
                }
            }
        }
    }
}

impl Filter for LengthFilter {
    type Options = Options;

    fn new(options: Options) -> Result<LengthFilter, String> {
        let most = options.max.or(options.split_at);
        match most {
            Some(most) if most < options.min => Err(format!(
                "nothing has at least {} and at most {most}: `min` must not be above `max` or `split_at`",
                options.min
            )),
            _ => Ok(LengthFilter(options)),
        }
    }

    fn apply(&self, document: Document) -> Result<Vec<String>, String> {
        let options = &self.0;
        let text = match options.squeeze {
            true => squeeze(&document.text),
            false => document.text,
        };
        let length = options.unit.count(&text);
        if length < options.min {
            log::info(&format!("`{}` is too short: {length} of {}", document.id, options.min));
            return Ok(Vec::new());
        }
        match (options.split_at, options.max) {
            (Some(at), _) if length > at => Ok(self.pieces(&text, at)),
            (None, Some(max)) if length > max => {
                log::info(&format!("`{}` is too long: {length} of {max}", document.id));
                Ok(Vec::new())
            }
            _ => Ok(vec![text]),
        }
    }
}

impl LengthFilter {
    fn pieces(&self, text: &str, at: usize) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end = match self.0.unit.count(rest) > at {
                true => self.0.unit.cut(rest, at),
                false => rest.len(),
            };
            let (piece, after) = rest.split_at(end);
            pieces.push(piece.trim_end().to_owned());
            rest = after.trim_start();
        }
        pieces.retain(|piece| self.0.unit.count(piece) >= self.0.min);
        pieces
    }
}

/// Runs of white space as one space, or one line break where they hold one.
fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = None;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            gap = if c == '\n' { Some('\n') } else { gap.or(Some(' ')) };
        } else {
            out.extend(gap.take());
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_pipe_plugin::filter::filter;

    fn run(options: &str, text: &str) -> Vec<String> {
        let document = Document {
            id: "a".into(),
            text: text.into(),
            fields: "{}".into(),
        };
        filter::<LengthFilter>(options, vec![document]).unwrap().remove(0)
    }

    #[test]
    fn short_and_long_documents_are_dropped() {
        assert_eq!(run(r#"{"min": 3, "max": 5}"#, "ab"), Vec::<String>::new());
        assert_eq!(run(r#"{"min": 3, "max": 5}"#, "äöü"), ["äöü"]);
        assert_eq!(run(r#"{"min": 3, "max": 5}"#, "abcdef"), Vec::<String>::new());
        assert_eq!(run(r#"{"min": 2, "unit": "words"}"#, " one  "), Vec::<String>::new());
        assert_eq!(run("{}", ""), Vec::<String>::new());
    }

    #[test]
    fn long_documents_are_split_at_the_ends_of_words() {
        assert_eq!(
            run(r#"{"split_at": 9}"#, "some text in pieces"),
            ["some text", "in pieces"]
        );
        assert_eq!(
            run(r#"{"split_at": 7}"#, "some text in pieces"),
            ["some", "text in", "pieces"]
        );
        assert_eq!(run(r#"{"split_at": 3}"#, "abcdefg hi"), ["abc", "def", "g", "hi"]);
        assert_eq!(
            run(r#"{"split_at": 2, "unit": "words"}"#, "a b c d e"),
            ["a b", "c d", "e"]
        );
        assert_eq!(run(r#"{"split_at": 3, "min": 2}"#, "abcdefg hi"), ["abc", "def", "hi"]);
    }

    #[test]
    fn white_space_is_squeezed_before_counting() {
        assert_eq!(run(r#"{"squeeze": true, "max": 5}"#, " a \t b \n  c "), ["a b\nc"]);
    }

    #[test]
    fn limits_that_exclude_everything_are_refused() {
        let error = filter::<LengthFilter>(r#"{"min": 9, "max": 5}"#, Vec::new()).unwrap_err();
        assert!(error.contains("at least 9 and at most 5"), "{error}");
        assert!(filter::<LengthFilter>(r#"{"mni": 9}"#, Vec::new()).is_err());
    }
}
