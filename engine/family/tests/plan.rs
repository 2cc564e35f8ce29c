//! Plans of the shipped families: detection, defaults, points, independence of key order.

use serde_json::{Value as Json, json};
use sli_config::SourceFile;
use sli_family::{Family, Registry};
use sli_model::{ModelPlan, Op, Parts};

fn config(extra: Json) -> Json {
    let mut config = json!({
        "model_type": "llama", "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    config
}

fn plan(config: &Json) -> ModelPlan {
    let registry = Registry::shipped();
    let family = registry
        .detect(config)
        .unwrap_or_else(|e| panic!("{}", sli_config::render(&e, false)));
    family
        .plan(config)
        .unwrap_or_else(|e| panic!("{}", sli_config::render(&e, false)))
}

fn windows(plan: &ModelPlan) -> Vec<Option<u64>> {
    let attends = plan.stacks[0].layers.iter().flat_map(|layer| &layer.graph.nodes);
    let windows = attends.filter_map(|node| {
        if let Op::Attend(attend) = &node.op {
            Some(attend.window)
        } else {
            None
        }
    });
    windows.collect()
}

fn points(plan: &ModelPlan) -> Vec<String> {
    plan.stacks[0].layers[0]
        .graph
        .points
        .iter()
        .map(|p| p.name.clone())
        .collect()
}

#[test]
fn every_shipped_family_is_whole_and_has_its_title() {
    let registry = Registry::shipped();
    assert!(registry.ids().len() >= 7);
    for id in registry.ids() {
        let family = registry
            .descriptor(id)
            .unwrap_or_else(|e| panic!("{}", sli_config::render(&e, false)));
        assert_eq!(family.id(), id);
        assert!(!family.title().is_empty() && family.fingerprint().len() == 64);
        assert!(family.show().contains("[head]"), "{id}");
    }
}

#[test]
fn old_and_new_forms_of_the_rotary_config_give_one_plan() {
    let old = config(
        json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}, "torch_dtype": "bfloat16"}),
    );
    let parameters = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5});
    let new = config(json!({"rope_parameters": parameters, "dtype": "bfloat16", "head_dim": 8}));
    assert!(plan(&old) == plan(&new));
    assert!(plan(&old) != plan(&config(json!({}))));
}

#[test]
fn missing_keys_mean_the_defaults_of_the_class_and_null_means_none() {
    assert_eq!(
        windows(&plan(&config(json!({"model_type": "mistral"})))),
        [Some(4096), Some(4096)]
    );
    assert_eq!(
        windows(&plan(&config(json!({"model_type": "mistral", "sliding_window": null})))),
        [None, None]
    );
    let upper = json!({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1});
    assert_eq!(windows(&plan(&config(upper))), [None, Some(8)]);
    let kinds = json!({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 8,
                       "layer_types": ["sliding_attention", "full_attention"]});
    assert_eq!(windows(&plan(&config(kinds))), [Some(8), None]);
}

