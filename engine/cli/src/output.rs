//! Where words go: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
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

/// A table without frame, as wide as the terminal; the columns of `right` hold numbers.
pub(crate) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    // Into a pipe, a row stays on one line, so that `grep` and `cut` see all of it.
    match Term::stdout().size_checked() {
        Some((_, columns)) if io::stdout().is_terminal() => {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(columns);
        }
        _ => drop(table.set_content_arrangement(ContentArrangement::Disabled)),
    }
    table.set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table's text: no spaces at the ends of lines, a newline at the end.
pub(crate) fn table_text(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// `text` with two spaces in front of each line, to stand below [`fields`].
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// `name   value` lines, names padded to one width and two spaces in front.
pub(crate) fn fields<N: AsRef<str>, V: AsRef<str>>(rows: &[(N, V)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.as_ref().chars().count())
        .max()
        .unwrap_or(0);
    let row = |(name, value): &(N, V)| format!("  {:width$}  {}\n", name.as_ref(), value.as_ref());
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_frame_and_no_spaces_at_the_ends_of_lines() {
        let mut numbers = table(&["NAME", "BYTES"], &[1]);
        numbers.add_row(["a", "5"]).add_row(["longer", "12345"]);
        assert_eq!(table_text(&numbers), "NAME    BYTES\na           5\nlonger  12345\n");
    }

    #[test]
    fn fields_are_aligned() {
        assert_eq!(fields(&[("a", "1"), ("long", "2")]), "  a     1\n  long  2\n");
        assert_eq!(indented("a\nb\n"), "  a\n  b\n");
    }
}
