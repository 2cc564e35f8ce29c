//! What pipelines, settings and manifests say of plugins.

use serde_json::json;
use sli_config::pipeline::{ByteSize, PluginStage, RowFormat, StageKind};
use sli_config::plugin::{PluginKind, PluginManifest};
use sli_config::{Diagnostic, Pipeline, SourceFile, parse_grants, parse_pipeline, parse_plugin, render};

const BASE: &str = "[model]\nsource = \"m\"\n[data]\nsource = \"d.txt\"\n";
const OP: &str = include_str!("good/swirls.toml");
const FILTER: &str = include_str!("good/length-filter.toml");

#[track_caller]
fn accepted<T>(result: Result<T, Vec<Diagnostic>>) -> T {
    result.unwrap_or_else(|errors| panic!("{}", render(&errors, false)))
}

#[track_caller]
fn pipeline(rest: &str, overrides: &[(&str, &str)]) -> Pipeline {
    let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    let overrides: Vec<_> = overrides.iter().map(owned).collect();
    accepted(parse_pipeline(
        SourceFile::new("p.toml", format!("{BASE}{rest}")),
        &overrides,
    ))
}

#[track_caller]
fn plugin_stage(pipeline: &Pipeline, index: usize) -> &PluginStage {
    let StageKind::Plugin(stage) = &pipeline.stages[index].kind else {
        panic!("stage {index} is no plugin")
    };
    stage
}

fn manifest(name: &str, text: &str) -> PluginManifest {
    accepted(parse_plugin(SourceFile::new(name, text)))
}

#[test]
fn a_stage_that_is_a_plugin_keeps_every_place() {
    let text = "[[stage]]\nuses = \"plugin:length-filter\"\n[stage.with]\nmin_words = 3\nnames = [\"a\", \"b\"]\n\
                inner.\"a/b\" = true\n";
    let pipeline = pipeline(text, &[]);
    let stage = plugin_stage(&pipeline, 0);
    let text = &pipeline.file.text;
    assert_eq!(pipeline.stages[0].name.value, "length-filter", "named by its plugin");
    assert_eq!(&text[stage.plugin.span.clone()], "length-filter");
    assert_eq!(
        stage.with,
        json!({ "min_words": 3, "names": ["a", "b"], "inner": { "a/b": true } })
    );
    let place = |pointer: &str| &text[stage.place(pointer).span];
    assert_eq!(place("/min_words"), "3");
    assert_eq!(place("/names/1"), "\"b\"");
    assert_eq!(place("/inner/a~1b"), "true");
    assert_eq!(&text[stage.key_place("/min_words").span], "min_words");
    assert_eq!(place(""), "with", "the whole is its heading");
    assert_eq!(place("/max_words"), "with", "what is absent would stand in the table");
    assert_eq!(place("/names/7/deeper"), "[\"a\", \"b\"]");
}

#[test]
fn a_stage_without_options_has_an_empty_table_at_its_heading() {
    let pipeline = pipeline("[[stage]]\nuses = \"plugin:p\"\nname = \"n\"\n", &[]);
    let stage = plugin_stage(&pipeline, 0);
    assert_eq!((&stage.with, stage.row_format()), (&json!({}), RowFormat::Parquet));
    assert!(stage.points.is_none() && stage.of.is_none() && stage.format.is_none());
    assert_eq!(&pipeline.file.text[stage.place("/x").span], "[[stage]]");
    assert_eq!(pipeline.stages[0].kind.uses(), "plugin");
}

#[test]
fn reducers_and_formatters_have_their_keys() {
    let text = "[[stage]]\nuses = \"plugin:r\"\npoints = [\"decoder.*\"]\nformat = \"jsonl\"\n[[stage]]\nuses = \
                \"plugin:f\"\nof = \"r\"\n";
    let pipeline = pipeline(text, &[]);
    let reducer = plugin_stage(&pipeline, 0);
    assert_eq!(reducer.points.as_ref().unwrap()[0].value, "decoder.*");
    assert_eq!(reducer.row_format(), RowFormat::Jsonl);
    assert_eq!(plugin_stage(&pipeline, 1).of.as_ref().unwrap().value, "r");
    let json = serde_json::to_value(&pipeline).unwrap();
    assert_eq!(json["stage"][1]["plugin"], "f", "what a manifest of a run says");
}

