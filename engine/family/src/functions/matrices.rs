//! Parameters and matrices.

use sli_model::{Op, ParamForm};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// The tensor of exactly that name: no `.weight` is added. With sizes: the same elements in that shape, which must
    /// have as many. A missing tensor is an error. Inside the block of `experts` with packed weights it is the expert's
    /// own part.
    "param" 1..=2 [] "param('name', [sizes])" => param;
    /// `a.0.weight` .. `a.<n-1>.weight` stacked on a new first dim: [n, ..]. The name must hold `{n}`, each tensor must
    /// exist and they have one shape. For norms stored per head: `params('q_norm.norms.{n}.weight', heads)`.
    "params" 2..=2 [] "params('a.{n}.weight', n)" => params;
    /// [.., a] -> [.., b] = x Wᵀ + bias. A module stands for `<module>.weight` and, where the checkpoint has it,
    /// `<module>.bias`; a tensor for the weight alone. W is [b, a]; [H, b, a] is one matrix per head and takes x [..,
    /// H, a] to [.., H, b]; 4 or 5 dims (a convolution over patches) are flattened to [b, rest].
    /// * `transposed` (false): W is stored [a, b], or [H, a, b]. GPT-2's Conv1D, packed experts of some files.
    /// * `bias` (what the checkpoint has): a tensor takes the place of `<module>.bias`; `false` forbids it, so that a
    ///   bias in the file is an error as an unused tensor.
    ///
    /// The last dim of x must be a: here a config is checked against the weights. Whole numbers as weights (quantised
    /// files) are refused.
    "linear" 2..=2 ["transposed", "bias"] "linear(x, 'module' or W, {transposed, bias})" => linear;
    /// ids [N] (or any shape [..]) -> [N, C]: rows of the table [V, C], which is `<module>.weight` or a tensor. An id
    /// below 0 or from V on is an error that names the id. Positions are ids too: `embedding(positions + 2,
    /// 'embed_positions')`.
    "embedding" 2..=2 [] "embedding(ids, 'module' or W)" => embedding;
    /// a [.., n, k], b [.., k, m] -> [.., n, m]; leading dims broadcast. Never along the rows of a token set.
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
