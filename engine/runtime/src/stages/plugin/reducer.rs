//! A reducer: the values of points go through code from outside, which leaves a table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde_json::{Value as Json, json};
use sli_config::Diagnostic;
use sli_config::pipeline::{PluginStage, RowFormat};
use sli_model::DType;

use super::super::{Arrival, Context, Model, Piece, Stage, kernel};
use super::failed;
use crate::error::{Result, RunError};
use crate::plan::StageCost;
use crate::plugins::{BlockPiece, Cell, ColumnKind, PointState, RowTable, ValueBlock, ValueReducer};
use crate::points::{PointId, RowsOf};
use crate::write::Table;

/// Bytes of values that cross at once.
const BLOCK_BYTES: u64 = 16 << 20;

/// The stage.
pub(super) struct Reducer {
    name: String,
    code: Box<dyn ValueReducer>,
    ids: Vec<PointId>,
    places: HashMap<PointId, usize>,
    states: Vec<PointState>,
    rows_of: Vec<RowsOf>,
    format: RowFormat,
    rows: u64,
}

impl Reducer {
    /// The stage, or what is wrong with its points.
    pub(super) fn new(
        name: String,
        code: Box<dyn ValueReducer>,
        options: &PluginStage,
        model: &Model<'_>,
        warnings: &mut Vec<Diagnostic>,
    ) -> std::result::Result<Reducer, Vec<Diagnostic>> {
        let Some(patterns) = &options.points else {
            let message = format!("the reducer `{}` must say which values it takes", options.plugin.value);
            return Err(vec![
                Diagnostic::error(message)
                    .primary(options.plugin.label(""))
                    .help("add `points = [\"decoder.*\"]`"),
            ]);
        };
        let (ids, found) = model.points.matching(patterns)?;
        warnings.extend(found);
        let points = || ids.iter().map(|id| model.points.get(*id));
        let state = |point: &crate::points::Point| PointState {
            point: point.name.clone(),
            width: point.width,
            state: Vec::new(),
        };
        Ok(Reducer {
            name,
            code,
            places: ids.iter().enumerate().map(|(place, id)| (*id, place)).collect(),
            states: points().map(state).collect(),
            rows_of: points().map(|point| point.rows).collect(),
            ids,
            format: options.row_format(),
            rows: 0,
        })
    }

    fn file(&self) -> String {
        format!("{}.{}", self.name, self.format)
    }

    /// Hands over `pieces`, whose values are rows `at ..` of the arrival.
    fn step(&mut self, arrival: &Arrival<'_>, pieces: &[Piece], context: &Context<'_>) -> Result<()> {
        let place = self.places[&arrival.id];
        let rows: u64 = pieces.iter().map(|piece| piece.len).sum();
        let tensor = arrival.tensor.rows(pieces[0].at as i64, rows as i64);
        let values = tensor.and_then(|tensor| tensor.cast(DType::F32)?.to_f32_vec());
        let dataset = context.dataset;
        let tokens = match self.rows_of[place] {
            RowsOf::Documents => Vec::new(),
            RowsOf::Tokens { field } => {
                let of = |piece: &Piece| {
                    let ids = dataset.fields[field].document(piece.document);
                    let range = piece.first as usize..(piece.first + piece.len) as usize;
                    // Rows that are not one per token (patches, convolutions) have none.
                    ids.get(range)
                        .unwrap_or_default()
                        .iter()
                        .map(|id| i64::from(*id))
                        .collect::<Vec<_>>()
                };
                let all: Vec<i64> = pieces.iter().flat_map(of).collect();
                if all.len() as u64 == rows { all } else { Vec::new() }
            }
        };
        let piece = |piece: &Piece| BlockPiece {
            document: dataset.ids[piece.document].to_string(),
            first: piece.first,
            rows: piece.len,
        };
        let state = &mut self.states[place];
        let block = ValueBlock {
            point: state.point.clone(),
            width: state.width,
            values: values.map_err(|error| kernel(&self.name, &error))?,
            pieces: pieces.iter().map(piece).collect(),
            tokens,
        };
        self.rows += rows;
        let step = self.code.step(std::mem::take(&mut state.state), block);
        state.state = step.map_err(|why| failed(&self.name, why))?;
        Ok(())
    }
}

