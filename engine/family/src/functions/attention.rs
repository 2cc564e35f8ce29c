//! Attention, its score biases, rotary embedding.

use sli_model::{Attend, Num, Op, PairBias, Relative, infer::check_pair_bias};

use super::call::num;
use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// x [N, H, D]: the first `width` features of each head turned by the angles position * frequency, the rest passed
    /// on (arXiv 2104.09864). Pairs are (j, j + width/2), or (2j, 2j+1) if the rope is `interleaved`. A null rope gives
    /// x itself, so a layer without positions is a value of `[values]`. `at`: positions [N] or [N, A]; the default is
    /// the positions of x's token set. Angles, cos and sin in f32. Frequencies that depend on the length use each
    /// sequence's own.
    "rotary" 2..=3 [] "rotary(x, rope, at)" => rotary;
    /// q [N, H, D], k [M, K, D], v [M, K, F] -> [N, H, F]. K divides H; head h uses key head floor(h K / H): groups
    /// need no `repeat_heads`. Per sequence, in this order: score = scale * q·k; + `bias`; `softcap`; mask; `sinks`;
    /// softmax in f32; times v. q may be of another token set than k and v: cross-attention needs no option. A row that
    /// sees no key gives 0. q and k in masks and biases are indices within the sequence, independent of positions.
    /// * `causal` (false): k <= q, or k < `prefix`[q].
    /// * `window` (null): q - k < window, and if not causal also k - q < window. Two-sided windows of other libraries
    ///   that count both sides (|q - k| <= w/2) are w/2 + 1 here.
    /// * `chunk` (null): floor(q / chunk) = floor(k / chunk).
    /// * `scale` (null: 1 / sqrt(D)): the factor on q·k.
    /// * `softcap` (null): c tanh(score / c).
    /// * `bias` (null): a score bias; several add with `+`; -inf hides a key.
    /// * `prefix` (null): integers [N]; keys before that index are seen by a causal query too.
    /// * `sinks` (null): [H], or the name of a parameter: one more logit per head that takes probability and gives no
    ///   value.
    /// * `lse` (false): gives {y [N, H, F], lse [N, H]}, lse the log of the softmax' denominator, for `join_attention`.
    ///
    /// Every option takes null, so each can be a value that a child changes. (Softcap: arXiv 2408.00118; sinks: arXiv
    /// 2309.17453 as in gpt-oss.)
    "attend" 3..=3 ["causal", "window", "chunk", "scale", "softcap", "bias", "prefix", "sinks", "lse"]
        "attend(q, k, v, {causal, window, chunk, scale, softcap, bias, prefix, sinks, lse})" => attend;
    /// Score bias -slope_h (q - k) scale (arXiv 2108.12409). With n the largest power of two <= H: slopes 2^(-8 (j+1) /
    /// n) for the first n heads, 2^(-4 (2j+1) / n), j from 0, for the rest, as in the authors' code.
    /// * `scale` (1): a factor on the bias; models that add ALiBi before scaling the scores need 1/sqrt(D).
    /// * `max` (8): the exponents are multiplied by max / 8 (MPT's `alibi_bias_max`).
    /// * `symmetric` (false): abs(q - k), for encoders.
    "alibi" 1..=1 ["scale", "max", "symmetric"] "alibi(H, {scale = 1, max = 8, symmetric})" => alibi;
    /// Score bias of T5's buckets (arXiv 1910.10683): table[bucket, head]. With d = k - (q + ahead) and n = buckets.
    /// Bidirectional: n /= 2, b0 = n if d > 0 else 0, d = abs d. Else b0 = 0, d = max(-d, 0). With m = n / 2 the bucket
    /// is b0 + d for d < m, else b0 + min(m + floor(ln(d / m) / ln(max_distance / m) (n - m)), n - 1), in f32. The
    /// table [B, H] has B = buckets rows; [N, B, H]: each query its own.
    /// * `buckets`, `max_distance` (needed).
    /// * `bidirectional` (false): buckets for keys after the query too; encoders.
    /// * `ahead` (0): the query stands that much later than its index.
    "relative_bias" 1..=1 ["buckets", "max_distance", "bidirectional", "ahead"]
        "relative_bias(table, {buckets, max_distance, bidirectional, ahead = 0})" => relative_bias;
    /// Score bias x_q·table[r], r = clamp(floor(B / 2) + b(q - k), 0, B - 1); table [B, H, D], or [B, 1, D] for all
    /// heads (DeBERTa, arXiv 2006.03654; Transformer-XL, arXiv 1901.02860). b is the identity, or with buckets n, m = n / 2: d
    /// if abs d <= m, else sign(d) (m + ceil((m - 1) ln(abs d / m) / ln((max_distance - 1) / m))). Not scaled: multiply
    /// x or give `scale` to match the model.
    /// * `side` ('query'): 'key' gives x_k·table[r].
    /// * `buckets`, `max_distance` (the plain distance): both or none.
    "relative_scores" 2..=2 ["side", "buckets", "max_distance"]
        "relative_scores(x, table, {side = 'query', buckets, max_distance})" => relative_scores;
    /// Score bias x_q·table[types_q = types_k ? 0 : 1]; table [2, H, D], types [N]. (XLNet, arXiv 1906.08237, section
    /// 2.5; mind the order of the two rows in other models.)
    "segment_scores" 3..=3 [] "segment_scores(x, table, types)" => segment_scores;
    /// [2L + 1] integers -L .. L, L the longest sequence of the batch: what a table of relative positions is computed
    /// from.
    "distances" 0..=0 [] "distances()" => distances;
    /// Score bias that is an equation: any mask or bias made of indices and plan values. Runs `[block.<name>]` with x =
    /// {q [1, N, 1], k [1, 1, M], h [H, 1, 1]}: index of the query and of the key within their sequences and number of the
    /// head, f32. Its `out`, broadcast to [H or 1, N, M], is added to the scores; -inf hides a key: `log(mark)` is 0 where
    /// a mark is 1 and -inf where it is 0. The block is an elementwise equation: arithmetic, `step`, `where`, `mod`,
    /// `floor`, `min`, `max`, `clamp`, `exp` and the like; no parameters, no other tensors, nothing along a dim; other
    /// blocks may help it (`near(x)`). It is evaluated tile by tile, never for all pairs at once. Masks that `attend` has
    /// options for (`causal`, `window`, `chunk`) stay there: they also spare the work.
    /// * `heads` (null): H; without it there is no `x.h` and every head has the same bias. A head is a query head.
    /// * `args`: map of arguments for the block.
    ///
    /// ALiBi as such a block, H a power of two: `out = "pow(2.0, -8.0 / heads * (x.h + 1)) * (x.k - x.q)"`. Every third
    /// key, and near ones: `log(max(step(-mod(x.k, 3)), step(near - (x.q - x.k))))`.
    "pair_bias" 1..=1 ["heads", "args"] "pair_bias('block', {heads, args})" => pair_bias;
    /// t [M, H] -> score bias t[key, head], the same for every query. State of a step-by-step run: t beside k.
    "key_bias" 1..=1 [] "key_bias(t)" => key_bias;
    /// Score bias: 0 for the n best keys of each query among itself and those before, -inf elsewhere; with fewer than
    /// n, all. The score of key t for query s is sum_h weight_sh relu(q_sh·k_t); of equal ones the earlier key wins. q
    /// [N, H, D], k [N, 1, D], weight [N, H]. (The indexer of DeepSeek-V3.2, as in its public inference code.)
    "top_keys" 4..=4 [] "top_keys(q, k, weight, n)" => top_keys;
    /// [N, C] -> [N', C], a new token set: sums of n tokens each, per sequence. A rest joins the last block; fewer than
    /// n tokens give no block. (LongT5's global tokens, arXiv 2112.07916, section 3.1.2.)
    "block_sums" 2..=2 [] "block_sums(x, n)" => block_sums;
    /// The bias with the query index replaced by min(floor(q / n), keys - 1): a bias towards the rows that `block_sums`
    /// made.
    "by_block" 2..=2 [] "by_block(bias, n)" => by_block;
    /// [N, H, F]: one softmax over the keys of several attentions of the same queries: sum_p e^(lse_p - m) y_p / sum_p
    /// e^(lse_p - m), m the largest. Each part comes from `attend(…, {'lse': true})`; a part without keys counts 0.
    "join_attention" 1..=1 [] "join_attention([p, …])" => join_attention;
};