#[test]
fn overrides_reach_options_and_grants() {
    let overrides = [
        ("stage.0.with.min_words", "3"),
        ("stage.0.with.deep.name", "bare"),
        ("stage.0.with.day", "2024-01-01"),
        ("plugin.p.log", "true"),
        ("plugin.p.memory", "2GiB"),
    ];
    let pipeline = pipeline("[[stage]]\nuses = \"plugin:p\"\n", &overrides);
    let stage = plugin_stage(&pipeline, 0);
    assert_eq!(
        stage.with,
        json!({ "min_words": 3, "deep": { "name": "bare" }, "day": "2024-01-01" })
    );
    let place = stage.place("/min_words");
    assert_eq!((place.file.name.as_str(), &place.file.text[place.span]), ("--set", "3"));
    let grants = &pipeline.plugins["p"];
    assert!(grants.log.as_ref().unwrap().value);
    assert_eq!(grants.memory.as_ref().unwrap().value, ByteSize(2 << 30));
}

#[test]
fn grants_are_the_same_in_pipelines_and_settings() {
    let sections = "[NAME]\nlog = true\nfolder = \"lists\"\nmemory = \"1GiB\"\nseconds = 300\n[NAME-2]\n";
    let stage = "[[stage]]\nuses = \"score\"\n";
    let pipeline = pipeline(&format!("{stage}{}", sections.replace("NAME", "plugin.p")), &[]);
    let file = SourceFile::new("plugins.toml", sections.replace("NAME", "p"));
    let settings = accepted(parse_grants(file));
    assert_eq!(pipeline.plugins, settings);
    let grants = &settings["p"];
    assert_eq!((grants.id.as_str(), grants.seconds.as_ref().unwrap().value), ("p", 300));
    assert_eq!(grants.folder.as_ref().unwrap().value, "lists");
    assert!(settings["p-2"].log.is_none());
}

#[test]
fn two_pipelines_are_equal_where_only_places_differ() {
    let stage = |space: &str| format!("[[stage]]\nuses = \"plugin:p\"\nwith = {{{space} a = 1 }}\n");
    let (one, two) = (pipeline(&stage(""), &[]), pipeline(&stage("     "), &[]));
    assert_eq!(one.stages, two.stages);
    assert_ne!(one.stages, pipeline(&stage("").replace('1', "2"), &[]).stages);
}

#[test]
fn a_manifest_says_what_it_says() {
    let op = manifest("plugins/guests/swirls/plugin.toml", OP);
    assert_eq!((op.id.as_str(), op.kind), ("swirls", PluginKind::Op));
    assert!(op.asks.log && !op.asks.folder);
    assert_eq!(
        (op.asks.memory, op.asks.seconds),
        (Some(ByteSize(512 << 20)), Some(120))
    );
    let swirl = &op.functions["swirl"];
    assert_eq!(
        (swirl.inputs.join(" "), swirl.outputs.join(" ")),
        ("x gate?".into(), "out".into())
    );
    let options = swirl.options.as_ref().unwrap();
    assert_eq!(options["type"], "object", "added where it is not stated");
    assert_eq!(options["properties"]["turns"]["minimum"], 1);
    let both = &op.functions["both"];
    assert!(both.options.is_none() && both.outputs.len() == 2);

    let filter = manifest("length-filter.wasm", FILTER);
    assert!(filter.kind.is_stage() && filter.functions.is_empty());
    assert_eq!(filter.options.as_ref().unwrap()["required"], json!(["min_words"]));

    let family = "schema = 1\nid = \"f\"\nversion = \"1.2.3\"\ntitle = \"t\"\nkind = \"family\"\n[[match]]\nmodel_types = \
                  [\"x\"]\n[[match]]\nwhen = \"has(config.y)\"\n";
    assert_eq!(manifest("f.toml", family).matches.len(), 2);
    let formatter = "schema = 1\nid = \"csv\"\nversion = \"1.2.3\"\ntitle = \"t\"\nkind = \"formatter\"\nextension = \
                     \"csv.gz\"\n";
    assert_eq!(manifest("csv.toml", formatter).extension.as_deref(), Some("csv.gz"));
}

/// What is accepted is a schema by the rules of JSON Schema, too.
#[test]
fn accepted_options_are_schemas() {
    let options = [
        manifest("plugin.toml", FILTER).options,
        manifest("plugin.toml", OP).functions["swirl"].options.clone(),
    ];
    for options in options {
        let options = options.unwrap();
        assert!(jsonschema::meta::is_valid(&options), "{options}");
        jsonschema::validator_for(&options).unwrap();
    }
}

/// `plugin.toml` lies among the sources; every other name is the plugin's.
#[test]
fn a_manifest_must_have_the_name_of_its_plugin() {
    for (name, fits) in [
        ("length-filter.toml", true),
        ("plugins/length-filter.wasm", true),
        ("a/plugin.toml", true),
        ("the manifest of length", true),
        ("length.toml", false),
        ("plugins/filter.wasm", false),
    ] {
        assert_eq!(parse_plugin(SourceFile::new(name, FILTER)).is_ok(), fits, "{name}");
    }
}
