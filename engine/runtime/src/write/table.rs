//! Rows of results as Parquet or JSON lines.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};
use sli_config::Diagnostic;

use super::file::{Finished, OutFile};
use crate::error::{Result, RunError};
use crate::stages::SharedFormatting;

/// Bytes of encoded rows after which a row group is written: this much of a table is in memory.
const ROW_GROUP_BYTES: usize = 4 << 20;

/// A table while it is written, one batch of rows after the other.
pub(crate) struct Table {
    form: Form,
    path: PathBuf,
    /// What else is made of the rows.
    formattings: Vec<SharedFormatting>,
}

/// The form of a table's file.
enum Form {
    Parquet(Box<ArrowWriter<OutFile>>),
    /// One JSON object a line.
    Jsonl(BufWriter<OutFile>),
}

impl Table {
    /// Bytes of memory that a table holds back at most.
    pub(crate) const BUFFER_BYTES: u64 = 3 * ROW_GROUP_BYTES as u64;

    /// A Parquet table in `file`, whose path is for messages.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn parquet(file: OutFile, path: PathBuf, schema: SchemaRef) -> Result<Table> {
        let level = ZstdLevel::default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .build();
        match ArrowWriter::try_new(file, schema, Some(properties)) {
            Ok(writer) => Ok(Table::new(Form::Parquet(Box::new(writer)), path)),
            Err(error) => Err(parquet_error(&path, error)),
        }
    }

    /// A table of JSON lines in `file`, whose path is for messages.
    pub(crate) fn jsonl(file: OutFile, path: PathBuf) -> Table {
        Table::new(Form::Jsonl(BufWriter::with_capacity(64 << 10, file)), path)
    }

    fn new(form: Form, path: PathBuf) -> Table {
        Table {
            form,
            path,
            formattings: Vec::new(),
        }
    }

    /// Hands the rows, of this schema, to formatters too.
    pub(crate) fn formatted(mut self, formattings: &[SharedFormatting], schema: &SchemaRef) -> Table {
        for formatting in formattings {
            formatting.borrow_mut().columns(schema);
        }
        self.formattings = formattings.to_vec();
        self
    }

    /// Adds rows.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        for formatting in &self.formattings {
            formatting.borrow_mut().take(rows)?;
        }
        let path = &self.path;
        match &mut self.form {
            Form::Parquet(writer) => {
                let written = writer.write(rows).and_then(|()| match writer.in_progress_size() {
                    size if size > ROW_GROUP_BYTES => writer.flush(),
                    _ => Ok(()),
                });
                written.map_err(|error| parquet_error(path, error))
            }
            Form::Jsonl(writer) => {
                let written = (0..rows.num_rows()).try_for_each(|row| {
                    serde_json::to_writer(&mut *writer, &object(rows, row))?;
                    writer.write_all(b"\n")
                });
                written.map_err(|error| RunError::write(path, &error))
            }
        }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn finish(self) -> Result<Finished> {
        let path = &self.path;
        match self.form {
            Form::Parquet(writer) => writer
                .into_inner()
                .map_err(|error| parquet_error(path, error))?
                .finish(),
            Form::Jsonl(writer) => writer
                .into_inner()
                .map_err(|error| RunError::write(path, error.error()))?
                .finish(),
        }
    }
}

fn parquet_error(path: &std::path::Path, error: ParquetError) -> RunError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => RunError::write(path, &error),
            Err(error) => RunError::run(Diagnostic::error(format!(
                "`{}` could not be written: {error}",
                path.display()
            ))),
        },
        other => RunError::run(Diagnostic::error(format!(
            "`{}` could not be written: {other}",
            path.display()
        ))),
    }
}

fn object(rows: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = rows.schema();
    let cells = schema.fields().iter().zip(rows.columns());
    cells
        .map(|(field, column)| (field.name().clone(), cell(column, row)))
        .collect()
}

/// One cell as JSON; a number that JSON cannot say (an infinity) is `null`.
pub(crate) fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        DataType::List(_) => {
            let list: Arc<dyn Array> = column.as_list::<i32>().value(row);
            (0..list.len()).map(|at| cell(&list, at)).collect()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{Float32Builder, ListBuilder};
    use arrow_array::{Float64Array, StringArray, UInt64Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

    fn rows() -> RecordBatch {
        let mut lists = ListBuilder::new(Float32Builder::new());
        lists.append_value([Some(0.5), None]);
        lists.append_null();
        let columns: [(&str, ArrayRef); 4] = [
            ("id", Arc::new(StringArray::from(vec!["a", "b"]))),
            ("tokens", Arc::new(UInt64Array::from(vec![3, 4]))),
            ("nll", Arc::new(Float64Array::from(vec![1.5, f64::INFINITY]))),
            ("list", Arc::new(lists.finish())),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn json_lines_hold_what_the_rows_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut table = Table::jsonl(OutFile::create(&path).unwrap(), path.clone());
        table.write(&rows()).unwrap();
        let finished = table.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let want = "{\"id\":\"a\",\"tokens\":3,\"nll\":1.5,\"list\":[0.5,null]}\n{\"id\":\"b\",\"tokens\":4,\"nll\":null,\"list\":null}\n";
        assert_eq!((text.as_str(), finished.bytes), (want, text.len() as u64));
    }

    #[test]
    fn parquet_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let file = OutFile::create(&path).unwrap();
        let mut table = Table::parquet(file, path.clone(), rows().schema()).unwrap();
        table.write(&rows()).unwrap();
        table.write(&rows()).unwrap();
        let finished = table.finish().unwrap();
        assert_eq!(finished.sha256, super::super::file::sha256_of(&path).unwrap());
        let read = ParquetRecordBatchReader::try_new(std::fs::File::open(&path).unwrap(), 64).unwrap();
        let batches: Vec<RecordBatch> = read.map(|batch| batch.unwrap()).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        assert_eq!(batches[0].slice(0, 2), rows());
    }
}
