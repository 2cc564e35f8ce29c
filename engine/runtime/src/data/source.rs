//! Opening a source by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use sli_config::Diagnostic;
use sli_config::pipeline::DataFormat;

use super::load::DataOptions;
use super::row::RawRow;
use super::{jsonl, parquet, text};
use crate::error::{Result, RunError};

/// Rows in order; a row that cannot be read is a diagnostic, and the rows after it still come where that
/// makes sense.
pub(super) type Rows = Box<dyn Iterator<Item = std::result::Result<RawRow, Diagnostic>>>;

/// Opens the source; with `keep_fields` rows of JSON lines have their other fields too.
pub(super) fn open(options: &DataOptions, keep_fields: bool) -> Result<Rows> {
    let (path, shown) = (options.source.as_path(), options.shown.as_str());
    let name: Arc<str> = shown.into();
    let stdin = path == Path::new("-");
    match options.format {
        DataFormat::Jsonl if stdin => Ok(jsonl::rows(
            Box::new(BufReader::new(io::stdin())),
            "standard input".into(),
            &options.text,
            keep_fields,
        )),
        DataFormat::Txt if stdin && options.whole => text::whole(Box::new(BufReader::new(io::stdin())), name),
        DataFormat::Txt if stdin => Ok(text::lines(Box::new(BufReader::new(io::stdin())), name)),
        DataFormat::Parquet if stdin => Err(RunError::input(
            Diagnostic::error("Parquet cannot be read from standard input: it begins at its end")
                .help("save it as a file and name that in `[data] source`"),
        )),
        DataFormat::Jsonl => Ok(jsonl::rows(reader(path, shown)?, name, &options.text, keep_fields)),
        DataFormat::Txt if options.whole => text::whole(reader(path, shown)?, name),
        DataFormat::Txt => Ok(text::lines(reader(path, shown)?, name)),
        DataFormat::Parquet => parquet::rows(file(path, shown)?, name, &options.text),
    }
}

fn file(path: &Path, shown: &str) -> Result<File> {
    let wrong = |what: String| Err(RunError::input(Diagnostic::error(what).help("check `[data] source`")));
    match File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|meta| meta.is_dir()) => {
            wrong(format!("`{shown}` is a folder, not a file"))
        }
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => wrong(format!("there is no file `{shown}`")),
        Err(error) => wrong(format!("`{shown}` cannot be opened: {error}")),
    }
}

fn reader(path: &Path, shown: &str) -> Result<Box<dyn BufRead>> {
    Ok(Box::new(BufReader::with_capacity(256 << 10, file(path, shown)?)))
}

/// One line without its end, `None` at the end of the file. Lines beyond `limit` bytes are an error: such a
/// file has no lines.
pub(super) fn next_line(input: &mut dyn BufRead, limit: usize) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = io::Read::take(&mut *input, limit as u64 + 1).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() > limit {
        return Err(io::Error::other(format!("the line is longer than {limit} bytes")));
    }
    String::from_utf8(line).map(Some).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("byte {at} of the line is not UTF-8"),
        )
    })
}

/// The longest line that is read: a document of this size is text of many books.
pub(super) const LINE_LIMIT: usize = 256 << 20;
