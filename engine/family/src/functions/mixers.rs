//! Recurrences and convolutions along the sequence.

use sli_model::{LinearScan, Op, ScanNormalize, Value};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    "causal_conv1d" 2..=2 ["bias"] "causal_conv1d(x, 'module', ['m1', …] or W, {bias})" => causal_conv1d;
    "selective_scan" 5..=5 [] "selective_scan(x, dt, A, B, C)" => selective_scan;
    "recurrence" 2..=2 [] "recurrence(a, b)" => recurrence;
    "linear_scan" 3..=3 ["decay", "beta", "erase", "bonus", "gain", "normalize"]
        "linear_scan(q, k, v, {decay, beta, erase: [a, b], bonus, gain, normalize})" => linear_scan;
    "long_conv" 2..=2 [] "long_conv(x, h)" => long_conv;
    "modal_conv" 3..=3 [] "modal_conv(x, poles, residues)" => modal_conv;
    "dynamic_conv" 2..=2 [] "dynamic_conv(x, w)" => dynamic_conv;
    "row_conv" 2..=2 ["stride", "padding", "groups", "dilation", "bias"]
        "row_conv(x, 'module' or W, {stride = 1, padding = 0, groups = 1, dilation = 1, bias})" => row_conv;
    "fourier" 1..=1 [] "fourier(x)" => fourier;
};

/// An op of tensors only.
fn plain(mut call: Call<'_, '_, '_>, op: Op) -> R<Val> {
    let inputs: R<Vec<_>> = (0..call.count()).map(|k| call.tensor(k).map(Some)).collect();
    Ok(call.push(op, inputs?))
}

fn causal_conv1d(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (weight, bias) = match call.val(1)? {
        Val::List(modules) => joined(&mut call, &modules)?,
        _ => {
            let (weight, module) = call.weight(1)?;
            (weight, call.bias(module)?)
        }
    };
    Ok(call.push(Op::CausalConv1d, vec![Some(x), Some(weight), bias]))
}

/// Weights of several modules, one below the other. Their biases are not joined: the option gives one.
fn joined(call: &mut Call<'_, '_, '_>, modules: &[Val]) -> R<(Value, Option<Value>)> {
    let at = (call.frame, call.parsed, call.args[1]);
    let mut weights = Vec::new();
    for module in modules {
        let Val::Str(name) = module else {
            return Err(call.fail("a list here holds names of modules"));
        };
        let path = call.compiler.module_path(name, at)?;
        weights.push(Some(call.param(path.join("weight"), None, false)));
    }
    let Val::Tensor(_, weight) = call.push(Op::JoinRows, weights) else {
        return Err(call.fail("no modules"));
    };
    Ok((weight, call.bias(None)?))
}

fn selective_scan(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::SelectiveScan)
}

fn recurrence(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::Recurrence)
}

fn linear_scan(mut call: Call<'_, '_, '_>) -> R<Val> {
    let q = nullable(&mut call, 0)?;
    let k = nullable(&mut call, 1)?;
    let v = call.tensor(2)?;
    let decay = call.tensor_option("decay")?;
    let beta = call.tensor_option("beta")?;
    let (erase_a, erase_b) = match call.option("erase")? {
        None => (None, None),
        Some((Val::List(pair), expr)) if pair.len() == 2 => (
            Some(call.as_tensor(&pair[0], expr)?),
            Some(call.as_tensor(&pair[1], expr)?),
        ),
        Some(_) => return Err(call.fail("`erase` is a list of two tensors, [a, b]")),
    };
    let bonus = call.tensor_option("bonus")?;
    let gain = call.tensor_option("gain")?;
    let normalize = match call.string_option("normalize")?.as_deref() {
        None => None,
        Some("sum") => Some(ScanNormalize::Sum),
        Some("max1") => Some(ScanNormalize::Max1),
        Some(other) => return Err(call.fail(format!("`normalize` is 'sum' or 'max1', not '{other}'"))),
    };
    if beta.is_some() && erase_a.is_some() {
        return Err(call.fail("`beta` and `erase` exclude each other"));
    }
    if gain.is_some() && (beta.is_some() || erase_a.is_some()) {
        return Err(call.fail("`gain` is for the plain form, without `beta` and `erase`"));
    }
    let inputs = vec![q, k, Some(v), decay, beta, erase_a, erase_b, bonus, gain];
    Ok(call.push(Op::LinearScan(LinearScan { normalize }), inputs))
}

fn nullable(call: &mut Call<'_, '_, '_>, k: usize) -> R<Option<Value>> {
    match call.val(k)? {
        Val::Null => Ok(None),
        _ => call.tensor(k).map(Some),
    }
}

fn long_conv(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::LongConv)
}

fn modal_conv(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::ModalConv)
}

fn dynamic_conv(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::DynamicConv)
}

fn row_conv(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (weight, module) = call.weight(1)?;
    let bias = call.bias(module)?;
    let padding = match call.option("padding")? {
        None => (0, 0),
        Some((value, expr)) => match (&value, value.integer()) {
            (Val::List(pair), _) if pair.len() == 2 => (pads(&call, &pair[0], expr)?, pads(&call, &pair[1], expr)?),
            (_, Some(_)) => (pads(&call, &value, expr)?, pads(&call, &value, expr)?),
            _ => return Err(call.fail_at(expr, "`padding` is a number or [before, after]")),
        },
    };
    let op = Op::RowConv {
        stride: call.size_option("stride")?.unwrap_or(1),
        padding,
        groups: call.size_option("groups")?.unwrap_or(1),
        dilation: call.size_option("dilation")?.unwrap_or(1),
    };
    Ok(call.push(op, vec![Some(x), Some(weight), bias]))
}

fn pads(call: &Call<'_, '_, '_>, value: &Val, expr: &crate::expr::Expr) -> R<u64> {
    match value.integer() {
        Some(n) if n >= 0 => Ok(n as u64),
        _ => Err(call.fail_at(expr, format!("{} is no number of zeros", value.show()))),
    }
}

fn fourier(call: Call<'_, '_, '_>) -> R<Val> {
    plain(call, Op::Fourier)
}
