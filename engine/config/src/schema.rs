//! JSON schemas of the user's files, for editors: completion, descriptions and checks while typing.
//!
//! They are derived from the checked types of [`pipeline`](crate::pipeline) and [`family`](crate::family), so a
//! key has one description. What no schema can say (two stages of one name, an id that is not the file's name)
//! is left to the parser; what a schema refuses, the parser refuses too.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::family::{Equation, FamilyFile, MatchTable, ValueDef};
use crate::pipeline::{
    CaptureStage, DataFormat, EmbedStage, LogitsStage, Pipeline, ProfileStage, SIZE_PATTERN, ScoreStage,
};
use crate::source::{Located, Spanned};

/// The schema of pipeline files, `schemas/pipeline.schema.json`.
pub fn pipeline() -> Value {
    root::<Pipeline>("sli-pipe pipeline")
}

/// The schema of family files, `schemas/family.schema.json`.
pub fn family() -> Value {
    root::<FamilyFile>("sli-pipe family")
}

/// The schema of std files, `schemas/family-std.schema.json`: the tables of a family that can be included.
pub fn family_std() -> Value {
    let mut schema = root::<FamilyFile>("sli-pipe family, shared part");
    let shared = [
        "needs",
        "include",
        "values",
        "names",
        "embed",
        "head",
        "block",
        "layer",
        "ignore_config",
    ];
    if let Some(members) = schema.as_object_mut() {
        members.remove("required");
        members.insert(
            "description".into(),
            json!("Blocks and values that several families include."),
        );
        if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
            properties.retain(|key, _| shared.contains(&key.as_str()));
        }
    }
    drop_unused_definitions(&mut schema);
    schema
}

/// Every schema with the name of its file in `schemas/`.
pub fn files() -> [(&'static str, Value); 3] {
    [
        ("family-std.schema.json", family_std()),
        ("family.schema.json", family()),
        ("pipeline.schema.json", pipeline()),
    ]
}

/// The text of a schema file: indented, with a newline at the end.
pub fn to_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

/// Draft 7, which the TOML editors understand.
fn root<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft07().with_transform(for_toml).into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".into(), title.into());
    schema.to_value()
}

fn drop_unused_definitions(schema: &mut Value) {
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

/// `[[stage]]`: each kind with its own keys, and the two that all have.
pub(crate) fn stages(generator: &mut SchemaGenerator) -> Schema {
    let kinds = [
        stage::<ScoreStage>("score", generator),
        stage::<CaptureStage>("capture", generator),
        stage::<ProfileStage>("profile", generator),
        stage::<EmbedStage>("embed", generator),
        stage::<LogitsStage>("logits", generator),
    ];
    json_schema!({ "type": "array", "minItems": 1, "items": { "anyOf": kinds } })
}

fn stage<T: JsonSchema>(uses: &str, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    let common = json!({
        "uses": { "description": "What the stage does.", "type": "string", "enum": [uses] },
        "name": { "description": "Names the stage's outputs; what it uses if absent.", "type": "string" },
    });
    let own = schema.remove("properties");
    let mut properties = Map::new();
    for members in [Some(common), own].into_iter().flatten() {
        if let Value::Object(members) = members {
            properties.extend(members);
        }
    }
    let mut required = vec![Value::from("uses")];
    if let Some(Value::Array(own)) = schema.remove("required") {
        required.extend(own);
    }
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), Value::Array(required));
    schema
}

/// A number of bytes, or `auto`.
pub(crate) fn auto_or_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": SIZE_PATTERN },
        ]
    })
}

/// An integer of at least `LEAST`, or `auto`.
pub(crate) fn auto_or_integer<const LEAST: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": LEAST, "maximum": u32::MAX }] })
}

/// The words of [`DataFormat`], or `auto`.
pub(crate) fn data_format(generator: &mut SchemaGenerator) -> Schema {
    let words = generator.subschema_for::<DataFormat>();
    json_schema!({ "anyOf": [{ "const": "auto", "description": "By the name's ending." }, words] })
}

/// The words of a device.
pub(crate) fn device(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "enum": ["auto", "cpu", "cuda"] }, { "type": "string", "pattern": "^cuda:[0-9]+$" }] })
}

/// `[match]` or `[[match]]`.
pub(crate) fn matches(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<MatchTable>();
    json_schema!({ "anyOf": [table, { "type": "array", "items": table }] })
}

/// `names.rename`: one name or several.
pub(crate) fn rename(_: &mut SchemaGenerator) -> Schema {
    let names = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    json_schema!({ "type": "object", "additionalProperties": names })
}

/// `names.joined`: two names or more.
pub(crate) fn joined(_: &mut SchemaGenerator) -> Schema {
    let names = json!({ "type": "array", "items": { "type": "string" }, "minItems": 2 });
    json_schema!({ "type": "object", "additionalProperties": names })
}

/// `part` of `names.packed`: `[k, n]` or `[k, "sizes"]`.
pub(crate) fn part(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "prefixItems": [
            { "type": "integer", "minimum": 0 },
            { "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "minLength": 1 }] },
        ],
        "items": false,
        "minItems": 2,
        "description": "Which part of the rows: the k-th of n equal parts, or of parts with sizes by an equation.",
    })
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

impl JsonSchema for Equation {
    fn schema_name() -> Cow<'static, str> {
        "Equation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "description": "An equation in CEL syntax." })
    }
}

impl JsonSchema for ValueDef {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number", "boolean", "array", "object"],
            "description": "An equation in CEL syntax, or a constant that is no string.",
        })
    }
}
