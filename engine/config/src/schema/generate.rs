//! From types to the schemas of files in TOML.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::source::{Located, Spanned};

/// Draft 7, which the TOML editors understand.
pub(super) fn root<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft07().with_transform(for_toml).into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    let mut schema = schema.to_value();
    drop_unused_definitions(&mut schema);
    schema
}

/// The same for a type that is written as JSON, where null says that something is absent.
pub(super) fn root_json<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft07().with_transform(for_json).into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    schema.to_value()
}

fn for_json(schema: &mut Schema) {
    transform_subschemas(&mut for_json, schema);
    if let Some(members) = schema.as_object_mut() {
        tidy(members);
    }
}

pub(super) fn drop_unused_definitions(schema: &mut Value) {
    loop {
        let text = schema.to_string();
        let Some(definitions) = schema.get_mut("definitions").and_then(Value::as_object_mut) else {
            return;
        };
        let before = definitions.len();
        definitions.retain(|name, _| text.contains(&format!("\"#/definitions/{name}\"")));
        if definitions.len() == before {
            return;
        }
    }
}

/// Adapts a schema to TOML: there is no null, and a key with a default need not be there.
fn for_toml(schema: &mut Schema) {
    transform_subschemas(&mut for_toml, schema);
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    tidy(members);
    remove_null(members);
    let has_default = |name: &Value, properties: &Map<String, Value>| {
        name.as_str()
            .and_then(|name| properties.get(name))
            .is_some_and(|property| property.get("default").is_some())
    };
    if let Some(properties) = members.get("properties").and_then(Value::as_object).cloned()
        && let Some(required) = members.get_mut("required").and_then(Value::as_array_mut)
    {
        required.retain(|name| !has_default(name, &properties));
        if required.is_empty() {
            members.remove("required");
        }
    }
    // An empty default says nothing that the absence of the key does not say.
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            if matches!(property.get("default"), Some(value) if value.is_null() || *value == json!([]) || *value == json!({}))
            {
                property.remove("default");
            }
        }
    }
}

/// Lines of a doc comment become one line, since editors break lines themselves; and what a machine stores a number
/// in is not the user's concern.
fn tidy(members: &mut Map<String, Value>) {
    members.remove("format");
    if let Some(Value::String(text)) = members.get_mut("description") {
        *text = text
            .replace("\n\n", "\u{0}")
            .replace('\n', " ")
            .replace('\u{0}', "\n\n");
    }
}

/// `type: [T, "null"]` is `type: T`; `anyOf: [S, null]` is `S`.
fn remove_null(members: &mut Map<String, Value>) {
    if let Some(types) = members.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            members.insert("type".into(), one);
        }
    }
    let Some(options) = members.get_mut("anyOf").and_then(Value::as_array_mut) else {
        return;
    };
    options.retain(|option| option.get("type") != Some(&json!("null")));
    if let [one] = options.as_slice() {
        let one = one.clone();
        members.remove("anyOf");
        let Value::Object(one) = one else { return };
        // Beside `$ref` other members are ignored in draft 7.
        if one.contains_key("$ref") {
            members.insert("allOf".into(), json!([one]));
        } else {
            for (key, value) in one {
                members.entry(key).or_insert(value);
            }
        }
    }
}

/// Gives the only key of `{ "rms_norm": … }` the description of the choice that it is.
pub(super) fn all_described(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let described = members.get("description").cloned();
            if let (Some(text), Some(Value::Object(properties))) = (described, members.get_mut("properties"))
                && properties.len() == 1
            {
                for property in properties.values_mut().filter_map(Value::as_object_mut) {
                    describe(property, &text);
                }
            }
            members.values_mut().for_each(all_described);
        }
        Value::Array(items) => items.iter_mut().for_each(all_described),
        _ => {}
    }
}

fn describe(property: &mut Map<String, Value>, text: &Value) {
    if property.contains_key("description") {
        return;
    }
    if let Some(to) = property.remove("$ref") {
        property.insert("allOf".into(), json!([{ "$ref": to }]));
    }
    property.insert("description".into(), text.clone());
}

/// A place adds nothing to what may be written.
macro_rules! as_inner {
    ($($wrapper:ident)*) => {$(
        impl<T: JsonSchema> JsonSchema for $wrapper<T> {
            fn schema_name() -> Cow<'static, str> {
                T::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                T::schema_id()
            }

            fn inline_schema() -> bool {
                T::inline_schema()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    )*};
}
as_inner!(Located Spanned);
