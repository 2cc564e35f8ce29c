//! The primitive operations of the tensor graph.
//!
//! Attributes are plain numbers; tensors are the inputs of the node, in the order each variant
//! documents. An input in brackets is optional: the node holds `None` there, or a parameter that
//! the checkpoint does not have. `N` is the number of tokens (rows) of a packed batch, `H` heads,
//! `D` the width of a head, `E` experts, `S` sequences. Norms, softmax, exponentials, scans and
//! rotary angles compute in f32 and return the type of `x`.

use crate::{Foreign, Graph, GraphInput, Num, ParamId, Rope, Scalar};
use serde::{Deserialize, Serialize};

/// An operation with its attributes. See the module for how inputs are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// A value from outside the graph. No inputs.
    Input(GraphInput),
    /// A tensor of the checkpoint. No inputs.
    Param(ParamId),
    /// A number. No inputs.
    Const(Scalar),
    /// `[n]` f32: 0 .. n-1. No inputs.
    Range(u64),
    /// `[n]` f32: the given numbers. No inputs.
    Numbers(Vec<Num>),

    /// `x [.., a], w, [bias]` -> `[.., b]` = x wᵀ + bias. w `[b, a]`, `[a, b]` if `transposed`,
    /// `[H, b, a]` one matrix per head for x `[.., H, a]`; w of 4 or 5 dims is flattened to `[b, rest]`.
    Linear {
        /// w is stored `[in, out]`.
        transposed: bool,
    },
    /// `ids [N], table [V, C]` -> `[N, C]`; an id outside the table is an error.
    Embedding,
    /// `a [.., n, k], b [.., k, m]` -> `[.., n, m]`, leading dims broadcast.
    #[serde(rename = "matmul")]
    MatMul,

    /// `x, [weight], [bias]`: (x - mean) / sqrt(var + eps) * (offset + weight) + bias, biased variance.
    LayerNorm {
        /// Added to the variance.
        eps: Num,
        /// Added to the weight.
        offset: Num,
        /// The last dim in that many equal parts, each normed by itself.
        groups: u64,
    },
    /// `x, [weight]`: x / sqrt(mean x² + eps) * (offset + weight).
    RmsNorm {
        /// Added to the mean square.
        eps: Num,
        /// Added to the weight.
        offset: Num,
        /// The last dim in that many equal parts, each normed by itself.
        groups: u64,
    },
    /// `x`: x / sqrt(sum x² + eps) over the last dim.
    #[serde(rename = "l2_norm")]
    L2Norm {
        /// Added to the sum of squares.
        eps: Num,
    },
    /// `x`: x / (sum over the last dim + eps).
    Normalize {
        /// Added to the sum.
        eps: Num,
    },

    /// `x`, elementwise.
    Unary(UnaryOp),
    /// `x`, elementwise.
    Activation(Activation),
    /// `a, b`, elementwise with broadcasting; a token column `[N]` meets `[N, ..]` as `[N, 1, ..]`.
    Binary(BinaryOp),
    /// `mark, a, b`, broadcast as by `Binary`: a where mark is not 0, else b; the other one is not looked at.
    Where,
    /// `x`: limited to [lo, hi]; `None` is open.
    Clamp {
        /// Lower limit.
        lo: Option<Num>,
        /// Upper limit.
        hi: Option<Num>,
    },
    /// `x`: c tanh(x / c).
    Softcap(Num),
    /// `x`: over the last dim.
    Softmax,
    /// `x` -> last dim 1.
    Sum,
    /// `x` -> last dim 1.
    Mean,

    /// `x [.., H*D]` -> `[.., H, D]`. A missing number is what fits.
    SplitHeads {
        /// Number of heads.
        heads: Option<u64>,
        /// Width of a head.
        dim: Option<u64>,
    },
    /// `x [.., H, D]` -> `[.., H*D]`.
    MergeHeads,
    /// `x [N, H, D]` -> `[N, H*n, D]`: each head n times in a row, or all heads n times if `tile`.
    RepeatHeads {
        /// How often.
        n: u64,
        /// All heads, n times.
        tile: bool,
    },
    /// `x [.., H]` -> `[.., H, 1]`.
    PerHead,
    /// `x [.., C]` -> one output per part, along the last dim.
    Split(Sizes),
    /// `x`: elements a .. b of the last dim; negative counts from the end.
    Slice {
        /// First element.
        start: Option<i64>,
        /// One past the last element.
        end: Option<i64>,
    },
    /// `a, b, …` along the last dim; other dims of size 1 are repeated.
    Concat,
    /// `a, b, …` along dim 0 (parameters stored in pieces).
    JoinRows,
    /// `x`: the last two dims exchanged.
    Transpose,
    /// `x [N, ..]`: row t - n of the same sequence, zeros where there is none.
    Shift(i64),
    /// `x [N, C]` -> `[S, C]`.
    FirstToken,
    /// `x [N, C]` -> `[S, C]`.
    LastToken,
    /// `x [N, C]` -> `[S, C]`, the mean over the rows of each sequence.
    MeanRows,
    /// `x [N, ..]` -> `[N]` i64, the index in the sequence.
    RowPositions,
    /// `tokens [N]` -> `[N]` i64: index in its sequence of the first token `id`, its length if none.
    FirstIndex(i64),
    /// `tokens [N]` -> `[N]` i64: index in its sequence of the last token that is `id` (with `not`: that is another),
    /// 0 if none.
    LastIndex {
        /// Token id.
        id: i64,
        /// Look for any other token.
        not: bool,
    },
    /// `x [N, ..], index [N] int` -> `[S, ..]`: of each sequence the row at the index that its first row names.
    RowAt,
    /// `t [S, ..], x [N, ..]` -> `[N, ..]`: row s for every row of sequence s.
    Spread,

    /// `x [N, H, D], [at [N] or [N, A]]`: the first features of each head turned; `at` defaults to the
    /// positions of x's token set.
    Rotary(Rope),
    /// `q [N, H, D], k [M, K, D], v [M, K, F], [bias], [prefix int [N]], [sinks [H]]` -> outputs
    /// 0: y `[N, H, F]`, 1: lse `[N, H]` (only if `lse`).
    Attend(Attend),
    /// No inputs -> score bias: -slope_h (q - k) scale.
    Alibi {
        /// Number of heads.
        heads: u64,
        /// Factor on the distance.
        scale: Num,
        /// The largest exponent, 8 in the paper.
        max: Num,
        /// Use abs(q - k).
        symmetric: bool,
    },
    /// `table [B, H] or [N, B, H]` -> score bias of T5 buckets.
    RelativeBias {
        /// Number of buckets.
        buckets: u64,
        /// Distance from which the last bucket holds.
        max_distance: u64,
        /// Half of the buckets for keys after the query.
        bidirectional: bool,
        /// The query stands that much later than its index.
        ahead: i64,
    },
    /// `x [N, H, D], table [B, H or 1, D]` -> score bias `x·table[r]` (DeBERTa and kin).
    RelativeScores(Relative),
    /// `x [N, H, D], table [2, H, D], types [N]` -> score bias x_q·table[types_q == types_k ? 0 : 1].
    SegmentScores,
    /// `t [M, H]` -> score bias t[key, head].
    KeyBias,
    /// `q [N, H, D], k [N, 1, D], weight [N, H]` -> score bias: 0 for the n best keys of a query among
    /// itself and those before, -inf elsewhere; score_st = sum_h weight_sh relu(q_sh·k_t).
    TopKeys(u64),
    /// No inputs -> score bias: an equation of query index, key index and head.
    PairBias(Box<PairBias>),
    /// `bias, bias` -> their sum as a score bias.
    AddBias,
    /// `bias` -> the bias with the query index replaced by min(floor(q / n), keys - 1).
    ByBlock(u64),
    /// No inputs -> `[2L + 1]` i64: -L .. L, L the longest sequence of the graph's token set.
    Distances,
    /// `x [N, C]` -> `[N', C]`: sums of n tokens each per sequence; a rest joins the last block, fewer
    /// than n tokens give none. A new token set.
    BlockSums(u64),
    /// `y0, lse0, y1, lse1, …` -> `[N, H, F]`: one softmax over all keys.
    JoinAttention,

    /// `x [N, E]` -> outputs 0: index `[N, k]` i64, 1: value `[N, k]`; largest first, ties: lower index.
    TopK(u64),
    /// `x [N, E] or [E], index [N, k]` -> `[N, k]`.
    Gather,
    /// `x [N, E]`: a group scores the sum of its `top` best; all but the best `keep` groups become -inf.
    GroupLimit {
        /// Number of equal groups.
        groups: u64,
        /// How many groups stay.
        keep: u64,
        /// How many of its experts a group is scored by.
        top: u64,
    },
    /// `x [N, E]` -> outputs 0: index `[N, k]`, 1: value `[N, k]` (Phi-3.5-MoE, `sparse_mixer`).
    SparseMixer {
        /// Rounds.
        k: u64,
        /// Jitter eps.
        eps: Num,
    },
    /// `x [N, C] or [N, k, C], index [N, k], [weight [N, k]]` -> `[N, C']`, or `[N, k, C']` if `keep`.
    Experts(Box<Experts>),

    /// `x [N, C], w [C, 1, K], [bias]`: depthwise, last tap = now, zeros before each sequence.
    CausalConv1d,
    /// `x [N, .., C], dt [N, .., C], a [.., C, S], b [N, .., S], c [N, .., S]`: h = exp(dt a) h + dt x b; y = h·c.
    SelectiveScan,
    /// `a [N, C], b [N, C]`: h_t = a_t h_(t-1) + b_t, from 0, f32.
    Recurrence,
    /// `[q [N, G, K]], [k [N, G, K]], v [N, H, V], [decay], [beta], [erase_a], [erase_b], [bonus [H, K]], [gain]`
    /// -> `[N, H, V]`: the linear recurrences of section 12 of the language.
    LinearScan(LinearScan),
    /// `x [N, C], h [L, C]`: y_t = sum over s <= t of h[t - s] x_s.
    LongConv,
    /// `x [N, C], poles [C, S, 2], residues [C, S, 2]` (re, im): z = p z + x, y = Re(sum r z).
    ModalConv,
    /// `x [N, H, D], w [N, H, K] or [H, K]`: y_t = sum_j w[t, h, j] x[t + j - (K-1)/2].
    DynamicConv,
    /// `x [N, A], w [B, A/groups, K], [bias]` -> `[N', B]` along rows, zeros around each sequence.
    RowConv {
        /// Step between outputs.
        stride: u64,
        /// Zeros before and after each sequence.
        padding: (u64, u64),
        /// Channel groups.
        groups: u64,
        /// Distance between taps.
        dilation: u64,
    },
    /// `x [N, C]`: real part of the 2-D DFT over the tokens of a sequence and the features.
    Fourier,
    /// Tensors -> tensors, by code from outside.
    Foreign(Box<Foreign>),
}

