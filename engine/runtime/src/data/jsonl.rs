//! JSON lines: one object a line.

use std::io::BufRead;
use std::sync::Arc;

use serde_json::{Map, Value};
use sli_config::Diagnostic;

use super::row::{ID_FIELDS, Place, RawRow};
use super::source::{LINE_LIMIT, Rows, next_line};

/// The rows of `input`; empty lines are skipped. With `keep_fields` a row has its other fields too.
pub(super) fn rows(mut input: Box<dyn BufRead>, name: Arc<str>, text_field: &str, keep_fields: bool) -> Rows {
    let text_field = text_field.to_owned();
    let mut line = 0;
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        while !ended {
            line += 1;
            let place = Place::Line(Arc::clone(&name), line);
            match next_line(&mut *input, LINE_LIMIT) {
                Ok(Some(text)) if text.trim().is_empty() => {}
                Ok(Some(text)) => return Some(parse(&text, place, &text_field, keep_fields)),
                Ok(None) => ended = true,
                Err(error) => {
                    // After bytes that are not text the next line can still be read; after a disk error not.
                    ended = error.kind() != std::io::ErrorKind::InvalidData;
                    return Some(Err(Diagnostic::error(format!("{place}: {error}"))));
                }
            }
        }
        None
    }))
}

/// The row of one line.
pub(super) fn parse(
    line: &str,
    place: Place,
    text_field: &str,
    keep_fields: bool,
) -> std::result::Result<RawRow, Diagnostic> {
    let mut object: Map<String, Value> = match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => {
            return Err(
                Diagnostic::error(format!("{place}: the line is not a JSON object")).help(format!(
                    "a row looks like {{\"{text_field}\": \"…\"}} or {{\"input_ids\": [1, 2, 3]}}"
                )),
            );
        }
        Err(error) => {
            let column = error.column();
            // serde_json ends with " at line 1 column c", and the line is always 1 here.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            return Err(Diagnostic::error(format!(
                "{place}: the line is not valid JSON: {message}, at column {column}"
            )));
        }
    };
    let wrong = |key: &str, what: &str| Diagnostic::error(format!("{place}: `{key}` is not {what}"));
    let id = match object.get("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        Some(_) => return Err(wrong("id", "a string or a number")),
    };
    let text = match object.get(text_field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(wrong(text_field, "a string")),
    };
    let mut ids = Vec::new();
    for field in ID_FIELDS {
        match object.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                let numbers: Option<Vec<i64>> = list.iter().map(Value::as_i64).collect();
                ids.push((field, numbers.ok_or_else(|| wrong(field, "a list of whole numbers"))?));
            }
            Some(_) => return Err(wrong(field, "a list of whole numbers")),
        }
    }
    if text.is_none() && !ids.iter().any(|field| field.0 == "input_ids") {
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        let help = match sli_config::suggest(text_field, keys.iter().copied()) {
            Some(near) => format!("the row has `{near}`: set `[data] text = \"{near}\"`"),
            None if keys.is_empty() => "the row has no fields".to_owned(),
            None => format!("the row has {}; name the field with `[data] text`", quoted(&keys)),
        };
        return Err(
            Diagnostic::error(format!("{place}: the row has neither `{text_field}` nor `input_ids`")).help(help),
        );
    }
    let fields = keep_fields.then(|| {
        object.retain(|key, _| key != "id" && key != text_field && !ID_FIELDS.contains(&key.as_str()));
        Value::Object(object).to_string()
    });
    Ok(RawRow {
        place,
        id,
        text,
        ids,
        fields,
    })
}

fn quoted(keys: &[&str]) -> String {
    keys.iter()
        .take(8)
        .map(|key| format!("`{key}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::Line("a.jsonl".into(), 3)
    }

    fn all(text: &'static str) -> Vec<std::result::Result<RawRow, Diagnostic>> {
        rows(Box::new(text.as_bytes()), "a.jsonl".into(), "text", false).collect()
    }

    #[test]
    fn fields_are_read_and_numbers_make_ids() {
        let row = parse(
            r#"{"text": "a", "id": 7, "lang": "de", "token_type_ids": [0, 1]}"#,
            place(),
            "text",
            true,
        )
        .unwrap();
        assert_eq!((row.id.as_deref(), row.text.as_deref()), (Some("7"), Some("a")));
        assert_eq!(row.field("token_type_ids"), Some(&[0, 1][..]));
        assert_eq!(row.field("input_ids"), None);
        assert_eq!(row.fields.as_deref(), Some(r#"{"lang":"de"}"#));
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = |line: &str| parse(line, place(), "text", false).unwrap_err();
        assert_eq!(error("{\"text\": 1}").message, "a.jsonl:3: `text` is not a string");
        assert!(
            error("{\"text\": ")
                .message
                .starts_with("a.jsonl:3: the line is not valid JSON: EOF")
        );
        assert_eq!(error("[1]").message, "a.jsonl:3: the line is not a JSON object");
        assert_eq!(
            error("{\"input_ids\": [1.5]}").message,
            "a.jsonl:3: `input_ids` is not a list of whole numbers"
        );
        let missing = error("{\"Text\": \"a\"}");
        assert_eq!(missing.message, "a.jsonl:3: the row has neither `text` nor `input_ids`");
        assert_eq!(missing.help, ["the row has `Text`: set `[data] text = \"Text\"`"]);
    }

    #[test]
    fn empty_lines_count_as_lines_but_are_no_rows() {
        let rows = all("{\"text\": \"a\"}\r\n\n{\"text\": \"b\"}\nnonsense");
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1].as_ref().unwrap().place, place());
        assert!(rows[2].as_ref().unwrap_err().message.starts_with("a.jsonl:4:"));
    }
}
