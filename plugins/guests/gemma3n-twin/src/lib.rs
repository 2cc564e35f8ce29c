//! Gemma 3n (text) as a plugin: several streams of the residual (AltUp), LAuReL, inputs of each layer's own, keys and
//! values shared between layers, sparse MLPs.
//!
//! As a descriptor this family is a chain of five files (`families/gemma3n_text.toml` and its parents), because what
//! differs from layer to layer needs a value with a name each. Here it is one file: what a layer is, is decided once, in
//! [`Layer`]. A test compares the plans of both node by node.

mod blocks;
mod settings;

use blocks::{attention, correct, keys, mlp, norm, predict, spread, stream};
use settings::{Layer, Settings};
use sli_pipe_plugin::family::{Config, Family, Plan, PlanError};
use sli_pipe_plugin::plan::{Module, Tensor};

/// The family.
pub struct Gemma3nTwin;

sli_pipe_plugin::family!(Gemma3nTwin);

impl Family for Gemma3nTwin {
    fn plan(config: &Config) -> Result<Plan, Vec<PlanError>> {
        let s = &Settings::read(config)?;
        let layers = (0..s.layers).map(|i| Layer::read(config, s, i));
        let layers: Vec<Layer> = layers.collect::<Result<_, _>>()?;
        let mut plan = Plan::new();
        plan.names()
            .root(["model.", ""])
            .tie("/lm_head", "embed_tokens")
            .ties_apply(config.get_or("tie_word_embeddings", true)?)
            .ignore(["*.rotary_emb.inv_freq"])
            .ignore(["k_proj.*", "v_proj.*", "k_norm.*", "v_norm.*"].map(|name| format!("*.self_attn.{name}"))) // sharing layers may hold some
            .ignore(["*.altup.correct_output_scale"]); // where it is not used
        plan.stack("decoder", |stack| {
            stack.enter(|m| enter(m, s));
            for (i, layer) in layers.iter().enumerate() {
                stack.layer("decoder", &format!("layers.{i}."), |m, x| decoder(m, x, s, layer));
            }
        });
        plan.head(|m, x| head(m, x, s));
        Ok(plan)
    }
}

/// `[N, streams, wide]`: stream 0 is the embedding, the others its projections; and the inputs of all layers.
fn enter<'g>(m: &Module<'g>, s: &Settings) -> Tensor<'g> {
    let wide = (s.wide as f64).sqrt();
    let first = m.embedding(m.tokens(), "embed_tokens") * wide;
    let by_word = m.embedding(m.tokens(), "embed_tokens_per_layer") * (s.per as f64).sqrt();
    let by_place = m.linear(first, "per_layer_model_projection") / wide;
    let by_place = norm(m, by_place.split_heads(s.layers, s.per), "per_layer_projection_norm", s);
    let inputs = (by_word.split_heads(s.layers, s.per) + by_place) / 2f64.sqrt();
    m.put_let("inputs", inputs.merge_heads());
    let others = first.split_heads(1, s.wide).repeat_heads(s.streams - 1);
    let others = m.linear(others, m.params("altup_projections.{n}.weight", s.streams - 1));
    spread(m, first, others, s)
}

fn decoder<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings, layer: &Layer) -> Tensor<'g> {
    let seen = m.equation("p", || m.block("predict", "altup", |m| predict(m, x, s)));
    let active = m.equation("s", || stream(m, seen, s));
    let n = m.equation("n", || norm(m, active, "input_layernorm", s));
    let kv = kept_keys(m, n, s, layer);
    let a = m.block("attention", "self_attn", |m| attention(m, n, kv, s, layer));
    let a = m.point("a", active + norm(m, a, "post_attention_layernorm", s));
    let l = m.linear(m.linear(n, "laurel.linear_left"), "laurel.linear_right");
    let l = m.point("l", n + norm(m, l, "laurel.post_laurel_norm", s));
    let h = m.point("h", (a + l) / 2f64.sqrt());
    let y = norm(m, h, "pre_feedforward_layernorm", s);
    let y = m.block("mlp", "mlp", |m| mlp(m, y, s, layer.sparse));
    let y = m.point("y", h + norm(m, y, "post_feedforward_layernorm", s));
    let c = m.point("c", m.block("correct", "altup", |m| correct(m, y, seen, active, s)));
    let f = m.equation("f", || match s.scaled {
        true => stream(m, c, s) * m.param("altup.correct_output_scale"),
        false => stream(m, c, s),
    });
    let from = (layer.index * s.per) as i64;
    let own = m.get_let::<Tensor>("inputs").slice(from, from + s.per as i64);
    let g = m.point("g", m.linear(f, "per_layer_input_gate").activation(s.act) * own);
    let d = norm(m, m.linear(g, "per_layer_projection"), "post_per_layer_input_norm", s);
    let d = m.point("d", d);
    let [first, others] = c.merge_heads().split([s.wide, (s.streams - 1) * s.wide]);
    let others = others.split_heads(s.streams - 1, s.wide) + d.split_heads(1, s.wide);
    first.concat(&[others.merge_heads()]).split_heads(s.streams, s.wide)
}

/// The layer's own keys and values, or those of the last layer of its kind that has some; handed on either way.
fn kept_keys<'g>(m: &Module<'g>, n: Tensor<'g>, s: &Settings, layer: &Layer) -> [Tensor<'g>; 2] {
    let (mine, other) = match layer.window {
        Some(_) => ("near_kv", "far_kv"),
        None => ("far_kv", "near_kv"),
    };
    let pair = |kind: &str| Some([m.get_carry(&format!("{kind}.k"))?, m.get_carry(&format!("{kind}.v"))?]);
    let hand_on = |kind: &str, [k, v]: [Tensor<'g>; 2], shown: bool| {
        for (part, value) in [("k", k), ("v", v)] {
            let name = format!("{kind}.{part}");
            m.put_carry(&name, value);
            if shown {
                m.point(&name, value);
            }
        }
    };
    let kv = match layer.shares {
        true => pair(mine).expect("Layer::read has seen a layer of this kind before"),
        false => m.group("keys", "self_attn", |m| keys(m, n, s, layer)),
    };
    if layer.shares {
        m.point("kv.k", kv[0]);
        m.point("kv.v", kv[1]);
    }
    hand_on(mine, kv, layer.shares);
    if let Some(kept) = pair(other) {
        hand_on(other, kept, true);
    }
    kv
}

fn head<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) {
    let [first, others] = x.merge_heads().split([s.wide, (s.streams - 1) * s.wide]);
    let others = others.split_heads(s.streams - 1, s.wide);
    let others = m.linear(others, m.params("altup_unembed_projections.{n}.weight", s.streams - 1));
    let back = m.output("back", spread(m, first, others, s));
    let last = m.output("final", norm(m, back.transpose().mean().merge_heads(), "norm", s));
    m.output("logits", m.linear(last, "/lm_head").softcap(s.cap));
    let end = m.tokens().last_index(s.padding, true);
    m.output("class_logits", m.linear(last.row_at(end), "/score"));
    m.output("token_logits", m.linear(last, "/score"));
}
