//! {{title}}: a decoder with attention and a gated MLP. Change it to what your model does.

use sli_pipe_plugin::family::{Config, Family, Plan, PlanError};
use sli_pipe_plugin::plan::{Activation, Attend, Module, Rope, RopeOptions, Tensor};

/// The family.
pub struct MyFamily;

sli_pipe_plugin::family!(MyFamily);

/// What the equations need of config.json. Every key that is read counts as handled.
struct Settings {
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    eps: f64,
    act: Activation,
    rope: Rope,
}

impl Family for MyFamily {
    fn plan(config: &Config) -> Result<Plan, Vec<PlanError>> {
        let layers = config.u64("num_hidden_layers")?;
        let heads = config.u64("num_attention_heads")?;
        let head_dim = config.u64("head_dim")?;
        let s = &Settings {
            heads,
            kv_heads: config.get_or("num_key_value_heads", heads)?,
            head_dim,
            eps: config.get_or("rms_norm_eps", 1e-6)?,
            act: config.get_or("hidden_act", Activation::Silu)?,
            rope: Rope::from_config(config, &RopeOptions::of(head_dim))?,
        };
        let mut plan = Plan::new();
        plan.names()
            .root(["model.", ""]) // the first that begins some tensor's name
            .tie("/lm_head", "embed_tokens")
            .ties_apply(config.get_or("tie_word_embeddings", false)?);
        plan.stack("decoder", |stack| {
            stack.enter(|m| m.embedding(m.tokens(), "embed_tokens"));
            for i in 0..layers {
                stack.layer("decoder", &format!("layers.{i}."), |m, x| layer(m, x, s));
            }
        });
        plan.head(|m, x| {
            let last = m.output("final", m.rms_norm(x, "norm", s.eps));
            m.output("logits", m.linear(last, "/lm_head"));
        });
        Ok(plan)
    }
}

fn layer<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let n = m.rms_norm(x, "input_layernorm", s.eps);
    let h = x + m.block("attention", "self_attn", |m| attention(m, n, s));
    let n = m.rms_norm(h, "post_attention_layernorm", s.eps);
    h + m.block("mlp", "mlp", |m| {
        m.linear(m.linear(n, "gate_proj").activation(s.act) * m.linear(n, "up_proj"), "down_proj")
    })
}

fn attention<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let q = m.linear(x, "q_proj").split_heads(s.heads, s.head_dim).rotary(Some(&s.rope));
    let k = m.linear(x, "k_proj").split_heads(s.kv_heads, s.head_dim).rotary(Some(&s.rope));
    let v = m.linear(x, "v_proj").split_heads(s.kv_heads, s.head_dim);
    m.point("q", q); // stages can ask for `decoder.3.attention.q`
    let causal = Attend { causal: true, ..Attend::default() };
    m.linear(q.attend(k, v, causal).merge_heads(), "o_proj")
}