/// Elementwise functions of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UnaryOp {
    /// -x, elementwise.
    Neg,
    /// e^x.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// 1 / sqrt(x).
    Rsqrt,
    /// Sine, of radians.
    Sin,
    /// Cosine, of radians.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// x without its sign.
    Abs,
    /// The next whole number below.
    Floor,
    /// The next whole number above.
    Ceil,
    /// Rounded to bfloat16, ties to even; the element type stays.
    Bf16,
    /// A whole number, towards zero.
    Int,
    /// Rounded to IEEE half, ties to even, infinite beyond its range; the element type stays.
    F16,
    /// 1 where x >= 0, else 0.
    Step,
}

/// Elementwise functions of two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BinaryOp {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a b.
    Mul,
    /// a / b.
    Div,
    /// a^b.
    Pow,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
    /// a - b floor(a / b).
    Mod,
}

impl BinaryOp {
    /// `Mod` of two numbers: a - b floor(a / b), the rest with the sign of b; whole if both are and b is not 0.
    pub fn modulo(a: Scalar, b: Scalar) -> Scalar {
        if let (Scalar::Int(a), Scalar::Int(b)) = (a, b)
            && b != 0
        {
            let rest = a.wrapping_rem(b);
            return Scalar::Int(if rest != 0 && (rest < 0) != (b < 0) {
                rest + b
            } else {
                rest
            });
        }
        let (a, b) = (a.as_f64(), b.as_f64());
        let rest = a % b;
        Scalar::Float(Num(if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
            rest + b
        } else {
            rest
        }))
    }
}

