//! Good files and what is read from them.

use std::sync::Arc;

use serde_json::json;
use sli_config::family::{LayerChoice, PartsFile, ValueDef};
use sli_config::pipeline::{
    Activations, ByteSize, DataFormat, Device, Dtype, EmptyDocuments, Experts, LongDocuments, Pooling, StageKind,
    StoredDtype,
};
use sli_config::{Diagnostic, Pipeline, SourceFile, parse_family, parse_header, parse_pipeline, parse_std, render};

const PIPELINE: &str = include_str!("good/mixtral.toml");
const MINIMAL: &str = "[model]\nsource = \"m\"\n[data]\nsource = \"d.TXT\"\n[[stage]]\nuses = \"score\"\n";

#[track_caller]
fn pipeline(name: &str, text: &str, overrides: &[(&str, &str)]) -> Pipeline {
    let overrides: Vec<_> = overrides
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    accepted(parse_pipeline(SourceFile::new(name, text), &overrides))
}

#[track_caller]
fn accepted<T>(result: Result<T, Vec<Diagnostic>>) -> T {
    result.unwrap_or_else(|errors| panic!("{}", render(&errors, false)))
}

#[test]
fn a_pipeline_says_what_it_says() {
    let pipeline = pipeline("pipelines/mixtral.toml", PIPELINE, &[]);
    assert_eq!(pipeline.name, "mixtral");
    assert_eq!(pipeline.model.source.value, "mistralai/Mixtral-8x7B-v0.1");
    assert_eq!(
        (pipeline.data.format, pipeline.data.max_tokens),
        (DataFormat::Jsonl, Some(2048))
    );
    assert_eq!(pipeline.engine.memory, Some(ByteSize(8 << 30)));
    assert_eq!(
        (pipeline.engine.activations, pipeline.engine.experts),
        (Activations::Disk, Experts::Routed)
    );
    assert_eq!((pipeline.engine.prefetch, pipeline.engine.threads), (Some(2), None));
    let names: Vec<_> = pipeline
        .stages
        .iter()
        .map(|stage| (stage.name.as_str(), stage.kind.uses()))
        .collect();
    let expected = [
        ("score", "score"),
        ("capture", "capture"),
        ("profile", "profile"),
        ("embed", "embed"),
        ("logits", "logits"),
        ("all-logits", "logits"),
    ];
    assert_eq!(names, expected);
    let StageKind::Capture(capture) = &pipeline.stages[1].kind else {
        panic!()
    };
    assert_eq!(capture.dtype, StoredDtype::Bf16);
    let points = &capture.points;
    assert_eq!(
        &PIPELINE[points[1].span.clone()],
        "\"decoder.*\"",
        "a point keeps its place"
    );
    let StageKind::Embed(embed) = &pipeline.stages[3].kind else {
        panic!()
    };
    assert_eq!(
        (embed.pooling, embed.normalize, embed.point.as_str()),
        (Pooling::Last, true, "final")
    );
    let StageKind::Logits(logits) = &pipeline.stages[5].kind else {
        panic!()
    };
    assert_eq!(
        (logits.top_k, logits.all, logits.shard_size),
        (None, true, ByteSize(256 << 20))
    );
}

#[test]
fn what_a_pipeline_leaves_out_has_a_default() {
    let pipeline = pipeline("folder/small.toml", MINIMAL, &[]);
    assert_eq!(
        (pipeline.name.as_str(), pipeline.output.dir.as_str()),
        ("small", "runs/small")
    );
    assert_eq!(pipeline.data.format, DataFormat::Txt);
    assert_eq!(
        (pipeline.data.long, pipeline.data.empty),
        (LongDocuments::Error, EmptyDocuments::Error)
    );
    assert!(pipeline.data.add_special_tokens && !pipeline.data.whole);
    assert_eq!(
        (pipeline.engine.device, pipeline.engine.dtype),
        (Device::Auto, Dtype::Auto)
    );
    assert_eq!(pipeline.engine.memory, None);
}

#[test]
fn overrides_change_add_and_stay_strings_where_strings_are_meant() {
    let overrides = [
        ("engine.device", "cuda:1"),
        ("engine.memory", "1.5GB"),
        ("output.dir", "2024-01-01"),
        ("model.revision", "1.0"),
        ("data.limit", "10"),
        ("data.whole", "true"),
        ("stage.0.per_token", "true"),
        ("stage.0.name", "\"quoted\""),
    ];
    let pipeline = pipeline("small.toml", MINIMAL, &overrides);
    assert_eq!(pipeline.engine.device, Device::Cuda(1));
    assert_eq!(pipeline.engine.memory, Some(ByteSize(1_500_000_000)));
    assert_eq!(
        (pipeline.output.dir.as_str(), pipeline.model.revision.as_str()),
        ("2024-01-01", "1.0")
    );
    assert_eq!((pipeline.data.limit, pipeline.data.whole), (Some(10), true));
    assert_eq!(pipeline.stages[0].name.value, "quoted");
    assert_eq!(pipeline.output.dir.file.name, "--set");
    let StageKind::Score(score) = &pipeline.stages[0].kind else {
        panic!()
    };
    assert!(score.per_token);
}

#[test]
fn an_override_mends_a_broken_value() {
    let text = MINIMAL.replace("uses = \"score\"", "uses = \"capture\"\npoints = []");
    let pipeline = pipeline("small.toml", &text, &[("stage.0.points", "[\"final\"]")]);
    let StageKind::Capture(capture) = &pipeline.stages[0].kind else {
        panic!()
    };
    assert_eq!(capture.points[0].value, "final");
}

