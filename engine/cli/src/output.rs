//! Where words go: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::Term;
use serde::Serialize;
use sli_config::{Diagnostic, render};

use crate::failure::{Failure, Outcome};

/// Writes a result, which ends with a newline.
///
/// # Errors
/// [`Failure::Closed`] if nobody reads any more; else that the output cannot be written.
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a result as one indented JSON object.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::from(io::Error::from(error)))?;
    print(&(text + "\n"))
}

/// Says something beside the result. That nobody listens is no reason to stop.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows diagnostics, in colour on a terminal.
pub(crate) fn show(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        say(&render(diagnostics, colour()));
    }
}

/// Whether standard error is a terminal that wants colour; see <https://no-color.org>.
pub(crate) fn colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stderr().is_terminal() && !refused && !dumb
}

/// A table without frame, as wide as the terminal; columns named in `right` hold numbers.
pub(crate) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // Into a pipe, a row stays on one line, so that `grep` and `cut` see all of it.
    match Term::stdout().size_checked() {
        Some((_, columns)) if io::stdout().is_terminal() => drop(table.set_width(columns)),
        _ => drop(table.set_content_arrangement(ContentArrangement::Disabled)),
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(Cell::new));
    }
    for column in right {
        while table.column_count() <= *column && header.is_empty() {
            break;
        }
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table's text: no spaces at the ends of lines, a newline at the end.
pub(crate) fn table_text(table: &Table) -> String {
    table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// `name   value` lines, names padded to one width and two spaces in front.
pub(crate) fn fields<N: AsRef<str>, V: AsRef<str>>(rows: &[(N, V)]) -> String {
    let width = rows.iter().map(|(name, _)| name.as_ref().chars().count()).max().unwrap_or(0);
    let row = |(name, value): &(N, V)| format!("  {:width$}  {}\n", name.as_ref(), value.as_ref());
    rows.iter().map(row).collect()
}
