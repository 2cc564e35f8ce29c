//! Where the parts of a plain value stand.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Label};
use crate::read::table::TableReader;
use crate::read::tree::{Node, NodeValue};

/// Where each part of a plain value stands, by JSON pointer. Any two are equal, as for
/// [`Located`](crate::Located): values are compared, not places.
#[derive(Clone, Debug)]
pub struct Places {
    /// The key, if it has one, and the value.
    parts: BTreeMap<String, (Option<Label>, Label)>,
    /// What holds, or would hold, the whole.
    whole: Label,
}

impl Places {
    /// Places of a value that nobody wrote; it would stand at `whole`.
    pub(crate) fn none(whole: Label) -> Self {
        Self {
            parts: BTreeMap::new(),
            whole,
        }
    }

    /// The place of the value at a JSON pointer (`/min_words`, `/words/3`), or of what is next above it.
    pub fn value(&self, pointer: &str) -> Label {
        self.find(pointer, |(_, value)| value)
    }

    /// The place of the key at a JSON pointer, or of what is next above it.
    pub fn key(&self, pointer: &str) -> Label {
        self.find(pointer, |(key, value)| key.as_ref().unwrap_or(value))
    }

    fn find<'a>(&'a self, pointer: &str, part: impl Fn(&'a (Option<Label>, Label)) -> &'a Label) -> Label {
        let mut pointer = pointer;
        loop {
            if let Some(found) = self.parts.get(pointer) {
                return part(found).clone();
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return self.whole.clone(),
            }
        }
    }

    fn add(&mut self, pointer: String, key: Option<&Label>, node: &Node) {
        match &node.value {
            NodeValue::Table(table) => {
                for (name, entry) in table {
                    let below = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    self.add(below, Some(&entry.key), &entry.node);
                }
            }
            NodeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(format!("{pointer}/{index}"), None, item);
                }
            }
            _ => {}
        }
        self.parts.insert(pointer, (key.cloned(), node.label("")));
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl TableReader<'_> {
    /// The table `key` as a JSON object, with its places; what JSON cannot state is reported.
    pub(crate) fn json_object(&mut self, key: &'static str) -> Option<(Value, Places)> {
        let entry = self.entry(key)?;
        let NodeValue::Table(_) = &entry.node.value else {
            return self.wrong(&entry.node, key, "a table");
        };
        let before = self.errors().borrow().len();
        self.refuse_beyond_json(&entry.node);
        let value = entry.node.to_json().ok()?;
        let mut places = Places::none(entry.key.clone());
        places.add(String::new(), Some(&entry.key), &entry.node);
        // A table has no text of its own where its entries are all below `[key]`; its heading has.
        places
            .parts
            .insert(String::new(), (Some(entry.key.clone()), entry.key.clone()));
        (self.errors().borrow().len() == before).then_some((value, places))
    }

    fn refuse_beyond_json(&self, node: &Node) {
        match &node.value {
            NodeValue::Float(number) if !number.is_finite() => self.report(
                Diagnostic::error("JSON has no infinities and no NaN, and this is handed on as JSON")
                    .primary(node.label("")),
            ),
            NodeValue::Datetime if !node.bare => self.report(
                Diagnostic::error("JSON has no dates, and this is handed on as JSON")
                    .primary(node.label(""))
                    .help("put it in quotes"),
            ),
            NodeValue::Table(table) => table.values().for_each(|entry| self.refuse_beyond_json(&entry.node)),
            NodeValue::Array(items) => items.iter().for_each(|item| self.refuse_beyond_json(item)),
            _ => {}
        }
    }
}