/// Activation functions, by what they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// x σ(x).
    Silu,
    /// x Φ(x), by erf.
    Gelu,
    /// The tanh approximation of gelu.
    GeluTanh,
    /// gelu clipped to ±10.
    Gelu10,
    /// x σ(1.702 x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    Relu2,
    /// tanh.
    Tanh,
    /// σ(x).
    Sigmoid,
    /// log(1 + exp(x)).
    Softplus,
    /// x tanh(softplus(x)).
    Mish,
    /// x if x > 0, else exp(x) - 1.
    Elu,
    /// x if x > 0, else 0.01 x.
    LeakyRelu,
    /// x as it is.
    Identity,
}

impl Activation {
    /// Every name that config.json files use, with its function.
    pub const NAMES: [(&'static str, Activation); 24] = [
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
        ("gelu", Activation::Gelu),
        ("gelu_python", Activation::Gelu),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("gelu_tanh", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu_python_tanh", Activation::GeluTanh),
        ("gelu_10", Activation::Gelu10),
        ("quick_gelu", Activation::QuickGelu),
        ("relu", Activation::Relu),
        ("relu2", Activation::Relu2),
        ("relu_squared", Activation::Relu2),
        ("sqrelu", Activation::Relu2),
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
        ("softplus", Activation::Softplus),
        ("mish", Activation::Mish),
        ("elu", Activation::Elu),
        ("leaky_relu", Activation::LeakyRelu),
        ("identity", Activation::Identity),
        ("linear", Activation::Identity),
        ("gelu_accurate", Activation::GeluTanh),
    ];

    /// The function a config.json calls `name`.
    pub fn parse(name: &str) -> Option<Activation> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

/// How `Split` cuts the last dim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sizes {
    /// These sizes, which must add up.
    Each(Vec<u64>),
    /// That many equal parts.
    Equal(u64),
}

impl Sizes {
    /// Number of parts.
    pub fn parts(&self) -> usize {
        match self {
            Sizes::Each(sizes) => sizes.len(),
            Sizes::Equal(n) => *n as usize,
        }
    }
}

/// Options of `attend`. Per sequence and in this order: scale q·k; + bias; softcap; mask; sinks;
/// softmax in f32; times v. A row with no visible key gives 0 (and lse -inf).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attend {
    /// k <= q only (or `k < prefix[q]`).
    pub causal: bool,
    /// q - k < window; if not causal also k - q < window.
    pub window: Option<u64>,
    /// floor(q / chunk) == floor(k / chunk).
    pub chunk: Option<u64>,
    /// Factor on q·k; `None`: 1 / sqrt(D).
    pub scale: Option<Num>,
    /// c tanh(score / c).
    pub softcap: Option<Num>,
    /// Also return the log of the softmax' denominator.
    pub lse: bool,
}

/// Options of `relative_scores`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Relative {
    /// x belongs to the keys, not to the queries.
    pub of_key: bool,
    /// Log buckets (n, max_distance) instead of the plain distance: m = n/2; d if abs d <= m, else
    /// sign(d) (m + ceil((m - 1) ln(abs d / m) / ln((max_distance - 1) / m))).
    pub buckets: Option<(u64, u64)>,
}

