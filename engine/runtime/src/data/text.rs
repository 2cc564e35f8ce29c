//! Plain text: one document a line, or the whole file as one.

use std::io::{BufRead, Read};
use std::sync::Arc;

use sli_config::Diagnostic;

use super::row::{Place, RawRow};
use super::source::{LINE_LIMIT, Rows, next_line};
use crate::error::{Result, RunError};

/// One row a line. Empty lines are no documents: text files end with one and separate paragraphs by them.
pub(super) fn lines(mut input: Box<dyn BufRead>, name: Arc<str>) -> Rows {
    let mut line = 0;
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        while !ended {
            line += 1;
            let place = Place::Line(Arc::clone(&name), line);
            match next_line(&mut *input, LINE_LIMIT) {
                Ok(Some(text)) if text.trim().is_empty() => {}
                Ok(Some(text)) => {
                    return Some(Ok(RawRow {
                        place,
                        id: None,
                        text: Some(text),
                        ids: Vec::new(),
                        fields: None,
                    }));
                }
                Ok(None) => ended = true,
                Err(error) => {
                    ended = error.kind() != std::io::ErrorKind::InvalidData;
                    return Some(Err(Diagnostic::error(format!("{place}: {error}"))));
                }
            }
        }
        None
    }))
}

/// The file as one row.
pub(super) fn whole(mut input: Box<dyn BufRead>, name: Arc<str>) -> Result<Rows> {
    let mut text = String::new();
    let read = input.by_ref().take(LINE_LIMIT as u64).read_to_string(&mut text);
    let wrong = |what: String| RunError::input(Diagnostic::error(format!("{name}: {what}")));
    read.map_err(|error| wrong(error.to_string()))?;
    if !input.fill_buf().map_err(|error| wrong(error.to_string()))?.is_empty() {
        return Err(wrong(format!(
            "the file is longer than {LINE_LIMIT} bytes, too long for one document"
        )));
    }
    let row = RawRow {
        place: Place::File(name),
        id: None,
        text: Some(text),
        ids: Vec::new(),
        fields: None,
    };
    Ok(Box::new(std::iter::once(Ok(row))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_whole_files() {
        let rows: Vec<_> = lines(Box::new(&b"one\n\n two \nthree"[..]), "a.txt".into())
            .map(|row| row.unwrap())
            .collect();
        assert_eq!(
            rows.iter().map(|row| row.text.as_deref().unwrap()).collect::<Vec<_>>(),
            ["one", " two ", "three"]
        );
        assert_eq!(rows[1].place.to_string(), "a.txt:3");
        let mut rows = whole(Box::new(&b"one\n\ntwo\n"[..]), "a.txt".into()).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().text.as_deref(), Some("one\n\ntwo\n"));
        assert!(rows.next().is_none());
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let rows: Vec<_> = lines(Box::new(&b"one\n\xff\nthree\n"[..]), "a.txt".into()).collect();
        assert_eq!(
            rows[1].as_ref().unwrap_err().message,
            "a.txt:2: byte 0 of the line is not UTF-8"
        );
        assert_eq!(rows[2].as_ref().unwrap().text.as_deref(), Some("three"));
    }
}
