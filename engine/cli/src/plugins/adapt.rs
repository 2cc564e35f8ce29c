//! Plugins as the runtime sees stages: the same values in the types of the two crates, which do not know each other.

use sli_config::Diagnostic;
use sli_plugin as plugin;
use sli_runtime::plugins::{
    Cell, ColumnKind, DocumentFilter, PointState, RowColumn, RowFormatter, RowTable, SourceDocument, ValueBlock,
    ValueReducer,
};

/// A filter.
pub(super) struct Filtering(pub(super) plugin::Filter);
/// A reducer.
pub(super) struct Reducing(pub(super) plugin::Reducer);
/// A formatter.
pub(super) struct Formatting(pub(super) plugin::Formatter);

impl DocumentFilter for Filtering {
    fn filter(&mut self, documents: Vec<SourceDocument>) -> Result<Vec<Vec<String>>, Diagnostic> {
        let one = |document: SourceDocument| plugin::Document {
            id: document.id,
            text: document.text,
            fields: document.fields,
        };
        self.0.run(&documents.into_iter().map(one).collect::<Vec<_>>())
    }
}

impl ValueReducer for Reducing {
    fn step(&mut self, state: Vec<u8>, block: ValueBlock) -> Result<Vec<u8>, Diagnostic> {
        let piece = |piece: sli_runtime::plugins::BlockPiece| plugin::Piece {
            document: piece.document,
            first: piece.first,
            rows: piece.rows,
        };
        let block = plugin::Block {
            point: block.point,
            width: block.width,
            values: block.values,
            pieces: block.pieces.into_iter().map(piece).collect(),
            tokens: block.tokens,
        };
        self.0.step(&state, &block)
    }

    fn finish(&mut self, states: Vec<PointState>) -> Result<RowTable, Diagnostic> {
        let state = |state: PointState| plugin::PointState {
            point: state.point,
            width: state.width,
            state: state.state,
        };
        let table = self.0.finish(&states.into_iter().map(state).collect::<Vec<_>>())?;
        let column = |column: plugin::Column| RowColumn {
            name: column.name,
            kind: inward_kind(column.kind),
        };
        Ok(RowTable {
            columns: table.columns.into_iter().map(column).collect(),
            rows: (table.rows.into_iter())
                .map(|row| row.into_iter().map(inward).collect())
                .collect(),
        })
    }
}

impl RowFormatter for Formatting {
    fn extension(&self) -> &str {
        self.0.extension()
    }

    fn format(
        &mut self,
        columns: &[RowColumn],
        rows: Vec<Vec<Cell>>,
        first: bool,
        last: bool,
    ) -> Result<Vec<u8>, Diagnostic> {
        let column = |column: &RowColumn| plugin::Column {
            name: column.name.clone(),
            kind: outward_kind(column.kind),
        };
        let columns: Vec<plugin::Column> = columns.iter().map(column).collect();
        let row = |row: Vec<Cell>| row.into_iter().map(outward).collect();
        let rows: Vec<Vec<plugin::Cell>> = rows.into_iter().map(row).collect();
        self.0.format(&columns, &rows, first, last)
    }
}

fn inward_kind(kind: plugin::ColumnKind) -> ColumnKind {
    match kind {
        plugin::ColumnKind::Text => ColumnKind::Text,
        plugin::ColumnKind::Integer => ColumnKind::Integer,
        plugin::ColumnKind::Number => ColumnKind::Number,
        plugin::ColumnKind::Boolean => ColumnKind::Boolean,
    }
}

fn outward_kind(kind: ColumnKind) -> plugin::ColumnKind {
    match kind {
        ColumnKind::Text => plugin::ColumnKind::Text,
        ColumnKind::Integer => plugin::ColumnKind::Integer,
        ColumnKind::Number => plugin::ColumnKind::Number,
        ColumnKind::Boolean => plugin::ColumnKind::Boolean,
    }
}

fn inward(cell: plugin::Cell) -> Cell {
    match cell {
        plugin::Cell::Missing => Cell::Missing,
        plugin::Cell::Text(text) => Cell::Text(text),
        plugin::Cell::Integer(n) => Cell::Integer(n),
        plugin::Cell::Number(x) => Cell::Number(x),
        plugin::Cell::Boolean(b) => Cell::Boolean(b),
    }
}

fn outward(cell: Cell) -> plugin::Cell {
    match cell {
        Cell::Missing => plugin::Cell::Missing,
        Cell::Text(text) => plugin::Cell::Text(text),
        Cell::Integer(n) => plugin::Cell::Integer(n),
        Cell::Number(x) => plugin::Cell::Number(x),
        Cell::Boolean(b) => plugin::Cell::Boolean(b),
    }
}
