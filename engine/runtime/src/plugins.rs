//! Stages that are code from outside: what the runtime hands to them and takes from them. Who runs the code, and how it
//! is kept in bounds, is not known here.

use std::collections::HashMap;

use sli_config::Diagnostic;

/// The code of one stage.
pub struct StagePlugin {
    /// Digest of the code, for the fingerprint of the run.
    pub digest: String,
    /// The code.
    pub code: StageCode,
}

/// The stage plugins of a pipeline, by the name of the stage.
pub type StagePlugins = HashMap<String, StagePlugin>;

/// What a stage plugin can be.
pub enum StageCode {
    /// A filter of the source.
    Filter(Box<dyn DocumentFilter>),
    /// Values in, a table out.
    Reducer(Box<dyn ValueReducer>),
    /// A form for the rows of another stage.
    Formatter(Box<dyn RowFormatter>),
}

/// A document before it is tokenised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDocument {
    /// The row's id.
    pub id: String,
    /// The text.
    pub text: String,
    /// The row's other fields, as a JSON object.
    pub fields: String,
}

/// Decides what becomes of documents.
pub trait DocumentFilter {
    /// For each document the texts it becomes, in order: none drops it, several split it.
    ///
    /// # Errors
    /// What went wrong, for the user.
    fn filter(&mut self, documents: Vec<SourceDocument>) -> Result<Vec<Vec<String>>, Diagnostic>;
}

/// Some rows of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPiece {
    /// The row's id.
    pub document: String,
    /// Index of the first of these rows in the document.
    pub first: u64,
    /// How many rows.
    pub rows: u64,
}

/// Some rows of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueBlock {
    /// Name of the point.
    pub point: String,
    /// Elements of a row.
    pub width: u64,
    /// `[rows, width]`, row-major.
    pub values: Vec<f32>,
    /// Whose rows they are, in order.
    pub pieces: Vec<BlockPiece>,
    /// The token of each row; empty where rows are not tokens.
    pub tokens: Vec<i64>,
}

/// What is left of a point after all its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointState {
    /// Name of the point.
    pub point: String,
    /// Elements of a row.
    pub width: u64,
    /// What the last step returned.
    pub state: Vec<u8>,
}

/// Folds the values of points into a table.
pub trait ValueReducer {
    /// Takes a block; `state` is what the last step of this point returned, empty at first.
    ///
    /// # Errors
    /// What went wrong, for the user.
    fn step(&mut self, state: Vec<u8>, block: ValueBlock) -> Result<Vec<u8>, Diagnostic>;

    /// The table, from the states of all points in the order of the model.
    ///
    /// # Errors
    /// What went wrong, for the user.
    fn finish(&mut self, states: Vec<PointState>) -> Result<RowTable, Diagnostic>;
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Strings.
    Text,
    /// 64-bit integers.
    Integer,
    /// 64-bit floats.
    Number,
    /// True or false.
    Boolean,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowColumn {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub kind: ColumnKind,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Missing,
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
}

/// Rows of named columns, each with as many cells as there are columns, of their kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowTable {
    /// The columns.
    pub columns: Vec<RowColumn>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// Gives rows a form.
pub trait RowFormatter {
    /// How the name of the file ends, without the dot.
    fn extension(&self) -> &str;

    /// The bytes of some rows; `first` and `last` mark the first and the last call, which may hold none.
    ///
    /// # Errors
    /// What went wrong, for the user.
    fn format(
        &mut self,
        columns: &[RowColumn],
        rows: Vec<Vec<Cell>>,
        first: bool,
        last: bool,
    ) -> Result<Vec<u8>, Diagnostic>;
}
