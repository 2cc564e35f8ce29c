//! Taking a table apart, key by key, and saying at the end which keys nobody asked for.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::read::choice::Choice;
use crate::read::tree::{Entry, Node, NodeValue, Table};
use crate::source::{Located, SourceFile};
use crate::suggest::{known_help, suggest};

static EMPTY: LazyLock<Table> = LazyLock::new(Table::new);

/// Where all readers of a file put what they find.
pub(crate) type Errors = RefCell<Diagnostics>;

/// One table being read. Each getter notes its key as known, reports a wrong type itself and answers `None`
/// for a key that is absent or wrong, so that reading goes on. [`finish`](Self::finish) reports the rest.
pub(crate) struct TableReader<'a> {
    entries: &'a Table,
    /// As messages name the table, with backticks: `[engine]`; empty for the document.
    title: String,
    /// The table's own place.
    place: Label,
    known: Vec<&'static str>,
    errors: &'a Errors,
}

impl<'a> TableReader<'a> {
    /// The whole document.
    pub(crate) fn document(root: &'a Node, errors: &'a Errors) -> Self {
        let entries = if let NodeValue::Table(entries) = &root.value {
            entries
        } else {
            &EMPTY
        };
        Self {
            entries,
            title: String::new(),
            place: root.label(""),
            known: Vec::new(),
            errors,
        }
    }

    /// The table `node`, stated at `place`; anything else is reported.
    pub(crate) fn new(node: &'a Node, title: String, place: Label, errors: &'a Errors) -> Option<Self> {
        let NodeValue::Table(entries) = &node.value else {
            let message = format!("{title} must be a table, not {}", node.kind());
            errors
                .borrow_mut()
                .push(Diagnostic::error(message).primary(node.label(node.kind())));
            return None;
        };
        Some(Self {
            entries,
            title,
            place,
            known: Vec::new(),
            errors,
        })
    }

