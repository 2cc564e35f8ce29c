//! Parquet files, one row group's batch at a time.

use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use sli_config::Diagnostic;

use super::row::{ID_FIELDS, Place, RawRow};
use super::source::Rows;
use crate::error::{Result, RunError};

/// Rows decoded at once; small, because a row may be a book.
const BATCH: usize = 64;

/// The rows of `file`; only the columns that matter are read.
pub(super) fn rows(file: File, name: Arc<str>, text_field: &str) -> Result<Rows> {
    let wrong = |what: String| RunError::input(Diagnostic::error(format!("{name}: {what}")));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| {
        let diagnostic = Diagnostic::error(format!("{name}: the file is not readable as Parquet: {error}"));
        RunError::input(diagnostic.help("check `[data] source`, and `format` if it is given"))
    })?;
    let schema = Arc::clone(builder.schema());
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if !known.contains(&text_field) && !known.contains(&"input_ids") {
        let shown = known
            .iter()
            .take(8)
            .map(|key| format!("`{key}`"))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(RunError::input(
            Diagnostic::error(format!(
                "{name}: there is neither a column `{text_field}` nor `input_ids`"
            ))
            .help(format!("the columns are {shown}; name one with `[data] text`")),
        ));
    }
    let used = |field: &str| field == text_field || field == "id" || ID_FIELDS.contains(&field);
    let roots = known
        .iter()
        .enumerate()
        .filter(|(_, field)| used(field))
        .map(|(index, _)| index);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder.with_projection(mask).with_batch_size(BATCH).build();
    let reader = reader.map_err(|error| wrong(error.to_string()))?;
    let text_field = text_field.to_owned();
    let mut number = 0;
    Ok(Box::new(reader.flat_map(move |batch| {
        let rows = match batch {
            Ok(batch) => decode(&batch, &name, &text_field, number),
            Err(error) => vec![Err(Diagnostic::error(format!("{name}, after row {number}: {error}")))],
        };
        number += rows.len() as u64;
        rows
    })))
}

type Row = std::result::Result<RawRow, Diagnostic>;

fn decode(batch: &RecordBatch, name: &Arc<str>, text_field: &str, first: u64) -> Vec<Row> {
    let row = |index: usize| {
        let place = Place::Row(Arc::clone(name), first + index as u64);
        let wrong = |key: &str, what: &str| Diagnostic::error(format!("{place}: `{key}` is not {what}"));
        let id = match batch.column_by_name("id").filter(|column| column.is_valid(index)) {
            None => None,
            Some(column) => {
                let number = || integer(column, index).map(|id| id.to_string());
                Some(
                    string(column, index)
                        .or_else(number)
                        .ok_or_else(|| wrong("id", "a string or a whole number"))?,
                )
            }
        };
        let text = match batch.column_by_name(text_field).filter(|column| column.is_valid(index)) {
            None => None,
            Some(column) => Some(string(column, index).ok_or_else(|| wrong(text_field, "a string"))?),
        };
        let mut ids = Vec::new();
        for field in ID_FIELDS {
            if let Some(column) = batch.column_by_name(field).filter(|column| column.is_valid(index)) {
                ids.push((
                    field,
                    list(column, index).ok_or_else(|| wrong(field, "a list of whole numbers"))?,
                ));
            }
        }
        if text.is_none() && !ids.iter().any(|field| field.0 == "input_ids") {
            return Err(Diagnostic::error(format!(
                "{place}: the row has neither `{text_field}` nor `input_ids`"
            )));
        }
        Ok(RawRow {
            place,
            id,
            text,
            ids,
            fields: None,
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

fn string(column: &ArrayRef, index: usize) -> Option<String> {
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(index).to_owned()),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(index).to_owned()),
        DataType::Utf8View => Some(column.as_string_view().value(index).to_owned()),
        _ => None,
    }
}

fn integer(column: &ArrayRef, index: usize) -> Option<i64> {
    match column.data_type() {
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(index)),
        DataType::Int32 => Some(column.as_primitive::<Int32Type>().value(index).into()),
        DataType::UInt32 => Some(column.as_primitive::<UInt32Type>().value(index).into()),
        _ => None,
    }
}

fn list(column: &ArrayRef, index: usize) -> Option<Vec<i64>> {
    let values = match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().value(index),
        DataType::LargeList(_) => column.as_list::<i64>().value(index),
        _ => return None,
    };
    (0..values.len())
        .map(|at| {
            if values.is_valid(at) {
                integer(&values, at)
            } else {
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::arrow::ArrowWriter;
    use arrow_array::builder::{Int32Builder, ListBuilder};
    use arrow_array::{Int64Array, StringArray};

    fn write(columns: Vec<(&str, ArrayRef)>) -> File {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    #[test]
    fn text_ids_and_lists_are_read() {
        let mut lists = ListBuilder::new(Int32Builder::new());
        lists.append_value([Some(1), Some(2)]);
        lists.append_null();
        let file = write(vec![
            ("id", Arc::new(Int64Array::from(vec![Some(5), None]))),
            ("body", Arc::new(StringArray::from(vec![None, Some("b")]))),
            ("input_ids", Arc::new(lists.finish())),
        ]);
        let rows: Vec<_> = rows(file, "a.parquet".into(), "body")
            .unwrap()
            .map(|row| row.unwrap())
            .collect();
        assert_eq!(
            (rows[0].id.as_deref(), rows[0].field("input_ids")),
            (Some("5"), Some(&[1, 2][..]))
        );
        assert_eq!((rows[1].id.as_deref(), rows[1].text.as_deref()), (None, Some("b")));
        assert_eq!(rows[1].place.to_string(), "a.parquet, row 1");
    }

    #[test]
    fn missing_columns_and_wrong_types_are_named() {
        let table = || write(vec![("text", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
        let error = rows(table(), "a.parquet".into(), "body").err().unwrap().to_string();
        assert_eq!(error, "a.parquet: there is neither a column `body` nor `input_ids`");
        let error = rows(table(), "a.parquet".into(), "text")
            .unwrap()
            .next()
            .unwrap()
            .unwrap_err();
        assert_eq!(error.message, "a.parquet, row 0: `text` is not a string");
    }
}
