//! Mixture of experts.

use sli_model::{Experts, Num, Op};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// x [N, E] -> {index [N, k], value [N, k]}, largest first, of equal ones the lower index first.
    "top_k" 2..=2 [] "top_k(x, k)" => top_k;
    /// x [N, E] or [E], index [N, k] -> [N, k]: the chosen elements. Weights that differ from the scores that chose:
    /// `gather(sigmoid(logits), chosen.index)`.
    "gather" 2..=2 [] "gather(x, index)" => gather;
    /// x [N, E] like x: the experts in `groups` equal groups; a group scores the sum of its `top` best; all but the
    /// best `keep` groups become -inf. (DeepSeek-V2, arXiv 2405.04434, section 2.2.2: top 1; DeepSeek-V3, arXiv
    /// 2412.19437: top 2, with the correction bias added before.)
    /// * `groups`, `keep` (needed).
    /// * `top` (1): how many of its experts a group is scored by.
    "group_limit" 1..=1 ["groups", "keep", "top"] "group_limit(x, {groups, keep, top = 1})" => group_limit;
    /// x [N, E] -> {index [N, k], value [N, k]}, in k rounds: value = softmax over the experts left with (best - x) /
    /// max(abs x, best) <= 2 eps, x always the original logit; then the chosen one leaves. Values do not add up to 1.
    /// (Phi-3.5-MoE at inference; arXiv 2409.12136.)
    "sparse_mixer" 3..=3 [] "sparse_mixer(x, k, eps)" => sparse_mixer;
    /// The sum over the k chosen experts e of weight * block(x). x [N, C], or [N, k, C]: each slot its own input; index
    /// and weight [N, k]. With `{e}` in the module each expert has its own modules (`'experts.{e}'`); without, weights
    /// are packed: dim 0 of every tensor is cut in `count` equal parts ([E, a, b] and [E*a, b] both), and `param` and
    /// `linear` in the block see the expert's part. The sum is in f32. An index beyond the experts is an error, and the
    /// router's width must be count + identity.
    /// * `count` (needed): the number of experts; stated, not guessed.
    /// * `block` ('expert'): the block that one expert runs; it sees its own x only, row by row.
    /// * `args`: map of arguments for the block.
    /// * `scale`: 'input' multiplies the input instead of the output (Llama 4).
    /// * `merge`: 'keep' gives [N, k, C'], not summed; then the weight may be null.
    /// * `identity` (0): the indices count .. count + identity - 1 return their input and have no tensors (LongCat's
    ///   zero experts).
    /// * `capacity` (null): an expert takes the first `capacity` tokens per sequence that chose it (Switch, arXiv
    ///   2101.03961).
    "experts" 4..=4 ["count", "block", "args", "scale", "merge", "identity", "capacity"]
        "experts(x, 'module.{e}' or 'module', index, weight or null, {count, block = 'expert', args, scale, merge, identity, capacity})" => experts;
};

fn top_k(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let k = call.size(1)?;
    Ok(call.outputs(Op::TopK(k), vec![Some(x)], &["index", "value"]))
}

fn gather(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
    Ok(call.push(Op::Gather, inputs))
}

fn group_limit(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (Some(groups), Some(keep)) = (call.size_option("groups")?, call.size_option("keep")?) else {
        return Err(call.fail("the options `groups` and `keep` are needed"));
    };
    let top = call.size_option("top")?.unwrap_or(1);
    Ok(call.push(Op::GroupLimit { groups, keep, top }, vec![Some(x)]))
}

fn sparse_mixer(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (k, eps) = (call.size(1)?, Num(call.number(2)?));
    Ok(call.outputs(Op::SparseMixer { k, eps }, vec![Some(x)], &["index", "value"]))
}

fn experts(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let module = call.string(1)?;
    let at = (call.frame, call.parsed, call.args[1]);
    let module = call.compiler.fill(&module, at)?;
    let index = call.tensor(2)?;
    let weight = match call.val(3)? {
        Val::Null => None,
        _ => Some(call.tensor(3)?),
    };
    let Some(count) = call.size_option("count")? else {
        return Err(call.fail("the option `count` is needed: the number of experts is stated, not guessed"));
    };
    let block = call.string_option("block")?.unwrap_or_else(|| "expert".into());
    if !call.compiler.family.blocks.contains_key(&*block) {
        return Err(call.fail(format!("there is no [block.{block}] for one expert")));
    }
    let scale_input = choice(&mut call, "scale", "input")?;
    let keep = choice(&mut call, "merge", "keep")?;
    if weight.is_none() && !keep {
        return Err(call.fail("the weight may be null only with `'merge': 'keep'`"));
    }
    let identity = call.int_option("identity")?.unwrap_or(0).max(0) as u64;
    let capacity = call.size_option("capacity")?;
    let given = call.block_args()?;
    let body = call.compiler.body(&block, &module, given, at)?;
    let op = Op::Experts(Box::new(Experts {
        body,
        count,
        identity,
        scale_input,
        keep,
        capacity,
    }));
    Ok(call.push(op, vec![Some(x), Some(index), weight]))
}

/// An option that has one meaning beside its default.
fn choice(call: &mut Call<'_, '_, '_>, name: &str, value: &str) -> R<bool> {
    match call.string_option(name)? {
        None => Ok(false),
        Some(text) if *text == *value => Ok(true),
        Some(other) => Err(call.fail(format!("`{name}` is '{value}' or not given, not '{other}'"))),
    }
}