fn rotary(mut call: Call<'_, '_, '_>) -> R<Val> {
    let rope = match call.val(1)? {
        Val::Null => return call.val(0),
        Val::Rope(rope) => rope,
        other => {
            return Err(call.fail(format!(
                "the second argument comes from `rope_config`; it is {}",
                other.show()
            )));
        }
    };
    let x = call.tensor(0)?;
    let at = match call.val_or_null(2)? {
        Val::Null => None,
        _ => Some(call.tensor(2)?),
    };
    Ok(call.push(Op::Rotary((*rope).clone()), vec![Some(x), at]))
}

fn attend(mut call: Call<'_, '_, '_>) -> R<Val> {
    let (q, k, v) = (call.tensor(0)?, call.tensor(1)?, call.tensor(2)?);
    let bias = match call.option("bias")? {
        None => None,
        Some((value, expr)) => call.as_bias(&value, expr)?,
    };
    let prefix = call.tensor_option("prefix")?;
    let sinks = match call.option("sinks")? {
        None => None,
        Some((Val::Str(name), expr)) => {
            let path = call.compiler.module_path(&name, (call.frame, call.parsed, expr))?;
            Some(call.param(path, None, false))
        }
        Some((value, expr)) => Some(call.as_tensor(&value, expr)?),
    };
    let options = Attend {
        causal: call.flag("causal")?,
        window: call.size_option("window")?,
        chunk: call.size_option("chunk")?,
        scale: num(call.number_option("scale")?),
        softcap: num(call.number_option("softcap")?),
        lse: call.flag("lse")?,
    };
    let lse = options.lse;
    let inputs = vec![Some(q), Some(k), Some(v), bias, prefix, sinks];
    let op = Op::Attend(options);
    if lse {
        Ok(call.outputs(op, inputs, &["y", "lse"]))
    } else {
        Ok(call.push(op, inputs))
    }
}

