//! What of a manifest the types do not say by themselves.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::family::RESERVED;
use crate::plugin::{FunctionDef, KEYWORDS};

/// A name that equations can use.
const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// `schema = 1`, which the checked manifest has no field for.
pub(super) fn add_version(schema: &mut Value) {
    let version = json!({ "description": "Version of the manifest's form.", "const": 1 });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let others = std::mem::take(properties);
        properties.insert("schema".into(), version);
        properties.extend(others);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.insert(0, "schema".into());
    }
}

/// Which keys the kinds have and must have.
pub(crate) fn plugin_kinds() -> Value {
    let kind = |kinds: &[&str], not: &[&str], required: &[&str]| {
        let mut properties: Map<_, _> = not.iter().map(|key| ((*key).to_owned(), json!(false))).collect();
        if kinds.iter().any(|kind| ["family", "op"].contains(kind)) {
            let folder = json!({ "const": false, "description": "Plugins of this kind read no files." });
            let asks = json!({ "properties": { "folder": folder }, "description": "What the plugin needs." });
            properties.insert("asks".into(), asks);
        }
        let condition = json!({ "properties": { "kind": { "enum": kinds } }, "required": ["kind"] });
        json!({ "if": condition, "then": { "properties": properties, "required": required } })
    };
    json!([
        kind(&["family"], &["functions", "options", "extension"], &["match"]),
        kind(&["op"], &["match", "options", "extension"], &["functions"]),
        kind(&["filter", "reducer"], &["match", "functions", "extension"], &[]),
        kind(&["formatter"], &["match", "functions"], &["extension"]),
    ])
}

/// `[functions.<name>]`, at least one.
pub(crate) fn functions(generator: &mut SchemaGenerator) -> Schema {
    let function = generator.subschema_for::<FunctionDef>();
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": IDENTIFIER, "not": { "enum": RESERVED } },
        "additionalProperties": function,
    })
}

/// Names of tensors that may end in `?`.
pub(crate) fn inputs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 64, "items": { "type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*\??$" } })
}

/// Names of results.
pub(crate) fn outputs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "uniqueItems": true,
        "items": { "type": "string", "pattern": IDENTIFIER },
    })
}

/// A JSON Schema of an object, written as TOML. Keys and the most frequent keywords are described; the
/// rest is left to whoever compiles the schema.
pub(crate) fn options(generator: &mut SchemaGenerator) -> Schema {
    let definitions = generator.definitions_mut();
    if !definitions.contains_key("OptionSchema") {
        definitions.insert("OptionSchema".into(), option_schema(false));
    }
    let mut schema = option_schema(true);
    schema["required"] = json!([]);
    if let Some(members) = schema.as_object_mut() {
        members.remove("required");
        members.remove("description");
    }
    Schema::try_from(schema).unwrap_or_default()
}

