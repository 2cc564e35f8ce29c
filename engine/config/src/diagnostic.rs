//! Diagnostics: what is wrong, where, and what to do about it.

use std::sync::Arc;

use serde::Serialize;

use crate::source::{LineColumn, SourceFile, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not say what was meant.
    Warning,
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The bytes to underline.
    pub span: Span,
    /// Text beside the underline; may be empty.
    pub text: String,
}

impl Label {
    /// Underline `span` of `file` and say `text`.
    pub fn new(file: &Arc<SourceFile>, span: Span, text: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(file),
            span,
            text: text.into(),
        }
    }
}

/// One thing that is wrong. Built in one expression:
/// `Diagnostic::error("…").at(&file, span, "…").help("…")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One plain sentence, with backticks around what the user typed.
    pub message: String,
    /// Where it is wrong; boxed to keep `Result<T, Diagnostic>` small.
    pub primary: Option<Box<Label>>,
    /// Other places that matter.
    pub secondary: Vec<Label>,
    /// Circumstances, as the chain of blocks that led to the place.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A diagnostic without a place yet.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            severity,
            message,
            primary: None,
            secondary: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// An error without a place yet.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    /// A warning without a place yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    /// Sets the place.
    #[must_use]
    pub fn at(self, file: &Arc<SourceFile>, span: Span, text: impl Into<String>) -> Self {
        self.primary(Label::new(file, span, text))
    }

    /// Sets the place from a label.
    #[must_use]
    pub fn primary(mut self, label: Label) -> Self {
        self.primary = Some(Box::new(label));
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn secondary(mut self, label: Label) -> Self {
        self.secondary.push(label);
        self
    }

    /// Adds a circumstance.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds what to do, if there is something.
    #[must_use]
    pub fn help_opt(mut self, help: Option<String>) -> Self {
        self.help.extend(help);
        self
    }

    /// The form for `--json`.
    pub fn to_json(&self) -> DiagnosticJson {
        DiagnosticJson {
            severity: self.severity,
            message: self.message.clone(),
            place: self.primary.as_deref().map(PlaceJson::new),
            related: self.secondary.iter().map(PlaceJson::new).collect(),
            notes: self.notes.clone(),
            help: self.help.clone(),
        }
    }
}

/// A [`Diagnostic`] as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiagnosticJson {
    /// `error` or `warning`.
    pub severity: Severity,
    /// The message.
    pub message: String,
    /// Where it is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceJson>,
    /// Other places that matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<PlaceJson>,
    /// Circumstances.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
}

/// A [`Label`] as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceJson {
    /// The file's name.
    pub file: String,
    /// Where the place starts.
    pub start: LineColumn,
    /// Where it ends, exclusive.
    pub end: LineColumn,
    /// What is said about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl PlaceJson {
    fn new(label: &Label) -> Self {
        Self {
            file: label.file.name.clone(),
            start: label.file.line_column(label.span.start),
            end: label.file.line_column(label.span.end),
            text: label.text.clone(),
        }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// All that was found, so that a file's errors are reported in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// All of them, in the order of their places within each file; those without a place come first.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort_by(|a, b| place_key(a).cmp(&place_key(b)));
        self.0
    }

    /// `value` if nothing is an error, else everything found.
    ///
    /// # Errors
    /// All diagnostics, sorted, if one of them is an error.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Diagnostic>> {
        if self.has_errors() {
            Err(self.into_sorted())
        } else {
            Ok(value)
        }
    }
}

fn place_key(diagnostic: &Diagnostic) -> Option<(&str, usize)> {
    diagnostic
        .primary
        .as_ref()
        .map(|label| (label.file.name.as_str(), label.span.start))
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self(diagnostics)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.0.extend(diagnostics);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
