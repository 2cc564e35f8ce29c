//! {{title}}: rows as a Markdown table.

use serde::Deserialize;
use sli_pipe_plugin::formatter::{Cell, Column, Formatter};

/// The formatter.
pub struct MyFormatter(Options);

sli_pipe_plugin::formatter!(MyFormatter);

/// The stage's `with` table; `plugin.toml` has its schema.
#[derive(Deserialize)]
pub struct Options {
    #[serde(default = "dash")]
    missing: String,
}

fn dash() -> String {
    "-".to_owned()
}

impl Formatter for MyFormatter {
    type Options = Options;

    fn new(options: Options) -> Result<MyFormatter, String> {
        Ok(MyFormatter(options))
    }

    /// The bytes of some rows, appended to the file. A call may hold no rows.
    fn format(&self, columns: &[Column], rows: &[Vec<Cell>], first: bool, _last: bool) -> Result<Vec<u8>, String> {
        let mut out = String::new();
        if first {
            let names = columns.iter().map(|column| column.name.as_str());
            out.push_str(&format!("| {} |\n", names.collect::<Vec<_>>().join(" | ")));
            out.push_str(&format!("|{}\n", "---|".repeat(columns.len())));
        }
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| self.cell(cell)).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        Ok(out.into_bytes())
    }
}

impl MyFormatter {
    fn cell(&self, cell: &Cell) -> String {
        match cell {
            Cell::Missing => self.0.missing.clone(),
            Cell::Text(text) => text.replace('|', "\\|"),
            Cell::Integer(x) => x.to_string(),
            Cell::Number(x) => x.to_string(),
            Cell::Boolean(x) => x.to_string(),
        }
    }
}