    /// Reports something.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.errors.borrow_mut().push(diagnostic);
    }

    /// The table's place, usually its heading.
    pub(crate) fn place(&self) -> &Label {
        &self.place
    }

    /// The file of the table's heading.
    pub(crate) fn file(&self) -> &Arc<SourceFile> {
        &self.place.file
    }

    /// Whether the table has no entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How messages name the table.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Where errors go.
    pub(crate) fn errors(&self) -> &'a Errors {
        self.errors
    }

    /// An entry as it stands; the key is known from now on.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.get(key)
    }

    /// Entries that no getter asked for so far.
    pub(crate) fn rest(&self) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let known = self.known.clone();
        self.entries
            .iter()
            .map(|(key, entry)| (key.as_str(), entry))
            .filter(move |(key, _)| !known.contains(key))
    }

    /// A string.
    pub(crate) fn string(&mut self, key: &'static str) -> Option<Located<String>> {
        let node = &self.entry(key)?.node;
        self.node_string(node, key)
    }

    /// A string without its place.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.string(key).map(|text| text.value)
    }

    /// A string that must be there; `example` is shown where it is not.
    pub(crate) fn required(&mut self, key: &'static str, example: &str) -> Option<Located<String>> {
        self.require(key, example);
        self.string(key)
    }

    /// Reports `key` if it is absent.
    pub(crate) fn require(&mut self, key: &'static str, example: &str) {
        if self.entry(key).is_none() {
            let whose = if self.title.is_empty() {
                "the file".to_owned()
            } else {
                self.title.clone()
            };
            self.report(
                Diagnostic::error(format!("{whose} lacks `{key}`"))
                    .primary(self.place.clone())
                    .help(format!("add `{example}`")),
            );
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = &self.entry(key)?.node;
        let NodeValue::Boolean(value) = node.value else {
            return self.wrong(node, key, "`true` or `false`");
        };
        Some(value)
    }

    /// An integer within `range`.
    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let node = &self.entry(key)?.node;
        let number = match node.value {
            NodeValue::Integer(number) => number,
            _ => return self.wrong(node, key, "an integer"),
        };
        let within = u64::try_from(number).ok().filter(|number| range.contains(number));
        if within.is_none() {
            let (bound, text) = match number > 0 && number.unsigned_abs() > *range.end() {
                true => (format!("at most {}", range.end()), "too large"),
                false => (format!("at least {}", range.start()), "too small"),
            };
            self.report(Diagnostic::error(format!("`{key}` must be {bound}")).primary(node.label(text)));
        }
        within
    }

    /// One word of a closed set.
    pub(crate) fn choice<T: Choice>(&mut self, key: &'static str) -> Option<T> {
        let word = self.string(key)?;
        T::from_word(&word).or_else(|| {
            let names: Vec<_> = T::WORDS.iter().map(|(name, _)| *name).collect();
            let close = suggest(&word, names).map(|name| format!("did you mean `{name}`?"));
            self.report(
                Diagnostic::error(format!("`{key}` cannot be `{}`", word.value))
                    .primary(word.label(format!("expected one of {}", T::known())))
                    .help_opt(close),
            );
            None
        })
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        let node = &self.entry(key)?.node;
        let NodeValue::Array(items) = &node.value else {
            return self.wrong(node, key, "a list of strings");
        };
        Some(items.iter().filter_map(|item| self.node_string(item, key)).collect())
    }

    /// A list of strings without their places; absent is empty.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.strings(key)
            .unwrap_or_default()
            .into_iter()
            .map(|text| text.value)
            .collect()
    }

    /// A table of strings; absent is empty.
    pub(crate) fn string_map(&mut self, key: &'static str) -> IndexMap<String, String> {
        let entries = self.sub(key).map(|table| table.entries);
        entries
            .into_iter()
            .flatten()
            .filter_map(|(name, entry)| Some((name.clone(), self.node_string(&entry.node, name)?.value)))
            .collect()
    }

    /// A table of plain values; absent is empty.
    pub(crate) fn json_map(&mut self, key: &'static str) -> IndexMap<String, Value> {
        let entries = self.sub(key).map(|table| table.entries);
        entries
            .into_iter()
            .flatten()
            .filter_map(|(name, entry)| Some((name.clone(), self.node_json(&entry.node, name)?)))
            .collect()
    }

    /// A table below this one, titled `[key]` or `[title.key]`.
    pub(crate) fn sub(&mut self, key: &'static str) -> Option<TableReader<'a>> {
        let entry = self.entry(key)?;
        TableReader::new(&entry.node, self.sub_title(key), entry.key.clone(), self.errors)
    }

    /// The same, empty if it is absent or wrong.
    pub(crate) fn sub_or_empty(&mut self, key: &'static str) -> TableReader<'a> {
        let (title, place) = (self.sub_title(key), self.place.clone());
        self.sub(key).unwrap_or(TableReader {
            entries: &EMPTY,
            title,
            place,
            known: Vec::new(),
            errors: self.errors,
        })
    }

    /// The tables of `[[key]]`, or the one of `[key]` where `single` allows that form.
    pub(crate) fn tables(&mut self, key: &'static str, single: bool) -> Vec<TableReader<'a>> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let title = format!("`[[{key}]]`");
        match &entry.node.value {
            NodeValue::Table(_) if single => self.sub(key).into_iter().collect(),
            NodeValue::Array(items) => items
                .iter()
                .filter_map(|item| TableReader::new(item, title.clone(), item.label(""), self.errors))
                .collect(),
            _ => {
                self.report(
                    Diagnostic::error(format!("`{key}` is a list of tables, not {}", entry.node.kind()))
                        .primary(entry.key.clone())
                        .help(format!("write {title} above each")),
                );
                Vec::new()
            }
        }
    }

    /// `[a.b]` for table `b` of table `[a]`, with backticks.
    pub(crate) fn sub_title(&self, key: &str) -> String {
        let above = self.title.trim_matches(['`', '[', ']']);
        if above.is_empty() {
            format!("[{key}]")
        } else {
            format!("[{above}.{key}]")
        }
    }

    /// Reports that `key` has the wrong type.
    pub(crate) fn wrong<T>(&self, node: &Node, key: &str, expected: &str) -> Option<T> {
        let message = format!("`{key}` must be {expected}, not {}", node.kind());
        self.report(Diagnostic::error(message).primary(node.label(node.kind())));
        None
    }

    /// `node` as a string. A bare word of the command line is one, whatever TOML makes of it.
    pub(crate) fn node_string(&self, node: &Node, key: &str) -> Option<Located<String>> {
        let value = match &node.value {
            NodeValue::String(text) => text.clone(),
            NodeValue::Array(_) | NodeValue::Table(_) => return self.wrong(node, key, "a string"),
            _ if node.bare => node.file.text[node.span.clone()].to_owned(),
            _ => return self.wrong(node, key, "a string"),
        };
        Some(Located {
            value,
            file: Arc::clone(&node.file),
            span: node.span.clone(),
        })
    }

    /// `node` as a plain value.
    pub(crate) fn node_json(&self, node: &Node, key: &str) -> Option<Value> {
        node.to_json()
            .or_else(|date| {
                self.wrong(date, key, "a string, number, boolean, list or table")
                    .ok_or(())
            })
            .ok()
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        self.finish_with(|_, diagnostic| diagnostic);
    }

    /// The same, with a last word from the caller on each.
    pub(crate) fn finish_with(self, explain: impl Fn(&str, Diagnostic) -> Diagnostic) {
        for (key, entry) in self.rest() {
            let whose = if self.title.is_empty() {
                "in this file".to_owned()
            } else {
                format!("in {}", self.title)
            };
            let diagnostic = Diagnostic::error(format!("unknown key `{key}` {whose}"))
                .primary(entry.key.clone())
                .help(known_help(key, &self.known));
            self.report(explain(key, diagnostic));
        }
    }
}
