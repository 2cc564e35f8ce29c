//! What of a pipeline the types do not say by themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::pipeline::{
    CaptureStage, DataFormat, EmbedStage, LogitsStage, PluginStage, ProfileStage, ScoreStage, StageKind,
};
use crate::plugin::{GrantSection, ID_PATTERN};

/// What a stage and a pipeline may be called: outputs are named by it.
pub(crate) const FILE_NAME: &str = r"^[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*$";

/// `[[stage]]`: `uses` decides which keys a stage has.
///
/// `if` and `then` check, so that a mistake is reported at its key; `anyOf` allows everything, and is there for
/// editors that complete keys without understanding `if`.
pub(crate) fn stages(generator: &mut SchemaGenerator) -> Schema {
    let kinds = [
        stage::<ScoreStage>("score", generator),
        stage::<CaptureStage>("capture", generator),
        stage::<ProfileStage>("profile", generator),
        stage::<EmbedStage>("embed", generator),
        stage::<LogitsStage>("logits", generator),
        stage::<PluginStage>("plugin", generator),
    ];
    debug_assert_eq!(kinds.len(), StageKind::USES.len() + 1);
    let checks: Vec<_> = kinds
        .iter()
        .map(|kind| json!({ "if": { "properties": { "uses": condition(&kind.uses) }, "required": ["uses"] }, "then": kind.reference }))
        .collect();
    let mut hints: Vec<_> = kinds.iter().map(|kind| kind.reference.clone()).collect();
    hints.push(json!({ "type": "object", "description": "A stage." }));
    let uses: Vec<_> = kinds.into_iter().map(|kind| kind.uses).collect();
    json_schema!({
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "description": "One stage.",
            "properties": { "uses": { "description": "What the stage does.", "anyOf": uses }, "name": name_of_stage() },
            "required": ["uses"],
            "anyOf": hints,
            "allOf": checks,
        },
    })
}

/// One kind of stage: what `uses` says, and where its schema is.
struct Kind {
    uses: Value,
    reference: Value,
}

fn stage<T: JsonSchema>(uses: &str, generator: &mut SchemaGenerator) -> Kind {
    let mut schema = T::json_schema(generator);
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let uses = match uses {
        "plugin" => json!({
            "type": "string",
            "pattern": format!("^plugin:{}", &ID_PATTERN[1..]),
            "description": about,
        }),
        word => super::word(word, about),
    };
    let mut properties = Map::new();
    properties.insert("uses".into(), uses.clone());
    properties.insert("name".into(), name_of_stage());
    if let Some(Value::Object(own)) = schema.remove("properties") {
        properties.extend(own);
    }
    let mut required = vec![Value::from("uses")];
    if let Some(Value::Array(own)) = schema.remove("required") {
        required.extend(own);
    }
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), Value::Array(required));
    let name = T::schema_name();
    let reference = json!({ "$ref": format!("#/definitions/{name}") });
    generator.definitions_mut().insert(name.into(), schema.to_value());
    Kind { uses, reference }
}

/// Without the description, which only says something once.
fn condition(uses: &Value) -> Value {
    let mut condition = uses.clone();
    if let Some(members) = condition.as_object_mut() {
        members.remove("description");
    }
    condition
}

fn name_of_stage() -> Value {
    json!({
        "description": "Names the stage's outputs: letters, digits, `-`, `_` and `.`. No two stages of a pipeline have the same. If absent, what the stage uses; of a plugin its id.",
        "type": "string",
        "pattern": FILE_NAME,
        "maxLength": 100,
    })
}

/// `[plugin.<id>]`: what plugins may do.
pub(crate) fn grants(generator: &mut SchemaGenerator) -> Schema {
    let section = generator.subschema_for::<GrantSection>();
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": ID_PATTERN, "maxLength": 64 },
        "additionalProperties": section,
    })
}

/// The user's settings: grants by id of plugin.
pub(super) struct Grants;

impl JsonSchema for Grants {
    fn schema_name() -> Cow<'static, str> {
        "Grants".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = grants(generator);
        schema.insert(
            "description".into(),
            "What plugins may do in every run: a table for each, `[<id>]`. A plugin gets what its manifest asks for and \
             either this file or the pipeline grants."
                .into(),
        );
        schema
    }
}

/// The words of [`DataFormat`], or `auto`.
pub(crate) fn data_format(generator: &mut SchemaGenerator) -> Schema {
    let mut words = vec![super::word(
        "auto",
        "By the ending of the source's name; standard input is `jsonl`.",
    )];
    if let Some(Value::Array(own)) = DataFormat::json_schema(generator).remove("oneOf") {
        words.extend(own);
    }
    json_schema!({ "oneOf": words })
}

/// The words of a device.
pub(crate) fn device(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            super::word("auto", "The first GPU, or the CPU without one."),
            super::word("cpu", "The CPU."),
            super::word("cuda", "The first GPU."),
            { "type": "string", "pattern": "^cuda:[0-9]+$", "description": "The GPU of this number, from 0." },
        ]
    })
}
