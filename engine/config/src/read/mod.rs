//! Reading TOML by hand, so that every error of a file is found and every value keeps its place.
//!
//! `toml` parses the text; [`Node`](tree::Node) is its result with a file on every value, because an override
//! from the command line comes from another text; [`TableReader`](table::TableReader) takes a table apart.

pub(crate) mod choice;
pub(crate) mod table;
pub(crate) mod tree;
