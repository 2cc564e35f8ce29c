//! Norms.

use sli_model::{Num, Op, Value};

use super::{Call, Function, functions};
use crate::compile::{Path, R};
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// (x - mean) / sqrt(var + eps) * (offset + weight) + bias over the last dim, with the biased variance, in f32
    /// (arXiv 1607.06450). Weight and, where the checkpoint has it, bias are those of the module; a tensor is the
    /// weight alone; null: neither. The weight may have several dims ([H, D] for x [N, H, D]: each head its own).
    /// * `offset` (0): added to the weight. 1 for files that store weight - 1.
    /// * `groups` (1): the last dim in that many equal parts, each normed by itself.
    "layer_norm" 3..=3 ["offset", "groups"] "layer_norm(x, 'module' or null, eps, {offset, groups})" => layer_norm;
    /// x / sqrt(mean x² + eps) * (offset + weight) over the last dim, in f32 (arXiv 1910.07467). The weight is that of
    /// the module or a tensor; null: none. No bias is read: a bias in the file is then an error as an unused tensor.
    /// * `offset` (0): added to the weight. 1 for files that store weight - 1 (Gemma 1 to 3, Qwen3-Next).
    /// * `groups` (1): the last dim in that many equal parts, each normed by itself.
    "rms_norm" 3..=3 ["offset", "groups"] "rms_norm(x, 'module' or null, eps, {offset, groups})" => rms_norm;
    /// x / sqrt(sum x² + eps) over the last dim, in f32. `eps` stands under the root.
    "l2_norm" 1..=2 [] "l2_norm(x, eps = 0)" => l2_norm;
    /// x / (sum over the last dim + eps), in f32. Renormalises the weights of chosen experts.
    "normalize" 1..=2 [] "normalize(x, eps = 0)" => normalize;
};

/// The weight of a norm: of a module, a tensor, or none for null.
fn weight(call: &mut Call<'_, '_, '_>) -> R<(Option<Value>, Option<Path>)> {
    if matches!(call.val(1)?, Val::Null) {
        return Ok((None, None));
    }
    let (weight, module) = call.weight(1)?;
    Ok((Some(weight), module))
}

fn layer_norm(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (weight, module) = weight(&mut call)?;
    let bias = module.map(|path| call.param(path.join("bias"), None, true));
    let eps = Num(call.number(2)?);
    let offset = Num(call.number_option("offset")?.unwrap_or(0.0));
    let groups = call.size_option("groups")?.unwrap_or(1);
    Ok(call.push(Op::LayerNorm { eps, offset, groups }, vec![Some(x), weight, bias]))
}

fn rms_norm(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (weight, _) = weight(&mut call)?;
    let eps = Num(call.number(2)?);
    let offset = Num(call.number_option("offset")?.unwrap_or(0.0));
    let groups = call.size_option("groups")?.unwrap_or(1);
    Ok(call.push(Op::RmsNorm { eps, offset, groups }, vec![Some(x), weight]))
}

fn l2_norm(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let eps = Num(call.number_or(1, 0.0)?);
    Ok(call.push(Op::L2Norm { eps }, vec![Some(x)]))
}

fn normalize(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let eps = Num(call.number_or(1, 0.0)?);
    Ok(call.push(Op::Normalize { eps }, vec![Some(x)]))
}
