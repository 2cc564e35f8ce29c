//! Parameters and matrices.

use sli_model::{Op, ParamForm};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    "param" 1..=2 [] "param('name', [sizes])" => param;
    "params" 2..=2 [] "params('a.{n}.weight', n)" => params;
    "linear" 2..=2 ["transposed", "bias"] "linear(x, 'module' or W, {transposed, bias})" => linear;
    "embedding" 2..=2 [] "embedding(ids, 'module' or W)" => embedding;
    "matmul" 2..=2 [] "matmul(a, b)" => matmul;
};

fn param(mut call: Call<'_, '_, '_>) -> R<Val> {
    let path = call.module(0)?;
    let shape = if call.count() == 2 { Some(call.sizes(1)?) } else { None };
    let value = call.param(path, shape, false);
    Ok(Val::Tensor(call.compiler.builder().serial, value))
}

fn params(mut call: Call<'_, '_, '_>) -> R<Val> {
    let path = call.module(0)?;
    if !path.text.contains("{n}") {
        return Err(call.fail("the name needs `{n}`, the number of each tensor"));
    }
    let count = call.size(1)?;
    let value = call.param_as(path, None, false, ParamForm::Stack { count });
    Ok(Val::Tensor(call.compiler.builder().serial, value))
}

fn linear(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (weight, module) = call.weight(1)?;
    let bias = call.bias(module)?;
    let transposed = call.flag("transposed")?;
    Ok(call.push(Op::Linear { transposed }, vec![Some(x), Some(weight), bias]))
}

fn embedding(mut call: Call<'_, '_, '_>) -> R<Val> {
    let ids = call.tensor(0)?;
    let (table, _) = call.weight(1)?;
    Ok(call.push(Op::Embedding, vec![Some(ids), Some(table)]))
}

fn matmul(mut call: Call<'_, '_, '_>) -> R<Val> {
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
    Ok(call.push(Op::MatMul, inputs))
}
