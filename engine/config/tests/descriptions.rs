//! Every key of every schema, at every depth, is explained, and so is every word that a key can be.

use serde_json::{Map, Value, json};
use sli_config::schema;

/// Walks a schema and keeps what is not explained.
struct Walk<'a> {
    root: &'a Value,
    missing: Vec<String>,
    properties: usize,
    words: usize,
}

impl Walk<'_> {
    fn schema(&mut self, value: &Value, path: &str) {
        let Some(members) = value.as_object() else { return };
        for (name, property) in members
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            self.properties += 1;
            let path = format!("{path}/{name}");
            // `false` forbids the key.
            if *property != json!(false) && !described(property) {
                self.missing.push(format!("{path}: no description"));
            }
            self.schema(property, &path);
        }
        if members.contains_key("enum") {
            self.missing.push(format!("{path}: words without a description each"));
        }
        for keyword in ["anyOf", "oneOf"] {
            self.choices(members, keyword, path);
        }
        for keyword in ["items", "additionalProperties", "additionalItems", "then", "else"] {
            self.below(members, keyword, path);
        }
        self.below(members, "allOf", path);
        for keyword in ["patternProperties", "definitions"] {
            for (name, value) in members.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                self.schema(value, &format!("{path}/{keyword}/{name}"));
            }
        }
    }

    fn below(&mut self, members: &Map<String, Value>, keyword: &str, path: &str) {
        match members.get(keyword) {
            Some(Value::Array(items)) => items
                .iter()
                .for_each(|item| self.schema(item, &format!("{path}/{keyword}"))),
            Some(value) => self.schema(value, &format!("{path}/{keyword}")),
            None => {}
        }
    }

    /// Of several choices each must be explained, unless they only say which keys must stand together.
    fn choices(&mut self, members: &Map<String, Value>, keyword: &str, path: &str) {
        for choice in members.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            let only_requires = choice.get("required").is_some() && choice.get("type").is_none();
            if only_requires {
                continue;
            }
            self.words += usize::from(choice.get("const").is_some());
            let null = choice.get("type") == Some(&json!("null"));
            let place = format!("{path}/{keyword}");
            if !null && !described(choice) && !self.reference_is_described(choice) {
                self.missing
                    .push(format!("{place}: a choice without description: {choice}"));
            }
            self.schema(choice, &place);
        }
    }

    fn reference_is_described(&self, value: &Value) -> bool {
        let target = value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|to| to.strip_prefix('#'));
        target.and_then(|to| self.root.pointer(to)).is_some_and(described)
    }
}

fn described(value: &Value) -> bool {
    value
        .get("description")
        .and_then(Value::as_str)
        .is_some_and(|text| text.trim().len() > 3)
}

#[test]
fn every_key_and_every_word_is_explained() {
    let (mut properties, mut words) = (0, 0);
    for (name, schema) in schema::files() {
        let mut walk = Walk {
            root: &schema,
            missing: Vec::new(),
            properties: 0,
            words: 0,
        };
        walk.schema(&schema, "");
        assert!(walk.missing.is_empty(), "{name}:\n{}", walk.missing.join("\n"));
        assert!(described(&schema), "{name} itself");
        properties += walk.properties;
        words += walk.words;
    }
    assert!(
        properties > 250 && words > 100,
        "{properties} keys, {words} words: were they found?"
    );
}

/// Definitions are what an editor shows where a key refers to one.
#[test]
fn every_definition_is_explained() {
    for (name, schema) in schema::files() {
        let definitions = schema.get("definitions").and_then(Value::as_object);
        for (definition, value) in definitions.into_iter().flatten() {
            assert!(described(value), "{definition} of {name}");
        }
    }
}

/// Texts are for people at an editor: no links of rustdoc, no line breaks in the middle of a sentence.
#[test]
fn descriptions_are_prose() {
    fn visit(value: &Value, name: &str) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(text)) = members.get("description") {
                    let flat = text.replace("\n\n", " ");
                    assert!(!flat.contains('\n'), "{name}: {text}");
                    assert!(!text.contains("]("), "{name}: {text}");
                    assert!(!text.contains("[`"), "{name}: {text}");
                }
                members.values().for_each(|value| visit(value, name));
            }
            Value::Array(items) => items.iter().for_each(|item| visit(item, name)),
            _ => {}
        }
    }
    for (name, schema) in schema::files() {
        visit(&schema, name);
    }
}