/// A score bias that is an equation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PairBias {
    /// Number of heads, if the equation uses the head.
    pub heads: Option<u64>,
    /// Elementwise operations on the inputs `Pair` and numbers; its output `out`, broadcast to
    /// `[heads or 1, queries, keys]`, is what is added to the score.
    pub body: Graph,
}

/// The body and the options of `experts`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// What one expert computes: input `X` `[n, C]`, output `out` `[n, C']`. Its parameters are of the
    /// forms `Expert` (one tensor per expert) or `Slice` (dim 0 of one tensor cut in `count` parts).
    pub body: Graph,
    /// Number of experts with weights.
    pub count: u64,
    /// Indices count .. count + identity return their input.
    pub identity: u64,
    /// The weight multiplies the input instead of the output.
    pub scale_input: bool,
    /// Keep the k results apart: `[N, k, C']`.
    pub keep: bool,
    /// An expert takes the first n tokens per sequence that chose it.
    pub capacity: Option<u64>,
}

/// Options of `linear_scan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LinearScan {
    /// Division of the output by its normaliser.
    pub normalize: Option<ScanNormalize>,
}

/// How `linear_scan` normalises its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScanNormalize {
    /// y / n, n the same scan with v = 1 (RWKV-4).
    Sum,
    /// y / max(abs n, 1) (mLSTM).
    Max1,
}
