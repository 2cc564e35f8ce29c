//! Values that several files have.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::family::{Equation, ValueDef};
use crate::pipeline::SIZE_PATTERN;

/// The forms of a number of bytes.
pub(crate) fn sizes() -> [Value; 2] {
    [
        json!({ "type": "integer", "minimum": 1, "description": "A number of bytes." }),
        json!({
            "type": "string",
            "pattern": SIZE_PATTERN,
            "description": "A number with a unit: `\"8GiB\"`, `\"900MiB\"`, `\"1.5GB\"`. The units are B, kB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024).",
        }),
    ]
}

/// A number of bytes, or `auto`.
pub(crate) fn auto_or_size(_: &mut SchemaGenerator) -> Schema {
    let [integer, text] = sizes();
    json_schema!({ "anyOf": [super::word("auto", "What is free."), integer, text] })
}

/// An integer of at least `LEAST`, or `auto`.
pub(crate) fn auto_or_integer<const LEAST: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            super::word("auto", "Decided for this machine and run."),
            { "type": "integer", "minimum": LEAST, "maximum": u32::MAX, "description": "This many." },
        ]
    })
}

impl JsonSchema for Equation {
    fn schema_name() -> Cow<'static, str> {
        "Equation".into()
    }

    /// Inline, so that the description of the key is what an editor shows.
    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"\S", "description": EQUATION })
    }
}

/// What an equation is, where nothing more special can be said.
const EQUATION: &str = "An equation in CEL syntax, as `linear(x, 'q_proj')`: names of other equations, arguments and \
                        values, numbers, 'strings', lists, maps, operators, `c ? a : b`, and calls of functions and blocks. \
                        Section 4 of docs/language.md describes the syntax, docs/functions.md the functions.";

impl JsonSchema for ValueDef {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A plan value: an equation or a constant.",
            "anyOf": [
                { "type": "string", "pattern": r"\S", "description": EQUATION },
                { "type": "boolean", "description": "A constant." },
                { "type": "number", "description": "A constant." },
                { "type": "array", "description": "A constant: a list of plain values. Strings in it are strings, not equations." },
                { "type": "object", "description": "A constant: a map of plain values. Strings in it are strings, not equations." },
            ],
        })
    }
}
