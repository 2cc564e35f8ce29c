//! `config.json` as Python writes it: JSON, plus the literals `NaN`, `Infinity` and `-Infinity`.
//!
//! The literals become `{"__float__": "NaN"}` and so on, the spelling that newer transformers versions write
//! themselves, so that a descriptor sees one form. Error positions are those of the text on disk.

use crate::error::CheckpointError;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most bytes a `config.json` may have; real ones stay under 1 MB.
const MAX_CONFIG: u64 = 16 << 20;

const LITERALS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads `config.json` of `dir`: the parsed object, and its text as it is on disk.
pub(crate) fn read(dir: &Path) -> Result<(Value, String), CheckpointError> {
    let path = dir.join("config.json");
    let text = match read_text(&path, MAX_CONFIG) {
        Err(CheckpointError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(CheckpointError::NoConfig { dir: dir.to_owned() });
        }
        other => other?,
    };
    let config = parse(&path, &text)?;
    Ok((config, text))
}

/// Reads a whole text file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, CheckpointError> {
    let io = |source| CheckpointError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > limit {
        return Err(CheckpointError::TextTooLong {
            path: path.to_owned(),
            len,
            limit,
        });
    }
    let mut text = String::new();
    file.take(limit).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Value, CheckpointError> {
    let (json, edits) = replace_literals(text);
    let value: Value = serde_json::from_str(&json).map_err(|error| json_error(path, &error, &edits))?;
    if !value.is_object() {
        let message = "the file holds no JSON object".to_owned();
        return Err(CheckpointError::Json {
            path: path.to_owned(),
            line: 1,
            column: 1,
            message,
        });
    }
    Ok(value)
}

/// A JSON error with its place; `edits` shift the column back to where the text on disk has it.
pub(crate) fn json_error(path: &Path, error: &serde_json::Error, edits: &[Edit]) -> CheckpointError {
    let line = error.line();
    let before = edits
        .iter()
        .filter(|edit| edit.line == line && edit.end <= error.column());
    let grown: usize = before.map(|edit| edit.grown).sum();
    CheckpointError::Json {
        path: path.to_owned(),
        line,
        column: error.column() - grown,
        message: bare_message(error),
    }
}

/// The parser's message without the place it appends.
pub(crate) fn bare_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(head, _)| head)
        .to_owned()
}

/// One literal that was replaced by a longer object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// 1-based line; an edit never spans lines.
    line: usize,
    /// Column one past the replacement, in the replaced text, counted in bytes from 0.
    end: usize,
    /// Bytes that the replacement is longer than the literal.
    grown: usize,
}

fn replace_literals(text: &str) -> (String, Vec<Edit>) {
    let mut out = String::with_capacity(text.len());
    let mut edits = Vec::new();
    let (mut line, mut line_start) = (1, 0);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let token = match c {
            '"' => string_token(rest),
            '-' | 'I' | 'N' if !ends_in_word(&out) => match literal(rest) {
                Some(literal) => {
                    let object = format!("{{\"__float__\": \"{literal}\"}}");
                    out.push_str(&object);
                    edits.push(Edit {
                        line,
                        end: out.len() - line_start,
                        grown: object.len() - literal.len(),
                    });
                    rest = &rest[literal.len()..];
                    continue;
                }
                None => &rest[..1],
            },
            _ => &rest[..c.len_utf8()],
        };
        out.push_str(token);
        if let Some(last) = token.rfind('\n') {
            line += token.matches('\n').count();
            line_start = out.len() - token.len() + last + 1;
        }
        rest = &rest[token.len()..];
    }
    (out, edits)
}

/// The non-finite literal that `rest` begins with, if it ends at a word's end.
fn literal(rest: &str) -> Option<&'static str> {
    LITERALS.into_iter().find(|literal| {
        rest.strip_prefix(literal)
            .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn ends_in_word(out: &str) -> bool {
    out.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'))
}

/// The string literal at the start of `rest` with its quotes; all of `rest` where it is not closed.
fn string_token(rest: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &rest[..=at],
            _ => {}
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ok(text: &str) -> Value {
        parse(Path::new("config.json"), text).unwrap()
    }

    fn err(text: &str) -> String {
        parse(Path::new("config.json"), text).unwrap_err().to_string()
    }

    #[test]
    fn python_literals_become_float_objects() {
        let got = ok("{\"a\": [0.0, Infinity], \"b\":-Infinity,\"c\":NaN}");
        let float = |s: &str| json!({ "__float__": s });
        assert_eq!(
            got,
            json!({"a": [0.0, float("Infinity")], "b": float("-Infinity"), "c": float("NaN")})
        );
    }

    #[test]
    fn strings_and_words_are_left_alone() {
        let text = r#"{"NaN": "Infinity", "q": "\"NaN -Infinity", "é": "NaN"}"#;
        assert_eq!(ok(text), json!({"NaN": "Infinity", "q": "\"NaN -Infinity", "é": "NaN"}));
        let value = |column| format!("config.json:1:{column}: expected value. Correct the file or download it again");
        assert_eq!(err("{\"a\": NaNs}"), value(7));
        assert_eq!(err("{\"a\": +Infinity}"), value(7));
        assert!(err("{\"a\": 1-Infinity}").starts_with("config.json:1:8: expected `,`"));
    }

    #[test]
    fn errors_stand_where_the_text_on_disk_has_them() {
        // The same mistake behind a literal and behind a number of the same length has the same place.
        let literal = err("{\n  \"a\": [Infinity, NaN] \"b\": 1\n}");
        let number = err("{\n  \"a\": [12345678, 123] \"b\": 1\n}");
        assert_eq!(literal, number);
        assert_eq!(
            literal,
            "config.json:2:24: expected `,` or `}`. Correct the file or download it again"
        );
    }

    #[test]
    fn only_an_object_is_a_config() {
        assert_eq!(
            err("[1]"),
            "config.json:1:1: the file holds no JSON object. Correct the file or download it again"
        );
    }
}
