//! Norms.

use sli_model::{Num, Op, Value};

use super::{Call, Function, functions};
use crate::compile::{Path, R};
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    "layer_norm" 3..=3 ["offset", "groups"] "layer_norm(x, 'module' or null, eps, {offset, groups})" => layer_norm;
    "rms_norm" 3..=3 ["offset", "groups"] "rms_norm(x, 'module' or null, eps, {offset, groups})" => rms_norm;
    "l2_norm" 1..=2 [] "l2_norm(x, eps = 0)" => l2_norm;
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
