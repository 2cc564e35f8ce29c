//! Readers for what only family files have: equations and tables of them.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::family::equation::{Equation, Equations, ValueDef};
use crate::family::names::refuse_name;
use crate::read::table::TableReader;
use crate::read::tree::{Entry, Node, NodeValue};

impl TableReader<'_> {
    /// An equation under `key`.
    pub(super) fn equation(&mut self, key: &'static str) -> Option<Equation> {
        let node = &self.entry(key)?.node;
        self.node_equation(node, key)
    }

    /// A name with `{value}`s in it, which may be empty.
    pub(super) fn template(&mut self, key: &'static str) -> Option<Equation> {
        let text = self.string(key)?;
        Some(Equation {
            text: text.value,
            file: text.file,
            span: text.span,
        })
    }

    /// A table of equations below this one; absent is empty.
    pub(super) fn equations(&mut self, key: &'static str, what: &str) -> Equations {
        self.sub(key)
            .map(|table| table.rest_as_equations(what))
            .unwrap_or_default()
    }

    /// All entries that no getter asked for, as equations; `what` is what a name of one is the name of.
    pub(super) fn rest_as_equations(&self, what: &str) -> Equations {
        self.rest()
            .filter_map(|(name, entry)| Some((name.to_owned(), self.named_equation(name, entry, what)?)))
            .collect()
    }

    fn named_equation(&self, name: &str, entry: &Entry, what: &str) -> Option<Equation> {
        self.check_name(name, what, entry);
        self.node_equation(&entry.node, name)
    }

    /// Reports `name` if it cannot be the name of `what`.
    pub(super) fn check_name(&self, name: &str, what: &str, entry: &Entry) {
        if let Some(diagnostic) = refuse_name(name, what, entry) {
            self.report(diagnostic);
        }
    }

    /// The entries of `[values]`.
    pub(super) fn values(&mut self, key: &'static str) -> indexmap::IndexMap<String, ValueDef> {
        let Some(table) = self.sub(key) else {
            return indexmap::IndexMap::new();
        };
        let value = |(name, entry): (&str, &Entry)| {
            table.check_name(name, "a value", entry);
            let node = &entry.node;
            let value = match &node.value {
                NodeValue::String(_) => ValueDef::Equation(table.node_equation(node, name)?),
                _ => ValueDef::Constant {
                    value: table.node_json(node, name)?,
                    file: Arc::clone(&node.file),
                    span: node.span.clone(),
                },
            };
            Some((name.to_owned(), value))
        };
        table.rest().filter_map(value).collect()
    }

    /// `node` as an equation. Constants outside `[values]` are refused: that `count = 24` would work and
    /// `tokens = 24` would not is one rule more than a pair of quotes.
    pub(super) fn node_equation(&self, node: &Node, key: &str) -> Option<Equation> {
        let constant = match &node.value {
            NodeValue::String(text) if text.trim().is_empty() => {
                self.report(
                    Diagnostic::error(format!("the equation `{key}` is empty"))
                        .primary(node.label(""))
                        .help("write an expression, or remove the key"),
                );
                return None;
            }
            NodeValue::String(text) => {
                return Some(Equation {
                    text: text.clone(),
                    file: Arc::clone(&node.file),
                    span: node.span.clone(),
                });
            }
            NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Boolean(_) => true,
            NodeValue::Datetime | NodeValue::Array(_) | NodeValue::Table(_) => false,
        };
        let text = node.file.text.get(node.span.clone()).unwrap_or_default();
        let quoted = constant.then(|| format!("put it in quotes: `{key} = \"{text}\"`"));
        self.report(
            Diagnostic::error(format!(
                "`{key}` must be an equation, which is a string, not {}",
                node.kind()
            ))
            .primary(node.label(node.kind()))
            .help_opt(quoted),
        );
        None
    }
}
