//! One row of a source, as read.

use std::fmt;
use std::sync::Arc;

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, from 1.
    Line(Arc<str>, u64),
    /// A row of a table, from 0.
    Row(Arc<str>, u64),
    /// The whole file.
    File(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(file, line) => write!(f, "{file}:{line}"),
            Place::Row(file, row) => write!(f, "{file}, row {row}"),
            Place::File(file) => f.write_str(file),
        }
    }
}

/// A row before it is tokenised and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct RawRow {
    /// Where it stands.
    pub place: Place,
    /// Its `id` field.
    pub id: Option<String>,
    /// The field to tokenise.
    pub text: Option<String>,
    /// Ids that are taken as they are, by field name: `input_ids`, `decoder_input_ids`, `token_type_ids`.
    pub ids: Vec<(&'static str, Vec<i64>)>,
    /// The other fields as a JSON object, where somebody wants them.
    pub fields: Option<String>,
}

impl RawRow {
    /// The integers of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&[i64]> {
        self.ids
            .iter()
            .find(|field| field.0 == name)
            .map(|field| field.1.as_slice())
    }
}

/// The fields with ids that a row may have.
pub(super) const ID_FIELDS: [&str; 3] = ["input_ids", "decoder_input_ids", "token_type_ids"];