fn alibi(mut call: Call<'_, '_, '_>) -> R<Val> {
    let op = Op::Alibi {
        heads: call.size(0)?,
        scale: Num(call.number_option("scale")?.unwrap_or(1.0)),
        max: Num(call.number_option("max")?.unwrap_or(8.0)),
        symmetric: call.flag("symmetric")?,
    };
    call.compiler.touch_graph();
    Ok(call.push_bias(op, Vec::new()))
}

fn relative_bias(mut call: Call<'_, '_, '_>) -> R<Val> {
    let table = call.tensor(0)?;
    let (Some(buckets), Some(max_distance)) = (call.size_option("buckets")?, call.size_option("max_distance")?) else {
        return Err(call.fail("the options `buckets` and `max_distance` are needed"));
    };
    let bidirectional = call.flag("bidirectional")?;
    let ahead = call.int_option("ahead")?.unwrap_or(0);
    Ok(call.push_bias(
        Op::RelativeBias {
            buckets,
            max_distance,
            bidirectional,
            ahead,
        },
        vec![Some(table)],
    ))
}

fn relative_scores(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
    let of_key = match call.string_option("side")?.as_deref() {
        None | Some("query") => false,
        Some("key") => true,
        Some(other) => return Err(call.fail(format!("`side` is 'query' or 'key', not '{other}'"))),
    };
    let buckets = match (call.size_option("buckets")?, call.size_option("max_distance")?) {
        (None, None) => None,
        (Some(buckets), Some(distance)) => Some((buckets, distance)),
        _ => return Err(call.fail("`buckets` and `max_distance` go together")),
    };
    Ok(call.push_bias(Op::RelativeScores(Relative { of_key, buckets }), inputs))
}

fn segment_scores(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?), Some(call.tensor(2)?)];
    Ok(call.push_bias(Op::SegmentScores, inputs))
}

fn distances(mut call: Call<'_, '_, '_>) -> R<Val> {
    Ok(call.push(Op::Distances, Vec::new()))
}

fn key_bias(mut call: Call<'_, '_, '_>) -> R<Val> {
    let t = call.tensor(0)?;
    Ok(call.push_bias(Op::KeyBias, vec![Some(t)]))
}

fn pair_bias(mut call: Call<'_, '_, '_>) -> R<Val> {
    let block = call.string(0)?;
    if !call.compiler.family.blocks.contains_key(&*block) {
        return Err(call.fail_at(call.args[0], format!("there is no [block.{block}]")));
    }
    let heads = call.size_option("heads")?;
    let given = call.block_args()?;
    let at = (call.frame, call.parsed, call.args[0]);
    let body = call.compiler.pair_body(&block, given, at)?;
    let pair = PairBias { heads, body };
    if let Err(error) = check_pair_bias(&pair) {
        let why = format!("{}{}{}", error.origin.lead(), error.message, error.origin.trail());
        return Err(call.fail(why));
    }
    call.compiler.touch_graph();
    Ok(call.push_bias(Op::PairBias(Box::new(pair)), Vec::new()))
}

fn top_keys(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?), Some(call.tensor(2)?)];
    let n = call.size(3)?;
    Ok(call.push_bias(Op::TopKeys(n), inputs))
}

fn block_sums(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let n = call.size(1)?;
    Ok(call.push(Op::BlockSums(n), vec![Some(x)]))
}

fn by_block(mut call: Call<'_, '_, '_>) -> R<Val> {
    let value = call.val(0)?;
    let Some(bias) = call.as_bias(&value, call.args[0])? else {
        return Ok(Val::Null);
    };
    let n = call.size(1)?;
    Ok(call.push_bias(Op::ByBlock(n), vec![Some(bias)]))
}

fn join_attention(mut call: Call<'_, '_, '_>) -> R<Val> {
    let mut inputs = Vec::new();
    for part in call.list(0)?.iter() {
        let (Val::Map(map), expr) = (part, call.args[0]) else {
            return Err(call.fail("each part comes from `attend(…, {'lse': true})`"));
        };
        for member in ["y", "lse"] {
            let Some(value) = map.get(member) else {
                return Err(call.fail("each part comes from `attend(…, {'lse': true})`"));
            };
            inputs.push(Some(call.as_tensor(value, expr)?));
        }
    }
    Ok(call.push(Op::JoinAttention, inputs))
}
