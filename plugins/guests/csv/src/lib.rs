//! Rows as comma-separated values, as RFC 4180 has them: lines end with CRLF, fields with a separator, a quote or a line
//! break are quoted, quotes in them doubled.

use serde::Deserialize;
use sli_pipe_plugin::formatter::{Cell, Column, Formatter};

/// The formatter.
pub struct Csv(Options);

sli_pipe_plugin::formatter!(Csv);

/// The stage's `with` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    header: bool,
    separator: char,
    line_end: LineEnd,
    missing: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            header: true,
            separator: ',',
            line_end: LineEnd::Crlf,
            missing: String::new(),
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineEnd {
    Crlf,
    Lf,
}

impl Formatter for Csv {
    type Options = Options;

    fn new(options: Options) -> Result<Csv, String> {
        match options.separator {
            '"' | '\r' | '\n' => Err(format!("{:?} cannot separate fields", options.separator)),
            _ => Ok(Csv(options)),
        }
    }

    fn format(&self, columns: &[Column], rows: &[Vec<Cell>], first: bool, _last: bool) -> Result<Vec<u8>, String> {
        let mut out = String::new();
        if first && self.0.header {
            self.line(&mut out, columns, |out, column| self.text(out, &column.name));
        }
        for row in rows {
            self.line(&mut out, row, |out, cell| self.cell(out, cell));
        }
        Ok(out.into_bytes())
    }
}

impl Csv {
    fn line<T>(&self, out: &mut String, fields: &[T], field: impl Fn(&mut String, &T)) {
        for (k, value) in fields.iter().enumerate() {
            if k > 0 {
                out.push(self.0.separator);
            }
            field(out, value);
        }
        out.push_str(match self.0.line_end {
            LineEnd::Crlf => "\r\n",
            LineEnd::Lf => "\n",
        });
    }

    fn cell(&self, out: &mut String, cell: &Cell) {
        match cell {
            Cell::Missing => out.push_str(&self.0.missing),
            Cell::Text(text) => self.text(out, text),
            Cell::Integer(x) => out.push_str(&x.to_string()),
            // The shortest text that reads as the same number; `{:?}` writes 1e300 so, not with 300 zeros.
            Cell::Number(x) => out.push_str(&format!("{x:?}")),
            Cell::Boolean(x) => out.push_str(if *x { "true" } else { "false" }),
        }
    }

    fn text(&self, out: &mut String, text: &str) {
        let special = |c: char| c == self.0.separator || matches!(c, '"' | '\r' | '\n');
        if !text.is_empty() && text != self.0.missing && !text.contains(special) {
            out.push_str(text);
            return;
        }
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_pipe_plugin::formatter::ColumnKind;

    fn csv(options: &str, rows: &[Vec<Cell>], first: bool) -> String {
        let columns = ["id", "a,b"].map(|name| Column {
            name: name.to_owned(),
            kind: ColumnKind::Text,
        });
        let csv = Csv::new(serde_json::from_str(options).unwrap()).unwrap();
        String::from_utf8(csv.format(&columns, rows, first, false).unwrap()).unwrap()
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let rows = [
            vec![text("say \"hi\""), text("two\nlines")],
            vec![text("plain"), text("a,b")],
        ];
        assert_eq!(
            csv("{}", &rows, true),
            "id,\"a,b\"\r\n\"say \"\"hi\"\"\",\"two\nlines\"\r\nplain,\"a,b\"\r\n"
        );
    }

    #[test]
    fn missing_and_empty_are_two_things() {
        let rows = [vec![Cell::Missing, Cell::Text(String::new())]];
        assert_eq!(csv(r#"{"line_end": "lf"}"#, &rows, false), ",\"\"\n");
        let rows = [vec![Cell::Missing, Cell::Text("NA".to_owned())]];
        assert_eq!(
            csv(r#"{"line_end": "lf", "missing": "NA"}"#, &rows, false),
            "NA,\"NA\"\n"
        );
    }

    #[test]
    fn numbers_read_back_as_themselves() {
        let rows = [
            vec![Cell::Number(0.1 + 0.2), Cell::Number(1e300)],
            vec![Cell::Integer(-7), Cell::Boolean(true)],
        ];
        assert_eq!(
            csv(r#"{"separator": ";", "line_end": "lf", "header": false}"#, &rows, true),
            "0.30000000000000004;1e300\n-7;true\n"
        );
    }
}
