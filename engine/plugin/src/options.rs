//! Options held against the JSON Schema that a manifest states for them.

use jsonschema::PatternOptions;
use serde_json::Value as Json;
use sli_config::Diagnostic;

/// What is wrong in options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Where, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// What.
    pub message: String,
}

/// Everything that is wrong with `options`. Without a schema there are no options: only an empty map fits.
/// Patterns are matched in linear time; a schema that points elsewhere is refused.
///
/// # Errors
/// A schema that is none.
pub fn validate_options(schema: Option<&Json>, options: &Json) -> Result<Vec<OptionError>, Diagnostic> {
    let Some(schema) = schema else {
        let keys = options.as_object().into_iter().flatten();
        return Ok(keys
            .map(|(key, _)| OptionError {
                pointer: format!("/{}", key.replace('~', "~0").replace('/', "~1")),
                message: format!("the plugin takes no options, so `{key}` has no meaning"),
            })
            .collect());
    };
    let validator = jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|why| Diagnostic::error(format!("the schema of the options is broken: {why}")))?;
    let errors = validator.iter_errors(options);
    Ok(errors
        .map(|error| OptionError {
            pointer: error.instance_path().to_string(),
            message: error.to_string(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_say_where_they_are() {
        let schema = json!({
            "type": "object",
            "properties": { "least": { "type": "integer", "minimum": 0 }, "by": { "enum": ["words", "bytes"] } },
            "additionalProperties": false,
        });
        assert_eq!(validate_options(Some(&schema), &json!({ "least": 3 })).unwrap(), []);
        let found = validate_options(Some(&schema), &json!({ "least": -1, "by": "x" })).unwrap();
        let mut pointers: Vec<_> = found.iter().map(|e| e.pointer.as_str()).collect();
        pointers.sort();
        assert_eq!(pointers, ["/by", "/least"]);
        assert!(
            found.iter().any(|e| e.message == "-1 is less than the minimum of 0"),
            "{found:?}"
        );
    }

    #[test]
    fn without_a_schema_there_are_no_options() {
        assert_eq!(validate_options(None, &json!({})).unwrap(), []);
        assert_eq!(
            validate_options(None, &json!({ "a/b": 1 })).unwrap()[0].pointer,
            "/a~1b"
        );
    }

    #[test]
    fn schemas_that_do_harm_are_refused_or_end() {
        let elsewhere = json!({ "$ref": "https://example.com/x.json" });
        assert!(validate_options(Some(&elsewhere), &json!({})).is_err());
        let slow = json!({ "properties": { "a": { "pattern": "^(a+)+$" } } });
        let text = "a".repeat(50_000) + "!";
        assert_eq!(validate_options(Some(&slow), &json!({ "a": text })).unwrap().len(), 1);
        let circle = json!({ "$ref": "#" });
        let _ = validate_options(Some(&circle), &json!({ "a": 1 }));
        let backwards = json!({ "properties": { "a": { "pattern": "(a)\\1" } } });
        assert!(validate_options(Some(&backwards), &json!({})).is_err());
    }
}
