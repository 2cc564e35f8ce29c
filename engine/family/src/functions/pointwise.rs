//! Activations, limits and reductions over the last dim.

use sli_config::suggest;
use sli_model::{Activation, Num, Op};

use super::call::num;
use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// The function config.json calls so. `silu`, `swish`: x σ(x). `gelu`, `gelu_python`: x Φ(x), by erf. `gelu_new`,
    /// `gelu_fast`, `gelu_tanh`, `gelu_pytorch_tanh`, `gelu_python_tanh`, `gelu_accurate`: the tanh approximation
    /// (arXiv 1606.08415). `gelu_10`: gelu clipped to ±10. `quick_gelu`: x σ(1.702 x). `relu`. `relu2`, `relu_squared`,
    /// `sqrelu`: max(x, 0)². `tanh`, `sigmoid`, `softplus`, `mish` (x tanh(softplus(x))), `elu` (α = 1), `leaky_relu`
    /// (slope 0.01), `identity`, `linear`. The name is a plan value; another one is an error that lists these. Mind
    /// that some models do not mean what they write: an `activation_function` of `gelu` may be the tanh form in the
    /// model's code.
    "activation" 2..=2 [] "activation(x, 'name')" => activation;
    /// x σ(x).
    "silu" 1..=1 [] "silu(x)" => named;
    /// x Φ(x), by erf.
    "gelu" 1..=1 [] "gelu(x)" => named;
    /// 0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³))).
    "gelu_tanh" 1..=1 [] "gelu_tanh(x)" => named;
    /// max(x, 0).
    "relu" 1..=1 [] "relu(x)" => named;
    /// max(x, 0)².
    "relu2" 1..=1 [] "relu2(x)" => named;
    /// x σ(1.702 x).
    "quick_gelu" 1..=1 [] "quick_gelu(x)" => named;
    /// log(1 + exp(x)); x itself where x > 20, as PyTorch has it.
    "softplus" 1..=1 [] "softplus(x)" => named;
    /// σ(x) = 1 / (1 + exp(-x)).
    "sigmoid" 1..=1 [] "sigmoid(x)" => named;
    /// x limited to [-c, c] or [lo, hi]. A limit that is null or infinite is open.
    "clamp" 2..=3 [] "clamp(x, c) or clamp(x, lo, hi)" => clamp;
    /// c tanh(x / c), in f32; x itself if `c` is null. For logits; scores of attention have the option `softcap` of
    /// `attend`.
    "softcap" 2..=2 [] "softcap(x, c)" => softcap;
    /// Over the last dim, in f32.
    "softmax" 1..=1 [] "softmax(x)" => softmax;
    /// Sum over the last dim, which stays as 1.
    "sum" 1..=1 [] "sum(x)" => sum;
    /// Mean over the last dim, which stays as 1.
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