fn option_schema(is_root: bool) -> Value {
    let schema = json!({ "$ref": "#/definitions/OptionSchema" });
    let described = |text: &str, mut value: Value| {
        value["description"] = json!(text);
        value
    };
    let schemas = |text: &str| described(text, json!({ "type": "array", "minItems": 1, "items": schema }));
    let named = |text: &str| described(text, json!({ "type": "object", "additionalProperties": schema }));
    let number = |text: &str| described(text, json!({ "type": "number" }));
    let count = |text: &str| described(text, json!({ "type": "integer", "minimum": 0 }));
    let any = |text: &str| json!({ "description": text });
    let one = |text: &str| described(text, json!({ "allOf": [schema] }));
    let types = || {
        [
            ("string", "Text."),
            ("integer", "A whole number."),
            ("number", "Any number."),
            ("boolean", "`true` or `false`."),
            ("array", "A list."),
            ("object", "A table."),
            ("null", "Nothing. TOML has none, but maps of equations do."),
        ]
        .map(|(name, about)| super::word(name, about))
    };
    let type_ = match is_root {
        true => described(
            "Options are a table; `object` may be left out.",
            json!({ "const": "object" }),
        ),
        false => described(
            "The type of the value, or a list of several.",
            json!({ "anyOf": [
                { "description": "One type.", "oneOf": types() },
                { "description": "Any of these types.", "type": "array", "minItems": 1, "items": { "oneOf": types() } },
            ] }),
        ),
    };
    let flag = |text: &str| described(text, json!({ "type": "boolean" }));
    let text = |about: &str| described(about, json!({ "type": "string" }));
    let names = |about: &str| described(about, json!({ "type": "array", "items": { "type": "string" } }));
    let all = [
        ("type", type_),
        (
            "description",
            text("What the option means, for the person who sets it."),
        ),
        ("title", text("A short name.")),
        (
            "default",
            any("The value that the plugin takes where the option is absent. It is not filled in: the plugin does so."),
        ),
        (
            "examples",
            described("Values that make sense.", json!({ "type": "array" })),
        ),
        ("deprecated", flag("The option should not be used any more.")),
        ("$comment", text("A note for whoever reads the schema.")),
        ("properties", named("The options, or the members of a table, by name.")),
        ("required", names("Names that must be given.")),
        (
            "additionalProperties",
            one("Whether other names may be given (`false`: no), or what they must be."),
        ),
        (
            "patternProperties",
            named("What members must be whose name fits the regular expression."),
        ),
        ("propertyNames", one("What each name must be.")),
        ("minProperties", count("The least number of members.")),
        ("maxProperties", count("The greatest number of members.")),
        (
            "dependentRequired",
            described(
                "Names that must be given if another one is.",
                json!({ "type": "object", "additionalProperties": { "type": "array", "items": { "type": "string" } } }),
            ),
        ),
        ("dependentSchemas", named("What the table must be if a name is given.")),
        ("items", one("What each item of a list must be.")),
        (
            "prefixItems",
            schemas("What the first, second, … item of a list must be."),
        ),
        ("contains", one("What at least one item of a list must be.")),
        (
            "minContains",
            count("How many items at least must be what `contains` says."),
        ),
        (
            "maxContains",
            count("How many items at most may be what `contains` says."),
        ),
        ("minItems", count("The least number of items.")),
        ("maxItems", count("The greatest number of items.")),
        ("uniqueItems", flag("No two items may be equal.")),
        ("minimum", number("The least value.")),
        ("maximum", number("The greatest value.")),
        ("exclusiveMinimum", number("The value must be greater.")),
        ("exclusiveMaximum", number("The value must be less.")),
        (
            "multipleOf",
            described(
                "The value must be a multiple of this.",
                json!({ "type": "number", "exclusiveMinimum": 0 }),
            ),
        ),
        ("minLength", count("The least number of characters.")),
        ("maxLength", count("The greatest number of characters.")),
        (
            "pattern",
            described(
                "A regular expression that the text must fit; it may begin and end anywhere unless `^` and `$` say otherwise.",
                json!({ "type": "string", "format": "regex" }),
            ),
        ),
        ("format", text("What the text means, as `date`. Not checked.")),
        (
            "enum",
            described(
                "The values that are allowed.",
                json!({ "type": "array", "minItems": 1 }),
            ),
        ),
        ("const", any("The only value that is allowed.")),
        ("allOf", schemas("All of these must hold.")),
        ("anyOf", schemas("At least one of these must hold.")),
        ("oneOf", schemas("Exactly one of these must hold.")),
        ("not", one("This must not hold.")),
        ("if", one("If this holds, `then` must hold, else `else`.")),
        ("then", one("What must hold if `if` does.")),
        ("else", one("What must hold if `if` does not.")),
        ("$defs", named("Schemas that `$ref` can name.")),
        (
            "definitions",
            named("Schemas that `$ref` can name (the older word for `$defs`)."),
        ),
        (
            "$ref",
            described(
                "A schema of this one: `\"#/$defs/name\"`.",
                json!({ "type": "string", "pattern": "^#" }),
            ),
        ),
        ("$schema", text("The draft of JSON Schema; 2020-12 if absent.")),
    ];
    debug_assert_eq!(all.len(), KEYWORDS.len());
    let properties: Map<_, _> = all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    json!({
        "type": if is_root { json!("object") } else { json!(["object", "boolean"]) },
        "description": "A JSON Schema, written as TOML; `true` allows everything, `false` nothing.",
        "properties": properties,
        "patternProperties": { "^x-": { "description": "A member for other programs." } },
        "additionalProperties": false,
        "required": [],
    })
}
