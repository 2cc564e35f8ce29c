//! Mixtral as a plugin. It says what `families/mixtral.toml` and its parent `families/llama.toml` say, and a test
//! compares the two plans node by node: read the three side by side to learn the plan builder.

use sli_pipe_plugin::family::{Config, Family, Plan, PlanError};
use sli_pipe_plugin::plan::{Activation, Attend, Experts, Module, Part, Rope, RopeOptions, Tensor};

/// The family.
pub struct MixtralTwin;

sli_pipe_plugin::family!(MixtralTwin);

/// What the equations need of config.json.
struct Settings {
    layers: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    eps: f64,
    act: Activation,
    rope: Rope,
    window: Option<u64>,
    experts: u64,
    chosen: u64,
    /// What classifiers skip at the end of a row.
    padding: i64,
}

impl Settings {
    fn read(config: &Config) -> Result<Settings, PlanError> {
        // All are read before the first `?`: what is wrong with several of them is reported together.
        let layers = config.u64("num_hidden_layers");
        let heads = config.u64("num_attention_heads");
        let hidden = config.u64("hidden_size");
        let (layers, heads, hidden) = (layers?, heads?, hidden?);
        let head_dim = match config.optional("head_dim")? {
            Some(stated) => stated,
            None if heads > 0 && hidden % heads == 0 => hidden / heads,
            None => return Err(config.fail("hidden_size", format!("{hidden} is no multiple of {heads} heads"))),
        };
        let rope = RopeOptions {
            default_theta: Some(1e6),
            ..RopeOptions::of(head_dim)
        };
        Ok(Settings {
            layers,
            heads,
            kv_heads: config.get_or("num_key_value_heads", 8)?,
            head_dim,
            eps: config.get_or("rms_norm_eps", 1e-5)?,
            act: config.get_or("hidden_act", Activation::Silu)?,
            rope: Rope::from_config(config, &rope)?,
            window: config.optional("sliding_window")?,
            experts: config.get_or("num_local_experts", 8)?,
            chosen: config.get_or("num_experts_per_tok", 2)?,
            padding: config.get_or("pad_token_id", -1)?,
        })
    }
}

impl Family for MixtralTwin {
    fn plan(config: &Config) -> Result<Plan, Vec<PlanError>> {
        let s = &Settings::read(config)?;
        config.ignore("attention_bias", "biases: the tensors tell");
        let mut plan = Plan::new();
        plan.names()
            .root(["model.", ""])
            .tie("/lm_head", "embed_tokens")
            .ties_apply(config.get_or("tie_word_embeddings", false)?)
            .rename("block_sparse_moe", ["mlp"])
            .packed("experts.{e}.w1.weight", "experts.gate_up_proj", Part::Equal(0, 2)) // as transformers 5 holds them
            .packed("experts.{e}.w3.weight", "experts.gate_up_proj", Part::Equal(1, 2))
            .packed("experts.{e}.w2.weight", "experts.down_proj", Part::All)
            .ignore(["*.rotary_emb.inv_freq"]);
        plan.stack("decoder", |stack| {
            stack.enter(|m| m.embedding(m.tokens(), "embed_tokens"));
            for i in 0..s.layers {
                stack.layer("decoder", &format!("layers.{i}."), |m, x| decoder(m, x, s));
            }
        });
        plan.head(|m, x| {
            let last = m.output("final", norm(m, x, "norm", s));
            m.output("logits", m.linear(last, "/lm_head"));
            // Classifiers and reward models: a class of the text at its last token, a class of each token.
            let end = m.tokens().last_index(s.padding, true);
            m.output("class_logits", m.linear(last.row_at(end), "/score"));
            m.output("token_logits", m.linear(last, "/score"));
        });
        Ok(plan)
    }
}

fn decoder<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let n = norm(m, x, "input_layernorm", s);
    let h = m.point("h", x + m.block("attention", "self_attn", |m| attention(m, n, s)));
    let n = norm(m, h, "post_attention_layernorm", s);
    h + m.block("moe", "block_sparse_moe", |m| mixture(m, n, s))
}

fn norm<'g>(m: &Module<'g>, x: Tensor<'g>, module: &str, s: &Settings) -> Tensor<'g> {
    m.block("norm", module, |m| m.rms_norm(x, ".", s.eps))
}

fn attention<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let (q, k, v) = m.group("qkv", ".", |m| {
        let q = m
            .linear(x, "q_proj")
            .split_heads(s.heads, s.head_dim)
            .rotary(Some(&s.rope));
        let k = m
            .linear(x, "k_proj")
            .split_heads(s.kv_heads, s.head_dim)
            .rotary(Some(&s.rope));
        let v = m.linear(x, "v_proj").split_heads(s.kv_heads, s.head_dim);
        (m.point("q", q), m.point("k", k), m.point("v", v))
    });
    let options = Attend {
        causal: true,
        window: s.window,
        ..Attend::default()
    };
    let a = m.point("a", q.attend(k, v, options));
    m.linear(a.merge_heads(), "o_proj")
}

fn mixture<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let score = m.point("score", m.linear(x, "gate").softmax());
    let route = score.top_k(s.chosen);
    m.point("route.index", route.index);
    m.point("route.value", route.value);
    let weight = Some(route.value.normalize(0.0));
    m.experts(x, "experts.{e}", route.index, weight, Experts::of(s.experts), |m, x| {
        m.linear(m.linear(x, "w1").activation(s.act) * m.linear(x, "w3"), "w2")
    })
}