#[test]
fn a_family_says_what_it_says() {
    let text = include_str!("good/everything.toml");
    let family = accepted(parse_family(SourceFile::new("families/everything.toml", text)));
    assert_eq!(family.extends.as_ref().map(|id| id.as_str()), Some("llama"));
    assert_eq!(family.matches.len(), 2);
    assert_eq!(family.matches[1].when.as_ref().unwrap().text, "!has(config.model_type)");
    let renames: Vec<_> = family.names.rename.keys().collect();
    assert_eq!(renames, ["LayerNorm.weight", "attn", "A"], "in file order");
    assert_eq!(family.names.rename["attn"], ["attention", "self_attn"]);
    let packed = &family.names.packed;
    let part = |left: &str| packed[left].part.as_ref().map(|part| (part.index, part.of.clone()));
    assert!(packed["experts.{e}.up.weight"].transposed && packed["gate.weight"].interleaved);
    assert!(matches!(part("experts.{e}.up.weight"), Some((1, PartsFile::Equal(2)))));
    assert!(matches!(part("k.weight"), Some((1, PartsFile::Equation(sizes))) if sizes.text == "[heads, 2, 2]"));
    assert_eq!(
        family.names.joined["Wqkv.weight"],
        ["q_proj.weight", "k_proj.weight", "v_proj.weight"]
    );
    assert_eq!(
        family.names.root.as_deref(),
        Some(["model.".to_owned(), String::new()].as_slice())
    );
    assert!(matches!(&family.values["heads"], ValueDef::Equation(heads) if heads.text == "config.num_heads"));
    let constant = |name: &str| match &family.values[name] {
        ValueDef::Constant { value, .. } => value.clone(),
        ValueDef::Equation(_) => panic!("{name} is an equation"),
    };
    assert_eq!(constant("causal"), json!(true));
    assert_eq!(constant("limits"), json!([0.5, { "__float__": "Infinity" }]));
    assert_eq!(constant("table"), json!({ "M": "mamba", "depth": 3 }));
    let decoder = &family.stacks[1];
    let Some(LayerChoice::Cases(cases)) = &decoder.layer else {
        panic!()
    };
    assert_eq!((cases[0].class.as_str(), cases[1].when.is_none()), ("cross", true));
    assert_eq!(decoder.carry["v0"].text, "null");
    assert_eq!(family.stacks[0].prefix.as_ref().unwrap().text, "");
    let block = &family.blocks["mlp"];
    assert_eq!(
        (block.args.len(), block.equations.len(), block.doc.as_deref()),
        (1, 1, Some("two linears"))
    );
    assert_eq!(&text[block.span.clone()], "mlp");
    assert_eq!(family.parts["vision"].set["layers"], json!(3));
    assert_eq!(family.head.len(), 2);
}

#[test]
fn a_place_in_an_equation_is_a_place_in_the_file() {
    let text = "needs = []\n[embed]\na = \"one + two\"\nb = 'one + two'\nc = \"\"\"\none + two\"\"\"\n\
                d = '''one + two'''\ne = \"\\u006fne + two\"\n";
    let file = SourceFile::new("std/place.toml", text);
    let family = accepted(parse_std(Arc::clone(&file), "std/place"));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(&text[family.embed[name].span_at(6, 9)], "two", "{name}");
    }
    let escaped = &family.embed["e"];
    assert_eq!(escaped.text, "one + two");
    assert_eq!(
        escaped.span_at(6, 9),
        escaped.span,
        "the whole literal where offsets differ"
    );
}

#[test]
fn detection_reads_a_file_that_is_broken_elsewhere() {
    let text = "id = \"a\"\nnonsense = {\n[match]\nmodel_types = [\"a\"]\n[stack]\ncount = 3\n";
    assert!(parse_family(SourceFile::new("a.toml", text)).is_err());
    let broken_later = "id = \"a\"\n[match]\nmodel_types = [\"a\"]\n[stack]\ncount = 3\nwhat = \n";
    let header = accepted(parse_header(SourceFile::new("a.toml", broken_later)));
    assert_eq!(
        header.matches[0].model_types.as_deref(),
        Some(["a".to_owned()].as_slice())
    );
    assert!(!header.is_abstract);
    let errors = parse_header(SourceFile::new("a.toml", "id = \"a\n[match]\n")).unwrap_err();
    assert!(errors[0].message.contains("not TOML"), "{errors:?}");
}

#[test]
fn json_form_has_lines_and_columns() {
    let errors = parse_pipeline(SourceFile::new("p.toml", format!("{MINIMAL}é = 1\n")), &[]).unwrap_err();
    assert!(!errors.is_empty());
    let text = MINIMAL.replace("source = \"m\"", "source = 3");
    let errors = parse_pipeline(SourceFile::new("p.toml", text), &[]).unwrap_err();
    let expected = json!([{
        "severity": "error",
        "message": "`source` must be a string, not an integer",
        "place": {
            "file": "p.toml",
            "start": { "line": 2, "column": 10 },
            "end": { "line": 2, "column": 11 },
            "text": "an integer",
        },
    }]);
    assert_eq!(serde_json::to_value(&errors).unwrap(), expected);
}

#[test]
fn hostile_text_is_an_error_and_not_a_crash() {
    let deep = format!("a = {}", "[".repeat(3_000));
    let dotted = format!("{}a = 1", "a.".repeat(3_000));
    for text in [
        deep.as_str(),
        dotted.as_str(),
        "\u{feff}",
        "a = 99999999999999999999",
        "\0",
        "[[stage]]\n[stage]",
    ] {
        for errors in [
            parse_pipeline(SourceFile::new("p.toml", text), &[]).err(),
            parse_family(SourceFile::new("p.toml", text)).err(),
            parse_header(SourceFile::new("p.toml", text)).err(),
        ] {
            let errors = errors.expect("hostile text was accepted");
            assert!(render(&errors, true).contains("error"));
        }
    }
}
