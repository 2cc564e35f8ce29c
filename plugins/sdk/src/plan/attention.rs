//! Attention and rotary embedding.

use super::text::json;

use super::{Rope, ScoreBias, Tensor};

/// A logit per head that takes probability and gives no value: a tensor `[H]`.
pub type Sinks<'g> = Tensor<'g>;

/// Options of [`Tensor::attend`]. Per sequence and in this order: scale q·k; + bias; softcap; mask; sinks; softmax in
/// f32; times v.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attend<'g> {
    /// k <= q, or k < `prefix`[q].
    pub causal: bool,
    /// q - k < window, and if not causal also k - q < window.
    pub window: Option<u64>,
    /// floor(q / chunk) = floor(k / chunk).
    pub chunk: Option<u64>,
    /// The factor on q·k; `None`: 1 / sqrt(D).
    pub scale: Option<f64>,
    /// c tanh(score / c).
    pub softcap: Option<f64>,
    /// Added to the scores.
    pub bias: Option<ScoreBias<'g>>,
    /// Integers `[N]`: keys before that index are seen by a causal query too.
    pub prefix: Option<Tensor<'g>>,
    /// One more logit per head.
    pub sinks: Option<Sinks<'g>>,
}

impl<'g> Tensor<'g> {
    /// The first features of each head turned by position * frequency; `None`: x itself.
    pub fn rotary(self, rope: Option<&Rope>) -> Tensor<'g> {
        self.turned(rope, None)
    }

    /// As [`Tensor::rotary`] at given positions, `[N]` or `[N, A]`.
    pub fn rotary_at(self, rope: Option<&Rope>, at: Tensor<'g>) -> Tensor<'g> {
        self.turned(rope, Some(at))
    }

    fn turned(self, rope: Option<&Rope>, at: Option<Tensor<'g>>) -> Tensor<'g> {
        match rope {
            Some(rope) => self.apply(json!({"rotary": rope.json()}), &[at]),
            None => self,
        }
    }

    /// Attention of q `[N, H, D]` (this) to k `[M, K, D]`, v `[M, K, F]`: `[N, H, F]`. K divides H.
    pub fn attend(self, k: Tensor<'g>, v: Tensor<'g>, options: Attend<'g>) -> Tensor<'g> {
        self.attended(k, v, options, false)
    }

    /// As [`Tensor::attend`], with the log of the softmax' denominator `[N, H]` beside the result, for
    /// [`Tensor::join_attention`].
    pub fn attend_lse(self, k: Tensor<'g>, v: Tensor<'g>, options: Attend<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let y = self.attended(k, v, options, true);
        (y, y.result(1))
    }

    fn attended(self, k: Tensor<'g>, v: Tensor<'g>, options: Attend<'g>, lse: bool) -> Tensor<'g> {
        let op = json!({"attend": {
            "causal": options.causal,
            "window": options.window,
            "chunk": options.chunk,
            "scale": options.scale,
            "softcap": options.softcap,
            "lse": lse,
        }});
        let bias = options.bias.map(|bias| bias.0);
        self.apply(op, &[Some(k), Some(v), bias, options.prefix, options.sinks])
    }

    /// One softmax over the keys of several attentions of the same queries, each (y, lse).
    ///
    /// # Panics
    /// No parts.
    pub fn join_attention(parts: &[(Tensor<'g>, Tensor<'g>)]) -> Tensor<'g> {
        let flat: Vec<Tensor<'g>> = parts.iter().flat_map(|(y, lse)| [*y, *lse]).collect();
        let (first, rest) = flat.split_first().expect("there is attention to join");
        let rest: Vec<_> = rest.iter().copied().map(Some).collect();
        first.apply(json!("join_attention"), &rest)
    }
}
