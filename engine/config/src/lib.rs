//! The user's files as data: TOML text in, checked types or diagnostics out.
//!
//! Two kinds of file are read here: family descriptors ([`parse_family`](family)) and pipelines. Both are read
//! twice over: first as written, every value with its place, then into types that cannot be wrong. All errors
//! of a file are found in one go. This crate never opens a file; whoever did hands in a [`SourceFile`].

pub mod diagnostic;
pub mod family;
pub mod pipeline;
mod read;
pub mod render;
pub mod schema;
pub mod source;
pub mod suggest;

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use family::{parse_family, parse_header, parse_std};
pub use pipeline::{Pipeline, parse_pipeline};
pub use render::render;
pub use source::{Located, SourceFile, Span, Spanned};
pub use suggest::suggest;
