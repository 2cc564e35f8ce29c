//! Family descriptors: TOML text to [`FamilyFile`], with the place of everything kept.

mod equation;
mod header;
mod names;
mod parse;
mod read;
mod stack;
mod tensor_names;
mod types;

pub use equation::{Equation, Equations, ValueDef};
pub use header::parse_header;
pub(crate) use header::read_match;
pub(crate) use names::{MEANINGFUL, RESERVED, reserved_word};
pub(crate) use parse::INPUT_KINDS;
pub use parse::{SCHEMA, parse_family, parse_std};
pub use types::{
    BlockFile, FamilyFile, FamilyHeader, LayerCase, LayerChoice, MatchTable, Names, PackedFile, PartFile, PartOf,
    PartsFile, Refuse, StackFile,
};
