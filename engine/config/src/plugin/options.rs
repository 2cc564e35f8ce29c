//! JSON schemas of options, written as TOML. What can be seen without a validator is checked here, each mistake at
//! its place; whether the whole is a schema is for whoever compiles it.

use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::read::table::TableReader;
use crate::read::tree::{Entry, Node, NodeValue, Table};
use crate::suggest::{list, suggest};

/// Keywords of JSON Schema (2020-12 and draft 7) that options may use. References to other documents, and the
/// keywords that only serve them, are left out.
pub(crate) const KEYWORDS: &[&str] = &[
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "items",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "enum",
    "const",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "$comment",
    "$defs",
    "definitions",
    "$ref",
    "$schema",
];

/// Names of JSON's types.
const TYPES: &[&str] = &["string", "integer", "number", "boolean", "array", "object", "null"];

/// Keywords whose value is one schema.
const ONE_SCHEMA: &[&str] = &[
    "additionalProperties",
    "propertyNames",
    "items",
    "contains",
    "not",
    "if",
    "then",
    "else",
];

/// Keywords whose value is a table of schemas.
const NAMED_SCHEMAS: &[&str] = &[
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];

/// Keywords whose value is a list of schemas.
const SCHEMAS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];

impl TableReader<'_> {
    /// The table `key`, the JSON Schema of an object; a `type` that is not stated is added.
    pub(super) fn options(&mut self, key: &'static str) -> Option<Value> {
        let node = &self.entry(key)?.node;
        let object = self.json_object(key);
        if let NodeValue::Table(table) = &node.value {
            self.check_schema(table);
            self.check_is_object(table);
        }
        let (mut schema, _) = object?;
        let members = schema.as_object_mut()?;
        members.entry("type").or_insert_with(|| json!("object"));
        Some(schema)
    }

    /// Reports a value of the wrong type.
    fn mistyped(&self, node: &Node, key: &str, expected: &str) {
        let _: Option<()> = self.wrong(node, key, expected);
    }

    fn check_is_object(&self, schema: &Table) {
        let Some(entry) = schema.get("type").filter(|entry| !entry.node.is_text("object")) else {
            return;
        };
        self.report(
            Diagnostic::error("options are a table, so their schema is that of an object")
                .primary(entry.node.label(""))
                .help("write `type = \"object\"`, or leave `type` out, and put the options below `properties`"),
        );
    }

    fn check_schema(&self, schema: &Table) {
        for (keyword, entry) in schema {
            match keyword.as_str() {
                "type" => self.check_type(&entry.node),
                "required" => self.check_required(schema, &entry.node),
                "enum" => self.check_list(keyword, &entry.node),
                "$ref" => self.check_reference(&entry.node),
                word if ONE_SCHEMA.contains(&word) => self.check_node(keyword, &entry.node),
                word if NAMED_SCHEMAS.contains(&word) => self.check_named(keyword, &entry.node),
                word if SCHEMAS.contains(&word) => self.check_schemas(keyword, &entry.node),
                word if KEYWORDS.contains(&word) || word.starts_with("x-") => {}
                _ => self.unknown_keyword(keyword, entry),
            }
        }
    }

    fn check_node(&self, keyword: &str, node: &Node) {
        match &node.value {
            NodeValue::Table(schema) => self.check_schema(schema),
            NodeValue::Boolean(_) => {}
            _ => self.mistyped(node, keyword, "a schema, which is a table, `true` or `false`"),
        }
    }

    fn check_named(&self, keyword: &str, node: &Node) {
        let NodeValue::Table(table) = &node.value else {
            return self.mistyped(node, keyword, "a table of schemas");
        };
        for (name, entry) in table {
            self.check_node(name, &entry.node);
        }
    }

    fn check_schemas(&self, keyword: &str, node: &Node) {
        let NodeValue::Array(items) = &node.value else {
            return self.mistyped(node, keyword, "a list of schemas");
        };
        self.check_list(keyword, node);
        for item in items {
            self.check_node(keyword, item);
        }
    }

    fn check_list(&self, keyword: &str, node: &Node) {
        match &node.value {
            NodeValue::Array(items) if !items.is_empty() => {}
            _ => self.mistyped(node, keyword, "a list that is not empty"),
        }
    }

    fn check_type(&self, node: &Node) {
        let words = match &node.value {
            NodeValue::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for word in words {
            let NodeValue::String(name) = &word.value else {
                self.mistyped(word, "type", "the name of a type or a list of them");
                continue;
            };
            if !TYPES.contains(&name.as_str()) {
                let close = suggest(name, TYPES.iter().copied()).map(|name| format!("did you mean `{name}`?"));
                self.report(
                    Diagnostic::error(format!("`{name}` is no type of JSON"))
                        .primary(word.label(format!("expected one of {}", list(TYPES))))
                        .help_opt(close),
                );
            }
        }
    }

    /// Names that `properties` lacks although nothing else is allowed could never be given.
    fn check_required(&self, schema: &Table, node: &Node) {
        let NodeValue::Array(items) = &node.value else {
            return self.mistyped(node, "required", "a list of names");
        };
        let closed = schema
            .get("additionalProperties")
            .is_some_and(|entry| matches!(entry.node.value, NodeValue::Boolean(false)))
            && !schema.contains_key("patternProperties");
        let properties = schema.get("properties").and_then(|entry| match &entry.node.value {
            NodeValue::Table(table) => Some(table),
            _ => None,
        });
        for item in items {
            let Some(name) = self.node_string(item, "required") else {
                continue;
            };
            if closed && !properties.is_some_and(|table| table.contains_key(&name.value)) {
                let known = properties
                    .into_iter()
                    .flat_map(|table| table.keys().map(String::as_str));
                let close = suggest(&name, known).map(|name| format!("did you mean `{name}`?"));
                self.report(
                    Diagnostic::error(format!(
                        "`{}` is required, but `properties` has no such option",
                        name.value
                    ))
                    .primary(name.label(""))
                    .help_opt(close),
                );
            }
        }
    }

    fn check_reference(&self, node: &Node) {
        match &node.value {
            NodeValue::String(to) if to.starts_with('#') => {}
            _ => self.report(
                Diagnostic::error("`$ref` must stay in this schema")
                    .primary(node.label(""))
                    .help("write `\"#/$defs/name\"` and the schema below `$defs`"),
            ),
        }
    }

    fn unknown_keyword(&self, keyword: &str, entry: &Entry) {
        let close = suggest(keyword, KEYWORDS.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        self.report(
            Diagnostic::error(format!("`{keyword}` is no keyword of JSON Schema"))
                .primary(entry.key.clone())
                .note("options are described by a JSON Schema, written as TOML")
                .help(
                    close.unwrap_or_else(|| {
                        format!("to add an option, write `properties.{keyword} = {{ type = \"…\" }}`")
                    }),
                ),
        );
    }
}
