//! Broken files: one mistake each, the place where the schema must report it, and that the parser refuses it too.

use serde_json::Value;
use sli_config::{Diagnostic, SourceFile, parse_family, parse_grants, parse_pipeline, parse_plugin, parse_std, schema};

const PIPELINE: &str = include_str!("good/mixtral.toml");
const FAMILY: &str = include_str!("good/everything.toml");
const STD: &str = include_str!("good/std.toml");
const OP: &str = include_str!("good/swirls.toml");
const FILTER: &str = include_str!("good/length-filter.toml");
const GRANTS: &str = include_str!("good/plugins.toml");

/// What a good file says, what a broken one says instead, and the JSON pointer of the mistake.
type Mutation = (&'static str, &'static str, &'static str);

const PIPELINES: &[Mutation] = &[
    ("dtype  = \"auto\"", "dtype = \"f33\"", "/engine/dtype"),
    ("device = \"auto\"", "device = \"gpu\"", "/engine/device"),
    ("device = \"auto\"", "device = \"cuda:x\"", "/engine/device"),
    ("memory = \"8GiB\"", "memory = \"8 gigs\"", "/engine/memory"),
    ("memory = \"8GiB\"", "memory = 0", "/engine/memory"),
    ("memory = \"8GiB\"", "memroy = \"8GiB\"", "/engine"),
    ("prefetch    = 2", "prefetch = -1", "/engine/prefetch"),
    ("threads     = \"auto\"", "threads = 0", "/engine/threads"),
    ("experts     = \"routed\"", "experts = \"some\"", "/engine/experts"),
    ("max_tokens = 2048", "max_tokens = 0", "/data/max_tokens"),
    ("max_tokens = 2048", "long = \"cut\"", "/data/long"),
    ("max_tokens = 2048", "format = \"json\"", "/data/format"),
    ("source     = \"prompts.jsonl\"", "source = \"  \"", "/data/source"),
    ("source   = \"mistralai/Mixtral-8x7B-v0.1\"", "", "/model"),
    ("dir = \"runs/mixtral\"", "dir = 3", "/output/dir"),
    ("name = \"mixtral\"", "name = \"a/b\"", "/name"),
    ("name = \"mixtral\"", "name = \".hidden\"", "/name"),
    ("name = \"mixtral\"", "nam = \"mixtral\"", ""),
    ("uses = \"profile\"", "uses = \"profiles\"", "/stage/2/uses"),
    ("uses = \"profile\"", "uses = \"plugin:Bad\"", "/stage/2/uses"),
    ("uses = \"profile\"", "use = \"profile\"", "/stage/2"),
    (
        "uses = \"profile\"",
        "uses = \"profile\"\npooling = \"mean\"",
        "/stage/2",
    ),
    (
        "uses = \"profile\"",
        "uses = \"profile\"\noutlier_ratio = 1",
        "/stage/2/outlier_ratio",
    ),
    (
        "uses = \"profile\"",
        "uses = \"profile\"\nformat = \"csv\"",
        "/stage/2/format",
    ),
    ("uses = \"profile\"", "uses = \"plugin:p\"\ntop_k = 3", "/stage/2"),
    ("uses = \"profile\"", "uses = \"plugin:p\"\nwith = 3", "/stage/2/with"),
    (
        "uses = \"profile\"",
        "uses = \"plugin:p\"\npoints = [\"a..b\"]",
        "/stage/2/points/0",
    ),
    (
        "uses = \"score\"",
        "uses = \"score\"\nper_token = \"yes\"",
        "/stage/0/per_token",
    ),
    ("uses = \"score\"", "uses = \"score\"\nname = \"a/b\"", "/stage/0/name"),
    (
        "points = [\"embed\", \"decoder.*\", \"final\"]",
        "points = []",
        "/stage/1/points",
    ),
    ("points = [\"embed\", \"decoder.*\", \"final\"]", "", "/stage/1"),
    ("pooling = \"last\"", "pooling = \"max\"", "/stage/3/pooling"),
    ("top_k = 64", "top_k = 64\nall = true", "/stage/4"),
    ("top_k = 64", "all = false", "/stage/4"),
    ("top_k = 64", "top_k = 0", "/stage/4/top_k"),
    ("[output]", "[plugin.\"a b\"]\n[output]", "/plugin"),
    ("[output]", "[plugin.p]\nnet = true\n[output]", "/plugin/p"),
    ("[output]", "[plugin.p]\nseconds = 0\n[output]", "/plugin/p/seconds"),
];

const FAMILIES: &[Mutation] = &[
    ("schema   = 1", "schema = 2", "/schema"),
    ("title    = \"A family that states every key of the language\"", "", ""),
    ("count  = \"config.layers\"", "count = 24", "/stack/1/count"),
    ("tokens = \"input_ids\"", "token = \"input_ids\"", "/stack/1"),
    ("tokens = \"input_ids\"", "tokens = [\"input_ids\"]", "/stack/1/tokens"),
    ("class = \"cross\", ", "", "/stack/1/layer"),
    ("why  = \"decoders are not described here\"", "", "/refuse/0"),
    ("picture = \"images\"", "picture = \"image\"", "/inputs/picture"),
    (
        "heads  = \"config.num_heads\"",
        "while = \"config.num_heads\"",
        "/values",
    ),
    ("heads  = \"config.num_heads\"", "heads = \" \"", "/values/heads"),
    (
        "words = \"embedding(tokens, 'embed_tokens')\"",
        "\"a b\" = \"x\"",
        "/embed",
    ),
    (
        "out  = \"linear(x, 'up')\"",
        "out = \"linear(x, 'up')\"\ni = \"x\"",
        "/block/mlp",
    ),
    ("doc  = \"two linears\"", "doc = 2", "/block/mlp/doc"),
    ("memory = \"null\"", "memory = true", "/args/memory"),
    (
        "at            = [\"vision.\", \"\"]",
        "at = \"vision.\"",
        "/part/vision/at",
    ),
    (
        "positions     = \"positions\"",
        "position = \"positions\"",
        "/part/vision",
    ),
    (
        "part = [1, 2], transposed",
        "part = [1], transposed",
        "/names/packed/experts.{e}.up.weight/part",
    ),
    (
        "part = [1, 2], transposed",
        "part = [-1, 2], transposed",
        "/names/packed/experts.{e}.up.weight/part/0",
    ),
    (
        "\"Wqkv.weight\" = [\"q_proj.weight\", \"k_proj.weight\", \"v_proj.weight\"]",
        "\"Wqkv.weight\" = [\"q_proj.weight\"]",
        "/names/joined/Wqkv.weight",
    ),
    ("root   = [\"model.\", \"\"]", "roots = [\"model.\", \"\"]", "/names"),
    ("abstract = false", "abstract = \"no\"", "/abstract"),
    (
        "torch_dtype = \"says how the file is stored\"",
        "torch_dtype = true",
        "/ignore_config/torch_dtype",
    ),
    (
        "h   = \"x + mlp(norm(x, 'n'), \\\"mlp\\\")\"",
        "h = 1",
        "/layer/decoder/h",
    ),
];

const OPS: &[Mutation] = &[
    ("kind    = \"op\"", "kind = \"ops\"", "/kind"),
    ("kind    = \"op\"", "", ""),
    ("id      = \"swirls\"", "id = \"Swirls\"", "/id"),
    ("version = \"0.1.0\"", "version = \"1\"", "/version"),
    ("version = \"0.1.0\"", "version = \"01.0.0\"", "/version"),
    ("title   = \"Tensors that turn\"", "title = \"\"", "/title"),
    ("[asks]", "[asks]\nfolder = true", "/asks/folder"),
    ("[asks]", "[asks]\nnetwork = true", "/asks"),
    ("seconds = 120", "seconds = 0", "/asks/seconds"),
    ("memory  = \"512MiB\"", "memory = \"big\"", "/asks/memory"),
    (
        "[functions.swirl]",
        "[functions.\"s w\"]\ndoc = \"d\"\ninputs = []\noutputs = [\"y\"]\n[functions.swirl]",
        "/functions",
    ),
    (
        "[functions.swirl]",
        "[functions.in]\ndoc = \"d\"\ninputs = []\noutputs = [\"y\"]\n[functions.swirl]",
        "/functions",
    ),
    ("inputs  = [\"x\", \"gate?\"]", "", "/functions/swirl"),
    (
        "inputs  = [\"x\", \"gate?\"]",
        "inputs = [\"x y\"]",
        "/functions/swirl/inputs/0",
    ),
    ("outputs = [\"out\"]", "outputs = []", "/functions/swirl/outputs"),
    (
        "outputs = [\"out\"]",
        "outputs = [\"out?\"]",
        "/functions/swirl/outputs/0",
    ),
    (
        "outputs = [\"left\", \"right\"]",
        "outputs = [\"left\", \"left\"]",
        "/functions/both/outputs",
    ),
    (
        "type        = \"integer\"",
        "type = \"int\"",
        "/functions/swirl/options/properties/turns/type",
    ),
    ("kind    = \"op\"", "kind = \"op\"\nextension = \"csv\"", "/extension"),
    ("kind    = \"op\"", "kind = \"op\"\noptions = {}", "/options"),
];

const FILTERS: &[Mutation] = &[
    ("schema  = 1", "schema = 2", "/schema"),
    ("schema  = 1", "", ""),
    ("kind    = \"filter\"", "kind = \"family\"", ""),
    ("kind    = \"filter\"", "kind = \"formatter\"", ""),
    (
        "kind    = \"filter\"",
        "kind = \"formatter\"\nextension = \".csv\"",
        "/extension",
    ),
    (
        "kind    = \"filter\"",
        "kind = \"filter\"\nmatch = { model_types = [\"x\"] }",
        "/match",
    ),
    ("type                 = \"object\"", "type = \"array\"", "/options/type"),
    ("additionalProperties = false", "additionalProperty = false", "/options"),
    (
        "\"$ref\" = \"#/$defs/list\"",
        "\"$ref\" = \"list.json\"",
        "/options/properties/either/anyOf/1/$ref",
    ),
    (
        "enum = [\"words\", \"lines\"]",
        "enum = []",
        "/options/properties/unit/enum",
    ),
];

const GRANTED: &[Mutation] = &[
    ("log     = true", "log = \"yes\"", "/length-filter/log"),
    ("log     = true", "logs = true", "/length-filter"),
    ("memory  = \"1GiB\"", "memory = \"1 giga\"", "/length-filter/memory"),
    ("[swirls]", "[Swirls]", ""),
    ("seconds = 300", "seconds = 86401", "/length-filter/seconds"),
];

const SHARED: &[Mutation] = &[("needs", "need", ""), ("needs", "id = \"x\"\nneeds", "")];

/// Mistakes that the parser finds and a schema cannot see.
const ONLY_THE_PARSER: &[Mutation] = &[
    (
        "uses = \"score\"",
        "uses = \"score\"\nname = \"capture\"",
        "two stages of one name",
    ),
    ("memory = \"8GiB\"", "memory = \"9000TiB\"", "too large a size"),
    (
        "source     = \"prompts.jsonl\"",
        "source = \"prompts.xyz\"",
        "an ending that says nothing",
    ),
];

fn check(schema: &Value, good: &str, mutations: &[Mutation], parse: impl Fn(&str) -> Option<Vec<Diagnostic>>) {
    let validator = jsonschema::draft7::options().build(schema).unwrap();
    assert!(
        validator.is_valid(&as_json(good)) && parse(good).is_none(),
        "the good file"
    );
    let mut wrong = Vec::new();
    for (old, new, place) in mutations {
        let text = good.replacen(old, new, 1);
        assert_ne!(text, good, "`{old}` is not in the file");
        if parse(&text).is_none() {
            wrong.push(format!("the parser accepts `{new}`"));
        }
        let value = as_json(&text);
        let places: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.instance_path().to_string())
            .collect();
        if !places.iter().any(|found| found == place) {
            wrong.push(format!("`{new}`: expected a mistake at `{place}`, found {places:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn parse_as_pipeline(text: &str) -> Option<Vec<Diagnostic>> {
    parse_pipeline(SourceFile::new("mixtral.toml", text), &[]).err()
}

#[test]
fn pipelines() {
    check(&schema::pipeline(), PIPELINE, PIPELINES, parse_as_pipeline);
}

#[test]
fn families() {
    let parse = |text: &str| parse_family(SourceFile::new("everything.toml", text)).err();
    check(&schema::family(), FAMILY, FAMILIES, parse);
}

#[test]
fn std_files() {
    let parse = |text: &str| parse_std(SourceFile::new("std.toml", text), "std/std").err();
    check(&schema::family_std(), STD, SHARED, parse);
}

#[test]
fn manifests() {
    let parse = |text: &str| parse_plugin(SourceFile::new("plugin.toml", text)).err();
    check(&schema::plugin(), OP, OPS, parse);
    check(&schema::plugin(), FILTER, FILTERS, parse);
}

#[test]
fn grants() {
    let parse = |text: &str| parse_grants(SourceFile::new("plugins.toml", text)).err();
    check(&schema::grants_file(), GRANTS, GRANTED, parse);
}

#[test]
fn a_family_must_match_something_or_be_a_parent() {
    let validator = jsonschema::draft7::options().build(&schema::family()).unwrap();
    let head = "schema = 1\nid = \"a\"\ntitle = \"t\"\n";
    for (rest, fits) in [
        ("", false),
        ("abstract = true\n", true),
        ("abstract = false\n", false),
        ("match = []\n", false),
        ("[match]\n", false),
        ("[match]\nmodel_types = [\"a\"]\n", true),
    ] {
        let text = format!("{head}{rest}");
        assert_eq!(validator.is_valid(&as_json(&text)), fits, "{rest}");
        assert_eq!(parse_family(SourceFile::new("a.toml", text)).is_ok(), fits, "{rest}");
    }
}

#[test]
fn the_parser_sees_more() {
    let validator = jsonschema::draft7::options().build(&schema::pipeline()).unwrap();
    for (old, new, what) in ONLY_THE_PARSER {
        let text = PIPELINE.replacen(old, new, 1);
        assert_ne!(text, PIPELINE, "{old}");
        assert!(parse_as_pipeline(&text).is_some(), "{what}");
        assert!(
            validator.is_valid(&as_json(&text)),
            "{what}: the schema sees it after all"
        );
    }
}

/// The files that `cargo xtask test` shows to a language server: each says by its first line what it is.
#[test]
fn files_for_the_editor_are_refused_by_schema_and_parser() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/editor");
    let schemas = schema::files();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let named = text.lines().next().unwrap().rsplit('/').next().unwrap();
        let (_, schema) = schemas.iter().find(|(name, _)| *name == named).expect(named);
        let validator = jsonschema::draft7::options().build(schema).unwrap();
        assert!(!validator.is_valid(&as_json(&text)), "{}", path.display());
        let file = SourceFile::new(path.file_name().unwrap().to_str().unwrap(), text.as_str());
        let refused = match named {
            "pipeline.schema.json" => parse_pipeline(file, &[]).is_err(),
            "family.schema.json" => parse_family(file).is_err(),
            "family-std.schema.json" => parse_std(file, "std/x").is_err(),
            "plugin.schema.json" => parse_plugin(file).is_err(),
            _ => parse_grants(file).is_err(),
        };
        assert!(refused, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} files");
}
