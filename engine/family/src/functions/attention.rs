//! Attention, its score biases, rotary embedding.

use sli_model::{Attend, Num, Op, Relative};

use super::call::num;
use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    "rotary" 2..=3 [] "rotary(x, rope, at)" => rotary;
    "attend" 3..=3 ["causal", "window", "chunk", "scale", "softcap", "bias", "prefix", "sinks", "lse"]
        "attend(q, k, v, {causal, window, chunk, scale, softcap, bias, prefix, sinks, lse})" => attend;
    "alibi" 1..=1 ["scale", "max", "symmetric"] "alibi(H, {scale = 1, max = 8, symmetric})" => alibi;
    "relative_bias" 1..=1 ["buckets", "max_distance", "bidirectional", "ahead"]
        "relative_bias(table, {buckets, max_distance, bidirectional, ahead = 0})" => relative_bias;
    "relative_scores" 2..=2 ["side", "buckets", "max_distance"]
        "relative_scores(x, table, {side = 'query', buckets, max_distance})" => relative_scores;
    "segment_scores" 3..=3 [] "segment_scores(x, table, types)" => segment_scores;
    "distances" 0..=0 [] "distances()" => distances;
    "key_bias" 1..=1 [] "key_bias(t)" => key_bias;
    "top_keys" 4..=4 [] "top_keys(q, k, weight, n)" => top_keys;
    "block_sums" 2..=2 [] "block_sums(x, n)" => block_sums;
    "by_block" 2..=2 [] "by_block(bias, n)" => by_block;
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
