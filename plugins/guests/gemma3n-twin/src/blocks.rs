//! The blocks of a layer.

use sli_pipe_plugin::plan::{Attend, Module, Tensor, normal_quantile};

use crate::settings::{Layer, Settings};

pub(crate) fn norm<'g>(m: &Module<'g>, x: Tensor<'g>, module: &str, s: &Settings) -> Tensor<'g> {
    m.block("norm", module, |m| m.rms_norm(x, ".", s.eps))
}

/// `x` as stream 0, and the others brought to its magnitude.
pub(crate) fn spread<'g>(_: &Module<'g>, x: Tensor<'g>, others: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let first = x.split_heads(1, s.wide);
    let loud = (first * first).mean().sqrt();
    let others = others * loud / (others * others).mean().clamp(1e-5, None).sqrt();
    x.concat(&[others.merge_heads()]).split_heads(s.streams, s.wide)
}

/// The active stream `[N, wide]`.
pub(crate) fn stream<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let (from, to) = ((s.active * s.wide) as i64, ((s.active + 1) * s.wide) as i64);
    m.block("stream", ".", |_| x.merge_heads().slice(from, to))
}

/// What the router of AltUp sees in a stream.
fn modality<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    m.block("modality", ".", |m| {
        let n = norm(m, x, "router_norm", s) / s.wide as i64;
        m.linear(n, "modality_router").tanh()
    })
}

/// AltUp's prediction of all streams from all streams (arXiv 2301.13310).
pub(crate) fn predict<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings) -> Tensor<'g> {
    let coefficients = m.linear(modality(m, stream(m, x, s), s), "prediction_coefs");
    x + coefficients.split_heads(s.streams, s.streams).matmul(x)
}

/// AltUp's correction of the prediction by what the active stream became.
pub(crate) fn correct<'g>(
    m: &Module<'g>,
    x: Tensor<'g>,
    seen: Tensor<'g>,
    active: Tensor<'g>,
    s: &Settings,
) -> Tensor<'g> {
    let coefficients = 1 + m.linear(modality(m, x, s), "correction_coefs");
    seen + (x - active).split_heads(1, s.wide) * coefficients.per_head()
}

/// The layer's own keys and values.
pub(crate) fn keys<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings, layer: &Layer) -> [Tensor<'g>; 2] {
    let k = m.linear(x, "k_proj").split_heads(s.kv_heads, s.head_dim);
    let v = m.linear(x, "v_proj").split_heads(s.kv_heads, s.head_dim);
    let k = norm(m, k, "k_norm", s).rotary(Some(&layer.rope));
    [m.point("k", k), m.point("v", v.rms_norm(s.eps))]
}

pub(crate) fn attention<'g>(
    m: &Module<'g>,
    x: Tensor<'g>,
    [k, v]: [Tensor<'g>; 2],
    s: &Settings,
    layer: &Layer,
) -> Tensor<'g> {
    let q = m.linear(x, "q_proj").split_heads(s.heads, s.head_dim);
    let q = m.point("q", norm(m, q, "q_norm", s).rotary(Some(&layer.rope)));
    let options = Attend {
        causal: true,
        window: layer.window,
        scale: Some(1.0),
        ..Attend::default()
    };
    m.linear(q.attend(k, v, options).merge_heads(), "o_proj")
}

/// A gated MLP; a sparse one keeps what lies above the normal quantile of a gate's features.
pub(crate) fn mlp<'g>(m: &Module<'g>, x: Tensor<'g>, s: &Settings, sparse: f64) -> Tensor<'g> {
    let g = m.point("g", m.linear(x, "gate_proj"));
    let cut = match sparse > 0.0 {
        true => {
            let d = m.point("d", g - g.mean());
            (d - normal_quantile(sparse) * (d * d).mean().sqrt()).relu()
        }
        false => g,
    };
    let cut = m.point("cut", cut);
    m.linear(cut.activation(s.act) * m.linear(x, "up_proj"), "down_proj")
}
