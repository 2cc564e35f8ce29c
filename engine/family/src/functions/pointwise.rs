//! Activations, limits and reductions over the last dim.

use sli_config::suggest;
use sli_model::{Activation, Num, Op};

use super::call::num;
use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    "activation" 2..=2 [] "activation(x, 'name')" => activation;
    "silu" 1..=1 [] "silu(x)" => named;
    "gelu" 1..=1 [] "gelu(x)" => named;
    "gelu_tanh" 1..=1 [] "gelu_tanh(x)" => named;
    "relu" 1..=1 [] "relu(x)" => named;
    "relu2" 1..=1 [] "relu2(x)" => named;
    "quick_gelu" 1..=1 [] "quick_gelu(x)" => named;
    "softplus" 1..=1 [] "softplus(x)" => named;
    "sigmoid" 1..=1 [] "sigmoid(x)" => named;
    "clamp" 2..=3 [] "clamp(x, c) or clamp(x, lo, hi)" => clamp;
    "softcap" 2..=2 [] "softcap(x, c)" => softcap;
    "softmax" 1..=1 [] "softmax(x)" => softmax;
    "sum" 1..=1 [] "sum(x)" => sum;
    "mean" 1..=1 [] "mean(x)" => mean;
};

fn activation(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let name = call.string(1)?;
    match Activation::parse(&name) {
        Some(Activation::Identity) => call.val(0),
        Some(activation) => Ok(call.push(Op::Activation(activation), vec![Some(x)])),
        None => {
            let near =
                suggest(&name, Activation::NAMES.iter().map(|row| row.0)).map(|n| format!("did you mean `{n}`?"));
            let mut error = call.fail_at(call.args[1], format!("there is no activation `{name}`"));
            let names: Vec<&str> = Activation::NAMES.iter().map(|row| row.0).collect();
            *error = error.help_opt(near).help(format!("known are `{}`", names.join("`, `")));
            Err(error)
        }
    }
}

/// An activation called by its own name.
fn named(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let activation = Activation::parse(call.function.name).expect("the functions of this table are activations");
    Ok(call.push(Op::Activation(activation), vec![Some(x)]))
}

/// A limit: null and infinities are open.
fn limit(call: &mut Call<'_, '_, '_>, k: usize) -> R<Option<f64>> {
    match call.val(k)? {
        Val::Null => Ok(None),
        _ => call.number(k).map(|x| x.is_finite().then_some(x)),
    }
}

fn clamp(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    let (lo, hi) = if call.count() == 2 {
        let c = limit(&mut call, 1)?;
        (c.map(|c| -c), c)
    } else {
        (limit(&mut call, 1)?, limit(&mut call, 2)?)
    };
    if lo.is_none() && hi.is_none() {
        return call.val(0);
    }
    Ok(call.push(
        Op::Clamp {
            lo: num(lo),
            hi: num(hi),
        },
        vec![Some(x)],
    ))
}

fn softcap(mut call: Call<'_, '_, '_>) -> R<Val> {
    if matches!(call.val(1)?, Val::Null) {
        return call.val(0);
    }
    let x = call.tensor(0)?;
    let c = call.number(1)?;
    Ok(call.push(Op::Softcap(Num(c)), vec![Some(x)]))
}

fn softmax(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    Ok(call.push(Op::Softmax, vec![Some(x)]))
}

fn sum(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    Ok(call.push(Op::Sum, vec![Some(x)]))
}

fn mean(mut call: Call<'_, '_, '_>) -> R<Val> {
    let x = call.tensor(0)?;
    Ok(call.push(Op::Mean, vec![Some(x)]))
}
