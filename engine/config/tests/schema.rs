//! The JSON schemas accept and refuse what the parser does, and describe every key the parser knows.

use serde_json::{Value, json};
use sli_config::{SourceFile, parse_family, parse_pipeline, parse_std, schema};

const PIPELINE: &str = include_str!("good/mixtral.toml");
const FAMILY: &str = include_str!("good/everything.toml");
const STD: &str = include_str!("good/std.toml");

/// What `uses` may say, in the order of the schema.
const STAGES: [&str; 6] = ["score", "capture", "profile", "embed", "logits", "plugin:p"];

/// The schema of the stages of one kind.
fn stage(schema: &Value, index: usize) -> &Value {
    let reference = schema["properties"]["stage"]["items"]["allOf"][index]["then"]["$ref"].as_str();
    schema.pointer(&reference.unwrap()[1..]).unwrap()
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[track_caller]
fn assert_valid(schema: &Value, text: &str) {
    let errors: Vec<_> = jsonschema::validator_for(schema)
        .unwrap()
        .iter_errors(&as_json(text))
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn good_files_satisfy_their_schema() {
    assert_valid(&schema::pipeline(), PIPELINE);
    assert_valid(&schema::family(), FAMILY);
    assert_valid(&schema::family_std(), STD);
}

/// The parser lists the keys it knows when it meets an unknown one; these are the schema's keys.
#[test]
fn schema_and_parser_know_the_same_keys() {
    let text = "zzz = 1\n[model]\nzzz = 1\n[data]\nzzz = 1\n[engine]\nzzz = 1\n[output]\nzzz = 1\n";
    let stages: String = STAGES
        .iter()
        .map(|uses| format!("[[stage]]\nuses = \"{uses}\"\nzzz = 1\n"))
        .collect();
    let errors = parse_pipeline(
        SourceFile::new("zzz.toml", format!("{text}{stages}[plugin.p]\nzzz = 1\n")),
        &[],
    )
    .unwrap_err();
    let schema = schema::pipeline();
    let definition = |name: &str| &schema["definitions"][name];
    let stage = |index: usize| stage(&schema, index);
    let mut places = vec![&schema];
    places.extend(["ModelSection", "DataSection", "EngineSection", "OutputSection"].map(definition));
    places.extend((0..STAGES.len()).map(stage));
    places.push(definition("GrantSection"));
    let lists: Vec<_> = errors
        .iter()
        .filter(|error| error.message.contains("unknown key"))
        .collect();
    assert_eq!(lists.len(), places.len());
    for (error, place) in lists.iter().zip(places) {
        let mut known: Vec<_> = error.help[0].split('`').skip(1).step_by(2).collect();
        let mut keys: Vec<_> = place["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        known.sort_unstable();
        keys.sort_unstable();
        assert_eq!(known, keys, "{}", error.message);
    }
}

/// What the schema calls the default is what the parser takes.
#[test]
fn defaults_of_the_schema_are_those_of_the_parser() {
    let text = "[model]\nsource = \"m\"\n[data]\nsource = \"d.txt\"\n[[stage]]\nuses = \"score\"\n[[stage]]\nuses = \
                \"capture\"\npoints = [\"final\"]\n[[stage]]\nuses = \"profile\"\n[[stage]]\nuses = \"embed\"\n\
                [[stage]]\nuses = \"logits\"\ntop_k = 1\n[[stage]]\nuses = \"plugin:p\"\nformat = \"parquet\"\n";
    let pipeline = parse_pipeline(SourceFile::new("defaults.toml", text), &[]).unwrap();
    let parsed = serde_json::to_value(&pipeline).unwrap();
    let schema = schema::pipeline();
    let mut checked = 0;
    let mut check = |properties: &Value, values: &Value| {
        for (key, property) in properties["properties"].as_object().unwrap() {
            let Some(default) = property.get("default") else {
                continue;
            };
            // `auto` stands for what the run decides; the format has been decided by the source's name.
            let expected = match (key.as_str(), default.as_str()) {
                ("format", Some("auto")) => json!("txt"),
                ("memory" | "gpu_memory" | "threads" | "prefetch", Some("auto")) => Value::Null,
                ("shard_size", _) => json!(1 << 30),
                _ => default.clone(),
            };
            assert_eq!(values[key], expected, "{key}");
            checked += 1;
        }
    };
    for (key, name) in [
        ("model", "ModelSection"),
        ("data", "DataSection"),
        ("engine", "EngineSection"),
        ("output", "OutputSection"),
    ] {
        check(&schema["definitions"][name], &parsed[key]);
    }
    for index in 0..STAGES.len() {
        check(stage(&schema, index), &parsed["stage"][index]);
    }
    assert_eq!(checked, 33);
}

#[test]
fn the_files_in_schemas_are_fresh() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
    for (name, schema) in schema::files() {
        let path = format!("{folder}/{name}");
        let text = schema::to_text(&schema);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            text,
            "{name} is stale: run with UPDATE_GOLDEN=1"
        );
    }
}

#[test]
fn good_files_are_accepted() {
    parse_pipeline(SourceFile::new("mixtral.toml", PIPELINE), &[]).unwrap();
    parse_family(SourceFile::new("everything.toml", FAMILY)).unwrap();
    parse_std(SourceFile::new("std.toml", STD), "std/std").unwrap();
}
