//! An equation's text and the way from an offset inside it to the file.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::diagnostic::Label;
use crate::source::{SourceFile, Span};

/// Equations of one table by name, in file order.
pub type Equations = IndexMap<String, Equation>;

/// An equation's text and where its first character is in the file, so that an offset inside the equation
/// maps to the file. Two equations are equal if their texts are.
#[derive(Clone, Debug)]
pub struct Equation {
    /// The text, unescaped.
    pub text: String,
    /// The file that states it.
    pub file: Arc<SourceFile>,
    /// The TOML literal, with its quotes.
    pub span: Span,
}

impl Equation {
    /// The place in the file of `text[start..end]`. Exact for literals without escapes (all four forms of
    /// TOML strings); the whole literal otherwise.
    pub fn span_at(&self, start: usize, end: usize) -> Span {
        let Some(literal) = self.file.text.get(self.span.clone()) else {
            return self.span.clone();
        };
        let skip = ["\"\"\"\r\n", "\"\"\"\n", "\"\"\"", "'''\r\n", "'''\n", "'''", "\"", "'"]
            .into_iter()
            .find(|opening| literal.starts_with(opening))
            .map_or(0, str::len);
        let exact = literal[skip..].starts_with(&self.text) && start <= end && end <= self.text.len();
        if !exact {
            return self.span.clone();
        }
        let base = self.span.start + skip;
        base + start..base + end
    }

    /// A label under `text[start..end]`.
    pub fn label_at(&self, start: usize, end: usize, text: impl Into<String>) -> Label {
        Label::new(&self.file, self.span_at(start, end), text)
    }

    /// A label under the whole equation, without its quotes where that is exact.
    pub fn label(&self, text: impl Into<String>) -> Label {
        self.label_at(0, self.text.len(), text)
    }
}

impl PartialEq for Equation {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Equation {}

impl Hash for Equation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// An entry of `[values]`.
#[derive(Clone, Debug)]
pub enum ValueDef {
    /// A string is an equation.
    Equation(Equation),
    /// Any other TOML value is a constant. Infinities and NaN arrive as `{"__float__": "Infinity"}`, the
    /// form that config.json uses for them.
    Constant {
        /// The constant.
        value: Value,
        /// The file that states it.
        file: Arc<SourceFile>,
        /// The TOML value.
        span: Span,
    },
}
