//! A form for the rows of another stage: its table hands them over as it writes them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use serde_json::{Value as Json, json};

use super::super::{Arrival, Context, Stage};
use super::failed;
use crate::error::Result;
use crate::plan::StageCost;
use crate::plugins::{Cell, ColumnKind, RowColumn, RowFormatter};
use crate::points::PointId;
use crate::write::{OutFile, json_cell};

/// Rows that go through the code together.
const ROWS: usize = 512;

/// A formatter with its file.
pub(crate) struct Formatting {
    name: String,
    code: Box<dyn RowFormatter>,
    columns: Vec<RowColumn>,
    file: Option<OutFile>,
    begun: bool,
    rows: u64,
    bytes: u64,
}

/// Shared by the table, which feeds it, and the stage, which ends it.
pub(crate) type SharedFormatting = Rc<RefCell<Formatting>>;

impl Formatting {
    /// A formatter that has seen nothing.
    pub(crate) fn shared(name: String, code: Box<dyn RowFormatter>) -> SharedFormatting {
        Rc::new(RefCell::new(Formatting {
            name,
            code,
            columns: Vec::new(),
            file: None,
            begun: false,
            rows: 0,
            bytes: 0,
        }))
    }

    /// Learns the columns of the table.
    pub(crate) fn columns(&mut self, schema: &SchemaRef) {
        let column = |field: &Arc<arrow_schema::Field>| RowColumn {
            name: field.name().clone(),
            kind: kind(field.data_type()),
        };
        self.columns = schema.fields().iter().map(column).collect();
    }

    /// Takes rows of the table.
    ///
    /// # Errors
    /// The plugin fails, or the file cannot be written.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(ROWS) {
            let end = (start + ROWS).min(batch.num_rows());
            let row = |row| batch.columns().iter().map(|column| cell(column, row)).collect();
            self.put((start..end).map(row).collect(), false)?;
        }
        Ok(())
    }

    fn put(&mut self, rows: Vec<Vec<Cell>>, last: bool) -> Result<()> {
        self.rows += rows.len() as u64;
        let first = !std::mem::replace(&mut self.begun, true);
        let made = self.code.format(&self.columns, rows, first, last);
        let bytes = made.map_err(|why| failed(&self.name, why))?;
        let at = self.bytes;
        self.bytes += bytes.len() as u64;
        self.file.as_mut().map_or(Ok(()), |file| file.write_at(at, &bytes))
    }

    fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.code.extension())
    }
}

fn kind(data: &DataType) -> ColumnKind {
    match data {
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => ColumnKind::Integer,
        DataType::Float64 | DataType::Float32 => ColumnKind::Number,
        DataType::Boolean => ColumnKind::Boolean,
        // Lists are their JSON text.
        _ => ColumnKind::Text,
    }
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Missing;
    }
    match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => {
            Cell::Integer(i64::try_from(column.as_primitive::<UInt64Type>().value(row)).unwrap_or(i64::MAX))
        }
        DataType::UInt32 => Cell::Integer(i64::from(column.as_primitive::<UInt32Type>().value(row))),
        DataType::Float64 => Cell::Number(column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => Cell::Number(f64::from(column.as_primitive::<Float32Type>().value(row))),
        _ => Cell::Text(json_cell(column, row).to_string()),
    }
}

/// What opens and ends a formatter's file.
pub(super) struct FormatterStage {
    name: String,
    formatting: SharedFormatting,
}

impl FormatterStage {
    pub(super) fn new(formatting: &SharedFormatting) -> FormatterStage {
        FormatterStage {
            name: formatting.borrow().name.clone(),
            formatting: Rc::clone(formatting),
        }
    }
}

impl Stage for FormatterStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &[]
    }

    fn cost(&self) -> StageCost {
        StageCost {
            fixed: 1 << 20,
            ..StageCost::default()
        }
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Result<()> {
        let mut formatting = self.formatting.borrow_mut();
        let (file, _) = context.dir.begin(&formatting.file_name())?;
        formatting.file = Some(file);
        Ok(())
    }

    fn arrive(&mut self, _: &Arrival<'_>, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Result<Json> {
        let mut formatting = self.formatting.borrow_mut();
        formatting.put(Vec::new(), true)?;
        let name = formatting.file_name();
        if let Some(file) = formatting.file.take() {
            context
                .dir
                .complete(&name, &self.name, "formatted rows", file.finish()?);
        }
        Ok(json!({ "rows": formatting.rows, "bytes": formatting.bytes }))
    }
}