#[test]
fn points_are_named_by_blocks_and_equations() {
    let llama = points(&plan(&config(json!({}))));
    for name in [
        "h",
        "attention",
        "attention.a",
        "attention.qkv.q",
        "attention.qkv.v",
        "mlp",
        "norm(input_layernorm)",
    ] {
        assert!(llama.iter().any(|p| p == name), "{name} is not among {llama:?}");
    }
    let qwen = points(&plan(&config(json!({"model_type": "qwen3", "head_dim": 8}))));
    assert!(qwen.iter().any(|p| p == "attention.qkv.norm(q_norm)"), "{qwen:?}");
    let mixtral = json!({"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2});
    let mixtral = points(&plan(&config(mixtral)));
    for name in ["moe", "moe.score", "moe.route.index", "moe.route.value"] {
        assert!(mixtral.iter().any(|p| p == name), "{name} is not among {mixtral:?}");
    }
    assert!(
        !mixtral.iter().any(|p| p.contains("expert(")),
        "inside experts there are no points: {mixtral:?}"
    );
}

#[test]
fn the_order_of_keys_means_nothing() {
    let registry = Registry::shipped();
    let text = registry.file("llama").unwrap().text.clone();
    let mut tables: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.lines() {
        if line.starts_with('[') {
            tables.push(Vec::new());
        }
        tables.last_mut().unwrap().push(line);
    }
    let turned = tables.iter().enumerate().flat_map(|(k, lines)| {
        let heading = usize::from(k > 0);
        lines[..heading]
            .iter()
            .chain(lines[heading..].iter().rev())
            .copied()
            .collect::<Vec<_>>()
    });
    let turned: String = turned.map(|line| format!("{line}\n")).collect();
    assert_ne!(turned, text);
    let mut other = registry.clone();
    other.add("llama.toml", SourceFile::new("families/llama.toml", turned));
    let config = config(json!({}));
    assert!(other.get("llama").unwrap().plan(&config).unwrap() == plan(&config));
}

#[test]
fn exactly_one_family_must_match() {
    let registry = Registry::shipped();
    let said = |registry: &Registry, config: &Json| sli_config::render(&registry.detect(config).unwrap_err(), false);
    let unknown = said(&registry, &config(json!({"model_type": "lama"})));
    assert!(
        unknown.contains("`model_type: lama`") && unknown.contains("the nearest family is `llama`"),
        "{unknown}"
    );
    let mut doubled = registry.clone();
    let twin = "schema = 1\nid = \"twin\"\ntitle = \"twin\"\nextends = \"llama\"\n[match]\nmodel_types = [\"llama\"]\n";
    doubled.add("twin.toml", SourceFile::new("families/twin.toml", twin));
    assert!(said(&doubled, &config(json!({}))).contains("several families describe this model: `llama`, `twin`"));
    // a file that is broken elsewhere breaks only itself
    let mut broken = registry.clone();
    broken.add(
        "broken.toml",
        SourceFile::new(
            "families/broken.toml",
            twin.replace("twin", "broken").replace("[match]", "[match") + "x",
        ),
    );
    assert!(broken.detect(&config(json!({}))).is_ok());
    // families that share a model type
    let alibi = json!({"model_type": "bert", "position_embedding_type": "alibi"});
    assert_eq!(registry.detect(&alibi).unwrap().id(), "jina_bert");
    assert_eq!(registry.detect(&json!({"model_type": "bert"})).unwrap().id(), "bert");
}

#[test]
fn sizes_of_packed_parts_are_plan_values_and_entries_merge_by_name() {
    let text = "schema = 1\nid = \"fused\"\ntitle = \"t\"\nextends = \"mixtral\"\n[match]\nmodel_types = [\"fused\"]\n[names.packed]\n\
        \"q_proj.weight\" = { from = \"qkv_proj.weight\", part = [0, \"[heads * head_dim, kv_heads * head_dim, config.fused_rest]\"] }\n\
        \"experts.{e}.w2.weight\" = { from = \"experts.other\", transposed = true }\n\
        [names.joined]\n\"o_proj.weight\" = [\"o_a.weight\", \"o_b.weight\"]\n";
    let mut registry = Registry::shipped();
    registry.add("fused.toml", SourceFile::new("families/fused.toml", text));
    let extra = json!({ "model_type": "fused", "fused_rest": 3 });
    let family = registry.get("fused").unwrap();
    let names = family
        .plan(&config(extra))
        .unwrap_or_else(|e| panic!("{}", sli_config::render(&e, false)))
        .names;
    let entry = |written: &str| names.packed.iter().find(|packed| packed.written == written).unwrap();
    let part = entry("q_proj.weight").part.as_ref().unwrap();
    assert_eq!((part.index, &part.of), (0, &Parts::Rows(vec![32, 16, 3])));
    assert_eq!(
        (entry("experts.{e}.w2.weight").from.as_str(), names.packed.len()),
        ("experts.other", 4)
    );
    assert_eq!(
        entry("experts.{e}.w1.weight").part.as_ref().unwrap().of,
        Parts::Equal(2)
    );
    assert_eq!(names.joined[0].1, ["o_a.weight", "o_b.weight"]);
}
