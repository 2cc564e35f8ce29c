//! What goes into plugins and comes out of them, as plain values.

use std::path::PathBuf;

/// What the user allows a plugin. It takes effect only where the plugin's manifest asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Messages to the user.
    pub log: bool,
    /// A folder for reading; stages only.
    pub folder: Option<PathBuf>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Seconds for one call.
    pub seconds: Option<u32>,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Probably not what was meant.
    Warning,
}

/// A message of a plugin to the user: no control characters, of limited length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How important it is.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// A document before it is tokenised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The row's id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// The row's other fields as a JSON object.
    pub fields: String,
}

/// Some rows of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The row's id.
    pub document: String,
    /// Index of the first of these rows in the document.
    pub first: u64,
    /// How many rows.
    pub rows: u64,
}

/// Some rows of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Name of the point: `decoder.3`.
    pub point: String,
    /// Values per row.
    pub width: u64,
    /// `[rows, width]`, row-major.
    pub values: Vec<f32>,
    /// Where the rows come from, in their order.
    pub pieces: Vec<Piece>,
    /// The token of each row; empty where rows are not tokens.
    pub tokens: Vec<i64>,
}

/// What a reducer knows of a point at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointState {
    /// Name of the point.
    pub point: String,
    /// Values per row.
    pub width: u64,
    /// What its last step returned.
    pub state: Vec<u8>,
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// 64-bit integers.
    Integer,
    /// 64-bit floats.
    Number,
    /// True or false.
    Boolean,
}

impl ColumnKind {
    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            ColumnKind::Text => "text",
            ColumnKind::Integer => "integer",
            ColumnKind::Number => "number",
            ColumnKind::Boolean => "boolean",
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub kind: ColumnKind,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Missing,
    /// Text.
    Text(String),
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Number(f64),
    /// True or false.
    Boolean(bool),
}

impl Cell {
    /// What it is; `None` if it is missing.
    pub fn kind(&self) -> Option<ColumnKind> {
        match self {
            Cell::Missing => None,
            Cell::Text(_) => Some(ColumnKind::Text),
            Cell::Integer(_) => Some(ColumnKind::Integer),
            Cell::Number(_) => Some(ColumnKind::Number),
            Cell::Boolean(_) => Some(ColumnKind::Boolean),
        }
    }
}

/// A table: every row has a cell for each column, missing or of the column's kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableRows {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Vec<Cell>>,
}
