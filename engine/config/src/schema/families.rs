//! What of a family the types do not say by themselves.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::family::{Equation, INPUT_KINDS, MEANINGFUL, MatchTable, RESERVED, ValueDef};
use crate::schema::generate::drop_unused_definitions;

/// Keys that a std file has.
const SHARED: &[&str] = &[
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

/// The schema of a family without what only families have.
pub(super) fn shared_part(mut schema: Value) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.remove("required");
        members.remove("anyOf");
        members.insert(
            "description".into(),
            json!(
                "Blocks and values that several families include. Section 2 of docs/language.md describes every table."
            ),
        );
        if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
            properties.retain(|key, _| SHARED.contains(&key.as_str()));
        }
    }
    drop_unused_definitions(&mut schema);
    schema
}

/// A family says which models it describes, or is a parent only.
pub(crate) fn needs_match() -> Value {
    json!([
        { "required": ["match"] },
        { "properties": { "abstract": { "const": true } }, "required": ["abstract"] },
    ])
}

/// What equations, values, blocks and arguments may be called.
fn names() -> Value {
    let reserved: Vec<_> = RESERVED.iter().chain(MEANINGFUL).collect();
    json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": { "enum": reserved } })
}

/// What the keys of `[block.<name>]` may be called.
pub(crate) fn block_names() -> Value {
    names()
}

/// A table of equations by name.
pub(crate) fn equations(generator: &mut SchemaGenerator) -> Schema {
    let equation = generator.subschema_for::<Equation>();
    json_schema!({ "type": "object", "propertyNames": names(), "additionalProperties": equation })
}

/// `[defaults]` and `set`: plain values by key of config.json.
pub(crate) fn defaults(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "description": "Any value of TOML." } })
}

/// `[inputs]`: kinds by name.
pub(crate) fn inputs_of_family(_: &mut SchemaGenerator) -> Schema {
    let kinds: Vec<_> = INPUT_KINDS
        .iter()
        .map(|(kind, about)| super::word(kind, about))
        .collect();
    json_schema!({
        "type": "object",
        "additionalProperties": { "description": "What the input is.", "oneOf": kinds },
    })
}

/// `[match]` or `[[match]]`.
pub(crate) fn matches(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<MatchTable>();
    json_schema!({
        "anyOf": [
            table,
            { "type": "array", "minItems": 1, "items": table, "description": "Alternatives: one `[[match]]` table each." },
        ]
    })
}

/// `names.rename`: one name or several.
pub(crate) fn rename(_: &mut SchemaGenerator) -> Schema {
    let names = json!({
        "description": "What files may say in place of the left side.",
        "anyOf": [
            { "type": "string", "description": "One name." },
            { "type": "array", "items": { "type": "string" }, "description": "Several, tried in this order." },
        ],
    });
    json_schema!({ "type": "object", "additionalProperties": names })
}

/// `names.joined`: two names or more.
pub(crate) fn joined(_: &mut SchemaGenerator) -> Schema {
    let names = json!({
        "description": "The stored tensors, in the order in which their rows follow each other.",
        "type": "array",
        "items": { "type": "string" },
        "minItems": 2,
    });
    json_schema!({ "type": "object", "additionalProperties": names })
}

/// `part` of `names.packed`: `[k, n]` or `[k, "sizes"]`.
pub(crate) fn part(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "prefixItems": [
            { "type": "integer", "minimum": 0, "description": "Which part, from 0." },
            { "anyOf": [
                { "type": "integer", "minimum": 1, "description": "Of how many equal parts." },
                { "type": "string", "pattern": r"\S", "description": "An equation: the number of equal parts, or the list of their sizes." },
            ] },
        ],
        "items": false,
        "minItems": 2,
    })
}

/// `[values]`: equations and constants by name.
pub(crate) fn values(generator: &mut SchemaGenerator) -> Schema {
    let value = generator.subschema_for::<ValueDef>();
    json_schema!({ "type": "object", "propertyNames": names(), "additionalProperties": value })
}

/// `[layer.<class>]`: equations of one layer each.
pub(crate) fn layers(generator: &mut SchemaGenerator) -> Schema {
    let mut layer = equations(generator);
    layer.insert(
        "description".into(),
        "The equations of a layer: `x` enters, `out` leaves.".into(),
    );
    json_schema!({ "type": "object", "additionalProperties": layer })
}

/// `names.tied`: one module by another.
pub(crate) fn tied(_: &mut SchemaGenerator) -> Schema {
    let module = json!({ "type": "string", "description": "The module that is read instead." });
    json_schema!({ "type": "object", "additionalProperties": module })
}
