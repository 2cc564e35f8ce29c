//! What the equations need of config.json.

use sli_pipe_plugin::family::{Config, PlanError};
use sli_pipe_plugin::plan::{Activation, Rope, RopeOptions};

/// What holds for all layers.
pub(crate) struct Settings {
    pub(crate) layers: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head_dim: u64,
    /// Width of one stream.
    pub(crate) wide: u64,
    pub(crate) streams: u64,
    /// The stream that attention and MLP read.
    pub(crate) active: u64,
    /// Width of a layer's own input.
    pub(crate) per: u64,
    pub(crate) eps: f64,
    pub(crate) act: Activation,
    /// The corrected stream is scaled before it meets a layer's own input.
    pub(crate) scaled: bool,
    /// Of the logits.
    pub(crate) cap: Option<f64>,
    /// What classifiers skip at the end of a row.
    pub(crate) padding: i64,
    /// From this layer on keys are those of layers before.
    sharing_from: u64,
    window: u64,
}

/// Keys that change nothing, with the reason.
const IGNORED: [(&str, &str); 10] = [
    ("altup_coef_clip", "training"),
    ("altup_lr_multiplier", "training"),
    ("laurel_rank", "shape: the tensors prove it"),
    ("vocab_size_per_layer_input", "shape: the tensors prove it"),
    ("use_double_wide_mlp", "shape: the tensors prove it"),
    ("query_pre_attn_scalar", "the class does not scale scores"),
    ("attention_bias", "biases: the tensors tell"),
    ("hidden_act", "the class reads hidden_activation"),
    ("_sliding_window_pattern", "layer_types says it"),
    ("cache_implementation", "how keys are kept during generation"),
];

impl Settings {
    pub(crate) fn read(config: &Config) -> Result<Settings, PlanError> {
        for (key, why) in IGNORED {
            config.ignore(key, why);
        }
        if let Some(both_ways) = config.get("use_bidirectional_attention") {
            let refused = both_ways != "vision";
            let why = "text that sees both ways is not described for this class";
            config.refuse("use_bidirectional_attention", refused, why)?;
        }
        let (layers, wide) = (config.u64("num_hidden_layers"), config.u64("hidden_size"));
        let (layers, wide) = (layers?, wide?);
        let shared: u64 = config.get_or("num_kv_shared_layers", 15)?;
        let streams: u64 = config.get_or("altup_num_inputs", 4)?;
        config.refuse("altup_num_inputs", streams < 2, "AltUp has at least two streams")?;
        Ok(Settings {
            layers,
            heads: config.get_or("num_attention_heads", 8)?,
            kv_heads: config.get_or("num_key_value_heads", 2)?,
            head_dim: config.get_or("head_dim", 256)?,
            wide,
            streams,
            active: config.get_or("altup_active_idx", 0)?,
            per: config.get_or("hidden_size_per_layer_input", 256)?,
            eps: config.get_or("rms_norm_eps", 1e-6)?,
            act: config.get_or("hidden_activation", Activation::GeluTanh)?,
            scaled: config.get_or("altup_correct_scale", true)?,
            cap: match config.is_null("final_logit_softcapping") {
                true => None,
                false => Some(config.get_or("final_logit_softcapping", 30.0)?),
            },
            padding: config.get_or("pad_token_id", -1)?,
            sharing_from: layers.saturating_sub(shared),
            window: config.get_or("sliding_window", 512)?,
        })
    }

    /// True if the layer sees a window.
    fn slides(&self, config: &Config, i: u64) -> Result<bool, PlanError> {
        let Some(kinds) = config.optional::<Vec<String>>("layer_types")? else {
            return Ok(!(i + 1).is_multiple_of(5));
        };
        match kinds.get(i as usize).map(String::as_str) {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            other => Err(config.fail("layer_types", format!("layer {i} is of the unknown kind {other:?}"))),
        }
    }
}

/// What is this layer's own.
pub(crate) struct Layer {
    pub(crate) index: u64,
    /// `None`: full attention.
    pub(crate) window: Option<u64>,
    pub(crate) rope: Rope,
    /// It has no keys of its own.
    pub(crate) shares: bool,
    /// The share of an MLP's features that is cut off.
    pub(crate) sparse: f64,
}

impl Layer {
    pub(crate) fn read(config: &Config, s: &Settings, i: u64) -> Result<Layer, PlanError> {
        let slides = s.slides(config, i)?;
        let shares = i >= s.sharing_from;
        let mut before = (0..s.sharing_from.min(i)).map(|k| s.slides(config, k));
        if shares && !before.any(|kind| kind == Ok(slides)) {
            return Err(config.fail(
                "num_kv_shared_layers",
                format!("layer {i} has no layer to take its keys from"),
            ));
        }
        let sparse = match config.optional::<Vec<f64>>("activation_sparsity_pattern")? {
            Some(shares) if (i as usize) < shares.len() => shares[i as usize],
            Some(shares) => {
                let message = format!("there are {} shares for {} layers", shares.len(), s.layers);
                return Err(config.fail("activation_sparsity_pattern", message));
            }
            None if s.layers > 10 && i < 10 => 0.95,
            None => 0.0,
        };
        Ok(Layer {
            index: i,
            window: slides.then_some(s.window),
            rope: rope(config, s.head_dim, slides)?,
            shares,
            sparse,
        })
    }
}

/// Layers with a window turn faster. Older files say it with `rope_local_base_freq`.
fn rope(config: &Config, head_dim: u64, slides: bool) -> Result<Rope, PlanError> {
    let mut options = RopeOptions::of(head_dim);
    let local = config.get_or("rope_local_base_freq", 10000.0)?;
    match config.map("rope_parameters")? {
        Some(kinds) => {
            for kind in ["sliding_attention", "full_attention"] {
                config.refuse(
                    "rope_parameters",
                    !kinds.has(kind),
                    "it must say something for both kinds of layers",
                )?;
            }
            let kind = if slides { "sliding_attention" } else { "full_attention" };
            options.layer_type = Some(kind.to_owned());
            options.default_theta = Some(if slides { 1e4 } else { 1e6 });
        }
        None if slides => {
            options.theta = Some(local);
            options.unscaled = true;
        }
        None => options.default_theta = Some(1e6),
    }
    Rope::from_config(config, &options)
}
