//! Tables as they are written and read: Parquet and JSON lines.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::{Map, Value};

/// One row of a table.
pub type Row = Map<String, Value>;

/// The rows of a `.parquet` or `.jsonl` file.
pub fn rows(path: &Path) -> Vec<Row> {
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        let text = std::fs::read_to_string(path).unwrap();
        return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    }
    let reader = ParquetRecordBatchReader::try_new(File::open(path).unwrap(), 1024).unwrap();
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.unwrap()).collect();
    batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(|row| object(batch, row)))
        .collect()
}

fn object(batch: &RecordBatch, row: usize) -> Row {
    let schema = batch.schema();
    schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), cell(column, row)))
        .collect()
}

fn cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            (0..list.len()).map(|at| cell(&list, at)).collect()
        }
        other => panic!("no test expects a column of {other}"),
    }
}

/// Writes a Parquet file with the columns `id` and `text`, as a source of documents.
pub fn write_texts(path: &Path, rows: &[(&str, &str)]) {
    let column = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let ids = column(rows.iter().map(|row| row.0).collect());
    let texts = column(rows.iter().map(|row| row.1).collect());
    let batch = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A number of a row.
#[track_caller]
pub fn number(row: &Row, column: &str) -> f64 {
    row.get(column)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number `{column}` in {row:?}"))
}

/// The numbers of a list in a row.
#[track_caller]
pub fn numbers(row: &Row, column: &str) -> Vec<f64> {
    let list = row
        .get(column)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("no list `{column}` in {row:?}"));
    list.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

/// The row whose `column` is `value`.
#[track_caller]
pub fn find<'a>(rows: &'a [Row], column: &str, value: &str) -> &'a Row {
    let found = rows
        .iter()
        .find(|row| row.get(column).and_then(Value::as_str) == Some(value));
    found.unwrap_or_else(|| panic!("no row with {column} = {value}"))
}
