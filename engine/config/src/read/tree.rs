//! A parsed TOML document whose every key and value knows its text.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::source::{SourceFile, Span};

/// A TOML value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) span: Span,
    pub(crate) value: NodeValue,
    /// Written without quotes on the command line, where it may also have been meant as a string.
    pub(crate) bare: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeValue {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

/// A table: keys in file order, each with its own place.
pub(crate) type Table = IndexMap<String, Entry>;

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key; its text is empty.
    pub(crate) key: Label,
    pub(crate) node: Node,
}

impl Node {
    /// A label under the value.
    pub(crate) fn label(&self, text: impl Into<String>) -> Label {
        Label::new(&self.file, self.span.clone(), text)
    }

    /// The type with its article, as messages name it.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::String(_) => "a string",
            NodeValue::Integer(_) => "an integer",
            NodeValue::Float(_) => "a float",
            NodeValue::Boolean(_) => "a boolean",
            NodeValue::Datetime => "a date",
            NodeValue::Array(items) if items.is_empty() => "an empty list",
            NodeValue::Array(_) => "a list",
            NodeValue::Table(_) => "a table",
        }
    }

    /// Whether this is the string `word`.
    pub(crate) fn is_text(&self, word: &str) -> bool {
        matches!(&self.value, NodeValue::String(text) if text == word)
    }

    /// The value as JSON. Infinities and NaN become `{"__float__": "Infinity"}`, as in a config.json.
    ///
    /// # Errors
    /// The node that is a date, which JSON cannot state.
    pub(crate) fn to_json(&self) -> Result<Value, &Node> {
        Ok(match &self.value {
            NodeValue::String(text) => Value::String(text.clone()),
            NodeValue::Integer(number) => Value::from(*number),
            NodeValue::Float(number) => float_json(*number),
            NodeValue::Boolean(value) => Value::Bool(*value),
            NodeValue::Datetime if self.bare => Value::from(&self.file.text[self.span.clone()]),
            NodeValue::Datetime => return Err(self),
            NodeValue::Array(items) => Value::Array(items.iter().map(Node::to_json).collect::<Result<_, _>>()?),
            NodeValue::Table(table) => {
                let members = table
                    .iter()
                    .map(|(key, entry)| Ok((key.clone(), entry.node.to_json()?)));
                Value::Object(members.collect::<Result<Map<_, _>, _>>()?)
            }
        })
    }
}

fn float_json(number: f64) -> Value {
    let name = match number {
        number if number.is_finite() => return Value::from(number),
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    Value::Object(Map::from_iter([("__float__".to_owned(), Value::from(name))]))
}

/// The longest text that is read, in bytes. The largest family is a hundredth of it.
const MAX_LENGTH: usize = 1 << 20;

/// The document and what is wrong with its syntax. The document holds whatever could be read.
pub(crate) fn parse_document(file: &Arc<SourceFile>) -> (Node, Diagnostics) {
    let mut found = Diagnostics::new();
    if file.text.len() > MAX_LENGTH {
        let message = format!("the file has {} bytes; at most {MAX_LENGTH} are read", file.text.len());
        found.push(
            Diagnostic::error(message)
                .at(file, 0..0, "")
                .help("is this really a family or pipeline file?"),
        );
        let empty = Node {
            file: Arc::clone(file),
            span: 0..0,
            value: NodeValue::Table(Table::new()),
            bare: false,
        };
        return (empty, found);
    }
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    for error in errors {
        found.push(syntax_error(file, &error));
    }
    let mut converter = Converter {
        file,
        offset: 0,
        bare: false,
        found,
    };
    let table = converter.table(table.into_inner());
    let node = Node {
        file: Arc::clone(file),
        span: 0..0,
        value: NodeValue::Table(table),
        bare: false,
    };
    (node, converter.found)
}

/// The value in `file.text[offset..]`, or a string if that is no TOML value.
pub(crate) fn parse_bare(file: &Arc<SourceFile>, offset: usize) -> Node {
    let text = &file.text[offset..];
    let as_string = || Node {
        file: Arc::clone(file),
        span: offset..file.text.len(),
        value: NodeValue::String(text.to_owned()),
        bare: true,
    };
    let Ok(value) = DeValue::parse(text) else {
        return as_string();
    };
    let mut converter = Converter {
        file,
        offset,
        bare: true,
        found: Diagnostics::new(),
    };
    let node = converter.node(value);
    if converter.found.is_empty() { node } else { as_string() }
}

fn syntax_error(file: &Arc<SourceFile>, error: &toml::de::Error) -> Diagnostic {
    let message = error.message().replace('\n', "; ");
    Diagnostic::error(format!("this is not TOML: {message}")).at(file, error.span().unwrap_or(0..0), "")
}

struct Converter<'a> {
    file: &'a Arc<SourceFile>,
    /// Where the parsed text starts in the file.
    offset: usize,
    bare: bool,
    found: Diagnostics,
}

impl Converter<'_> {
    fn table(&mut self, table: DeTable<'_>) -> Table {
        let mut entries = Table::with_capacity(table.len());
        for (key, value) in table {
            let place = Label::new(self.file, self.moved(key.span()), "");
            entries.insert(
                key.into_inner().into_owned(),
                Entry {
                    key: place,
                    node: self.node(value),
                },
            );
        }
        entries
    }

    fn node(&mut self, value: toml::Spanned<DeValue<'_>>) -> Node {
        let span = self.moved(value.span());
        let value = match value.into_inner() {
            DeValue::String(text) => NodeValue::String(text.into_owned()),
            DeValue::Integer(number) => NodeValue::Integer(
                i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_else(|_| {
                    self.refuse(span.clone(), "this integer does not fit into 64 bits");
                    0
                }),
            ),
            DeValue::Float(number) => NodeValue::Float(number.as_str().parse().unwrap_or_else(|_| {
                self.refuse(span.clone(), "this float cannot be read");
                0.0
            })),
            DeValue::Boolean(value) => NodeValue::Boolean(value),
            DeValue::Datetime(_) => NodeValue::Datetime,
            DeValue::Array(items) => NodeValue::Array(items.into_iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => NodeValue::Table(self.table(table)),
        };
        Node {
            file: Arc::clone(self.file),
            span,
            value,
            bare: self.bare,
        }
    }

    fn moved(&self, span: Span) -> Span {
        span.start + self.offset..span.end + self.offset
    }

    fn refuse(&mut self, span: Span, message: &str) {
        self.found.push(Diagnostic::error(message).at(self.file, span, ""));
    }
}
