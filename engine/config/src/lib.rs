//! The user's files as data: TOML text in, checked types or diagnostics out.
//!
//! Three kinds of file are read here: family descriptors ([`parse_family`](family)), pipelines and what belongs to
//! plugins ([`plugin`]). All are read twice over: first as written, every value with its place, then into types that cannot be wrong. All errors
//! of a file are found in one go. This crate never opens a file; whoever did hands in a [`SourceFile`].

pub mod diagnostic;
pub mod family;
pub mod pipeline;
pub mod places;
pub mod plugin;
mod read;
pub mod render;
pub mod schema;
pub mod source;
pub mod suggest;

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use family::{parse_family, parse_header, parse_std};
pub use pipeline::{Pipeline, parse_pipeline};
pub use places::Places;
pub use plugin::{PluginManifest, parse_grants, parse_plugin};
pub use render::render;
pub use source::{Located, SourceFile, Span, Spanned};
pub use suggest::suggest;