impl Stage for Reducer {
    fn name(&self) -> &str {
        &self.name
    }

    fn points(&self) -> &[PointId] {
        &self.ids
    }

    fn has_rows(&self) -> bool {
        true
    }

    fn cost(&self) -> StageCost {
        // A block in f32, on its way into the code and there.
        StageCost {
            fixed: Table::BUFFER_BYTES + 4 * BLOCK_BYTES,
            ..StageCost::default()
        }
    }

    fn begin(&mut self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }

    fn arrive(&mut self, arrival: &Arrival<'_>, context: &mut Context<'_>) -> Result<()> {
        let limit = (BLOCK_BYTES / 4 / arrival.point.width.max(1)).max(1);
        for group in groups(arrival.pieces, limit) {
            self.step(arrival, &group, context)?;
        }
        Ok(())
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Result<Json> {
        let made = self.code.finish(std::mem::take(&mut self.states));
        let found = made.map_err(|why| failed(&self.name, why))?;
        let batch = batch(&found).map_err(|error| RunError::run(Diagnostic::error(error.to_string())))?;
        let mut table = context.table(
            &self.name,
            &self.file(),
            self.format == RowFormat::Jsonl,
            batch.schema(),
        )?;
        table.write(&batch)?;
        let finished = table.finish()?;
        context.dir.complete(&self.file(), &self.name, "table", finished);
        Ok(json!({ "points": self.ids.len(), "values_rows": self.rows, "rows": found.rows.len() }))
    }
}

/// Consecutive pieces of at most `limit` rows together; a longer piece is cut.
fn groups(pieces: &[Piece], limit: u64) -> Vec<Vec<Piece>> {
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    let mut room = 0;
    for piece in pieces {
        let mut done = 0;
        while done < piece.len {
            if room == 0 {
                groups.push(Vec::new());
                room = limit;
            }
            let len = room.min(piece.len - done);
            let part = Piece {
                first: piece.first + done,
                at: piece.at + done,
                len,
                ..*piece
            };
            groups.last_mut().expect("pushed above").push(part);
            done += len;
            room -= len;
        }
    }
    groups
}

/// The table as columns.
fn batch(table: &RowTable) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
    let mut fields = Vec::with_capacity(table.columns.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(table.columns.len());
    for (at, column) in table.columns.iter().enumerate() {
        let cells = || table.rows.iter().map(|row| &row[at]);
        let (data, array): (DataType, ArrayRef) = match column.kind {
            ColumnKind::Text => {
                let texts = cells().map(|cell| {
                    if let Cell::Text(text) = cell {
                        Some(text.as_str())
                    } else {
                        None
                    }
                });
                (DataType::Utf8, Arc::new(texts.collect::<StringArray>()))
            }
            ColumnKind::Integer => {
                let numbers = cells().map(|cell| if let Cell::Integer(n) = cell { Some(*n) } else { None });
                (DataType::Int64, Arc::new(numbers.collect::<Int64Array>()))
            }
            ColumnKind::Number => {
                let numbers = cells().map(|cell| if let Cell::Number(x) = cell { Some(*x) } else { None });
                (DataType::Float64, Arc::new(numbers.collect::<Float64Array>()))
            }
            ColumnKind::Boolean => {
                let marks = cells().map(|cell| if let Cell::Boolean(b) = cell { Some(*b) } else { None });
                (DataType::Boolean, Arc::new(marks.collect::<BooleanArray>()))
            }
        };
        fields.push(Field::new(&column.name, data, true));
        columns.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pieces_are_cut_and_short_ones_go_together() {
        let piece = |document, first, at, len| Piece {
            document,
            first,
            at,
            len,
        };
        let pieces = [piece(0, 3, 0, 2), piece(1, 0, 2, 5), piece(2, 0, 7, 1)];
        assert_eq!(
            groups(&pieces, 3),
            [
                vec![piece(0, 3, 0, 2), piece(1, 0, 2, 1)],
                vec![piece(1, 1, 3, 3)],
                vec![piece(1, 4, 6, 1), piece(2, 0, 7, 1)],
            ]
        );
        assert_eq!(groups(&pieces, 100).len(), 1);
    }
}
