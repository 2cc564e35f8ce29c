//! `docs/families.md`: every snippet is read and planned, every link to a descriptor leads to one.

use serde_json::{Map, Value as Json, json};
use sli_config::{SourceFile, render};
use sli_family::{Family, Registry};

fn guide() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/families.md")).unwrap()
}

/// The TOML snippets with the number of their first line.
fn snippets(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match line {
            "```toml" => {
                inside = true;
                found.push((number + 2, String::new()));
            }
            "```" => inside = false,
            line if inside => {
                let (_, snippet) = found.last_mut().unwrap();
                *snippet += line;
                snippet.push('\n');
            }
            _ => {}
        }
    }
    found
}

/// A snippet as a whole file: what it is a child of stands in its first line, else it is `llama`.
fn whole(snippet: &str) -> String {
    if snippet.contains("schema  = 1") {
        return snippet.to_owned();
    }
    let parent = snippet
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# extends "))
        .unwrap_or("llama");
    let head = format!("schema = 1\nid = \"guide\"\ntitle = \"A snippet\"\nextends = \"{parent}\"\n");
    format!("{head}{snippet}\n[match]\nmodel_types = [\"guide\"]\n")
}

/// A value for every key that a snippet or its parent may ask for.
fn samples() -> Map<String, Json> {
    let samples = json!({
        "attn_logit_softcapping": 50.0, "decoder_attention_heads": 4, "decoder_layers": 2, "decoder_sparse_step": 1,
        "encoder_attention_heads": 4, "encoder_layers": 2, "d_model": 32, "final_logit_softcapping": 30.0,
        "first_k_dense_replace": 1, "kv_lora_rank": 8, "layer_norm_eps": 1e-5, "local_attention": 8,
        "logits_scaling": 2.0, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_expand": 2, "mamba_n_groups": 1,
        "mamba_n_heads": 4, "n_routed_experts": 4, "no_rope_layer_interval": 2, "num_experts_per_tok": 2,
        "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "query_pre_attn_scalar": 16, "rope_local_base_freq": 1e4,
        "routed_scaling_factor": 2.5, "sliding_window": 8, "v_head_dim": 8,
        "num_local_experts": 4, "layer_types": ["attention", "mamba"],
    });
    samples.as_object().unwrap().clone()
}

/// Plans the family `id` with the samples that it handles.
fn plan(registry: &Registry, id: &str) -> Result<(), String> {
    let family = registry.descriptor(id).map_err(|errors| render(&errors, false))?;
    let mut config = json!({ "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2 });
    let config = config.as_object_mut().unwrap();
    let text = family.show();
    config.extend(
        samples()
            .into_iter()
            .filter(|(key, _)| text.contains(&format!("config.{key}"))),
    );
    for _ in 0..2 {
        match family.plan(&Json::Object(config.clone())) {
            Ok(_) => return Ok(()),
            // mentioned where this snippet does not lead
            Err(errors) => {
                let unread = errors
                    .iter()
                    .filter(|e| e.message.contains("does nothing with that key"));
                let keys: Vec<&str> = unread.filter_map(|e| e.message.split(['`', ':']).nth(1)).collect();
                if keys.is_empty() {
                    return Err(render(&errors, false));
                }
                keys.iter().for_each(|key| drop(config.remove(*key)));
            }
        }
    }
    Err("the keys of the samples do not fit".to_owned())
}

#[test]
fn every_snippet_can_be_planned() {
    let snippets = snippets(&guide());
    assert!(snippets.len() > 35, "{}", snippets.len());
    let mut wrong = String::new();
    for (line, snippet) in snippets {
        let mut registry = Registry::shipped();
        let text = whole(&snippet);
        let id = if text.contains("id      = \"persimmon\"") {
            "persimmon"
        } else {
            "guide"
        };
        registry.add(&format!("{id}.toml"), SourceFile::new(format!("line {line}"), text));
        if let Err(errors) = plan(&registry, id) {
            wrong += &format!("docs/families.md, line {line}:\n{errors}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn links_to_descriptors_lead_to_one() {
    let text = guide();
    let registry = Registry::shipped();
    let links: Vec<&str> = text
        .split("](../families/")
        .skip(1)
        .map(|rest| &rest[..rest.find(')').unwrap()])
        .collect();
    assert!(links.len() > 80, "{}", links.len());
    for link in links {
        let id = link.strip_suffix(".toml").unwrap();
        assert!(registry.file(id).is_some(), "{link}");
    }
}
