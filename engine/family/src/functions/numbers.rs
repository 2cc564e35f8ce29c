//! Functions on plan values (section 9 of the language), some of which also take tensors.

use std::sync::Arc;

use sli_model::{BinaryOp, Num, Op, Scalar, UnaryOp};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::expr::Node;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// The first argument that exists and is not null; null if there is none. Later arguments are not evaluated. Only
    /// here may a path into a map or list lead nowhere: `get(config.head_dim, config.hidden_size / heads)`,
    /// `get(config.ssm_cfg.layer, 'Mamba1')`, `get(config.pattern[i], 'full')`. `get(config.key)` alone reads a key
    /// that may be missing, as null.
    "get" 1..=16 [] "get(a, b, …)" => get;
    /// A number cut towards zero, a string of digits read, true as 1 and false as 0; of a tensor, elementwise, whole
    /// numbers that `embedding` and `gather` take. Anything else is an error.
    "int" 1..=1 [] "int(x)" => int;
    /// The number as a float.
    "float" 1..=1 [] "float(x)" => float;
    /// Number of elements, members or characters.
    "len" 1..=1 [] "len(list, map or string)" => len;
    /// Whether the list has an element equal to `x`, the map the key `x`, the string the part `x`.
    "contains" 2..=2 [] "contains(list, map or string, x)" => contains;
    /// Whether the string `s` begins with `p`.
    "starts_with" 2..=2 [] "starts_with(s, p)" => starts_with;
    /// Whether the string `s` ends with `p`.
    "ends_with" 2..=2 [] "ends_with(s, p)" => ends_with;
    /// `s` without `p` at its beginning; `s` itself if it does not begin so.
    "strip_prefix" 2..=2 [] "strip_prefix(s, p)" => strip_prefix;
    /// Stops with this text and the place. For a branch that must not be reached: `kind == 'a' ? 1 : error('…')`. What
    /// can be told from config.json alone is better refused in `[[refuse]]`.
    "error" 1..=1 [] "error('text')" => error;
    /// `v[i]` if `v` is a list (an index outside is an error), else `v` itself; null stays null. For keys that hold one
    /// number or one per layer: `at(config.intermediate_size, i)`.
    "at" 2..=2 [] "at(v, i)" => at;
    /// The index of the first element equal to `x`; none is an error.
    "index_of" 2..=2 [] "index_of(list, x)" => index_of;
    /// An integer as text, for names put together with `+`; a string stays.
    "string" 1..=1 [] "string(i)" => string;
    /// z with Phi(z) = p, Phi the distribution of the standard normal; 0 < p < 1. (Gemma 3n's sparse activations: the
    /// share of features that stay becomes a threshold.)
    "normal_quantile" 1..=1 [] "normal_quantile(p)" => normal_quantile;
    /// m(a) = 0.1 a ln(`factor`) + 1, and 1 if `factor` <= 1: the attention factor of YaRN (arXiv 2309.00071, section
    /// 3.4), which DeepSeek's models also multiply into the scale of attention, squared.
    "yarn_mscale" 2..=2 [] "yarn_mscale(factor, a)" => yarn_mscale;
    /// List of the values of the map's keys that begin with `prefix`, in the order of the file.
    "values_of" 2..=2 [] "values_of(map, prefix)" => values_of;
};

/// Those that also take tensors.
pub(super) const ELEMENTWISE: &[Function] = functions! {
    /// The smallest number; a list counts as its elements. With two arguments of which one is a tensor: elementwise,
    /// with broadcasting. An empty list is an error.
    "min" 1..=16 [] "min(a, b, …)" => smallest;
    /// The largest number; a list counts as its elements. With two arguments of which one is a tensor: elementwise,
    /// with broadcasting. An empty list is an error.
    "max" 1..=16 [] "max(a, b, …)" => largest;
    /// Rounded to bfloat16, ties to even; the type stays. For constants that the model's code rounds: `bf16(sqrt(1.0 *
    /// config.hidden_size))`.
    "bf16" 1..=1 [] "bf16(x)" => bf16;
    /// Rounded to IEEE half, ties to even; infinite from 65520 on; the type stays. For what the model's code computes in
    /// half precision whatever it is run in, as tables of sines.
    "f16" 1..=1 [] "f16(x)" => f16;
    /// 1 where x >= 0, else 0; an integer of an integer. Comparisons of tensors are made of it: a >= b is
    /// `step(a - b)`, a < b is `1 - step(a - b)`, a = b is `step(-abs(a - b))`; products say and, `max` says or.
    "step" 1..=1 [] "step(x)" => step;
    /// Elementwise: `a` where `mark` is not 0, else `b`; each a number or a tensor, with broadcasting. Nothing of the
    /// branch not taken shows, so it may be infinite or nan. A mark that is a number chooses when the model is planned.
    "where" 3..=3 [] "where(mark, a, b)" => choose;
    /// a - b floor(a / b): the rest of a division, with the sign of `b`; each a number or a tensor, with broadcasting.
    "mod" 2..=2 [] "mod(a, b)" => modulo;
    /// e to the power of `x`.
    "exp" 1..=1 [] "exp(x)" => exp;
    /// The natural logarithm. log sigmoid(x) is `-softplus(-x)`, which does not overflow.
    "log" 1..=1 [] "log(x)" => log;
    /// The square root.
    "sqrt" 1..=1 [] "sqrt(x)" => sqrt;
    /// 1 / sqrt(x).
    "rsqrt" 1..=1 [] "rsqrt(x)" => rsqrt;
    /// The sine.
    "sin" 1..=1 [] "sin(x)" => sin;
    /// The cosine.
    "cos" 1..=1 [] "cos(x)" => cos;
    /// The hyperbolic tangent.
    "tanh" 1..=1 [] "tanh(x)" => tanh;
    /// The absolute value; an integer stays one.
    "abs" 1..=1 [] "abs(x)" => abs;
    /// The largest whole number not above `x`: an integer of a number, of a tensor the same type.
    "floor" 1..=1 [] "floor(x)" => floor;
    /// The smallest whole number not below `x`: an integer of a number, of a tensor the same type.
    "ceil" 1..=1 [] "ceil(x)" => ceil;
    /// `a` to the power `b`; each a number or a tensor, with broadcasting. Of two numbers: a float.
    "pow" 2..=2 [] "pow(a, b)" => pow;
};

/// The first argument that exists and is not null. Later ones are not evaluated.
fn get(call: Call<'_, '_, '_>) -> R<Val> {
    for arg in &call.args {
        let value = match &arg.node {
            Node::Member(..) | Node::Index(..) => call.compiler.path_value(call.frame, call.parsed, arg)?,
            _ => Some(call.compiler.eval(call.frame, call.parsed, arg)?),
        };
        if let Some(value) = value.filter(|v| !matches!(v, Val::Null)) {
            return Ok(value);
        }
    }
    Ok(Val::Null)
}

/// Of numbers and lists of numbers; of two values of which one is a tensor, elementwise.
fn extreme(mut call: Call<'_, '_, '_>, op: BinaryOp, better: fn(f64, f64) -> bool) -> R<Val> {
    if call.count() == 2 && (matches!(call.val(0)?, Val::Tensor(..)) || matches!(call.val(1)?, Val::Tensor(..))) {
        let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
        return Ok(call.push(Op::Binary(op), inputs));
    }
    let mut values = Vec::new();
    for k in 0..call.count() {
        match call.val(k)? {
            Val::List(list) => values.extend(list.iter().cloned()),
            value => values.push(value),
        }
    }
    let mut best: Option<Val> = None;
    for value in values {
        let Some(x) = value.number() else {
            return Err(call.fail(format!("{} is not a number", value.show())));
        };
        if best.as_ref().and_then(Val::number).is_none_or(|b| better(x, b)) {
            best = Some(value);
        }
    }
    best.ok_or_else(|| call.fail("an empty list has no smallest and no largest"))
}

fn smallest(call: Call<'_, '_, '_>) -> R<Val> {
    extreme(call, BinaryOp::Min, |x, best| x < best)
}

fn largest(call: Call<'_, '_, '_>) -> R<Val> {
    extreme(call, BinaryOp::Max, |x, best| x > best)
}

/// Towards zero; also reads a string of digits.
fn int(mut call: Call<'_, '_, '_>) -> R<Val> {
    match call.val(0)? {
        Val::Bool(b) => Ok(Val::Int(b.into())),
        Val::Str(text) => match text.trim().parse() {
            Ok(i) => Ok(Val::Int(i)),
            Err(_) => Err(call.fail(format!("'{text}' is not a whole number"))),
        },
        Val::Tensor(..) => {
            let x = call.tensor(0)?;
            Ok(call.push(Op::Unary(UnaryOp::Int), vec![Some(x)]))
        }
        value => match value.number() {
            Some(x) if x.is_finite() => Ok(Val::Int(x.trunc() as i64)),
            _ => Err(call.fail(format!("{} is not a number", value.show()))),
        },
    }
}

fn float(mut call: Call<'_, '_, '_>) -> R<Val> {
    call.number(0).map(Val::Float)
}

fn len(mut call: Call<'_, '_, '_>) -> R<Val> {
    let n = match call.val(0)? {
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        Val::Str(text) => text.chars().count(),
        other => return Err(call.fail(format!("{} has no length", other.show()))),
    };
    Ok(Val::Int(n as i64))
}

fn contains(mut call: Call<'_, '_, '_>) -> R<Val> {
    let wanted = call.val(1)?;
    let found = match (call.val(0)?, &wanted) {
        (Val::List(list), _) => list.iter().any(|v| v.equals(&wanted) == Some(true)),
        (Val::Map(map), Val::Str(key)) => map.contains_key(&**key),
        (Val::Str(text), Val::Str(part)) => text.contains(&**part),
        (other, _) => return Err(call.fail(format!("{} cannot contain {}", other.show(), wanted.show()))),
    };
    Ok(Val::Bool(found))
}

fn starts_with(mut call: Call<'_, '_, '_>) -> R<Val> {
    Ok(Val::Bool(call.string(0)?.starts_with(&*call.string(1)?)))
}

fn ends_with(mut call: Call<'_, '_, '_>) -> R<Val> {
    Ok(Val::Bool(call.string(0)?.ends_with(&*call.string(1)?)))
}

fn strip_prefix(mut call: Call<'_, '_, '_>) -> R<Val> {
    let (text, prefix) = (call.string(0)?, call.string(1)?);
    Ok(Val::Str(text.strip_prefix(&*prefix).unwrap_or(&text).into()))
}

fn error(mut call: Call<'_, '_, '_>) -> R<Val> {
    let text = call.string(0)?;
    Err(call.compiler.fail(call.frame, call.parsed, call.expr, &*text))
}

/// v[i] if v is a list, else v; null stays null.
fn at(mut call: Call<'_, '_, '_>) -> R<Val> {
    let Val::List(list) = call.val(0)? else {
        return call.val(0);
    };
    let i = call.int(1)?;
    let found = usize::try_from(i).ok().and_then(|i| list.get(i).cloned());
    found.ok_or_else(|| call.fail(format!("the list has {} elements; there is none at {i}", list.len())))
}

fn index_of(mut call: Call<'_, '_, '_>) -> R<Val> {
    let list = call.list(0)?;
    let wanted = call.val(1)?;
    let found = list.iter().position(|v| v.equals(&wanted) == Some(true));
    found
        .map(|i| Val::Int(i as i64))
        .ok_or_else(|| call.fail(format!("the list has no element {}", wanted.show())))
}

fn string(mut call: Call<'_, '_, '_>) -> R<Val> {
    match call.val(0)? {
        Val::Str(text) => Ok(Val::Str(text)),
        value => match value.integer() {
            Some(i) => Ok(Val::Str(i.to_string().into())),
            None => Err(call.fail(format!("{} has no short text", value.show()))),
        },
    }
}

/// Rounded to bfloat16, ties to even.
fn bf16(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Bf16, sli_model::round_bf16)
}

/// Rounded to IEEE half, ties to even.
fn f16(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::F16, sli_model::round_f16)
}

fn step(mut call: Call<'_, '_, '_>) -> R<Val> {
    match call.val(0)?.number() {
        Some(x) => Ok(Val::Int((x >= 0.0).into())),
        None => either(call, UnaryOp::Step, f64::abs),
    }
}

/// A mark that is a number decides now.
fn choose(mut call: Call<'_, '_, '_>) -> R<Val> {
    if let Some(mark) = call.val(0)?.number() {
        return call.val(if mark != 0.0 { 1 } else { 2 });
    }
    let inputs = (0..3).map(|k| call.tensor(k).map(Some)).collect::<R<_>>()?;
    Ok(call.push(Op::Where, inputs))
}

/// The rest of a division, with the sign of the divisor.
fn modulo(mut call: Call<'_, '_, '_>) -> R<Val> {
    let (a, b) = (call.val(0)?, call.val(1)?);
    match (a.number(), b.number()) {
        (_, Some(0.0)) => Err(call.fail("there is no rest of a division by 0")),
        (Some(x), Some(y)) => {
            let rest = match (&a, &b) {
                (Val::Int(a), Val::Int(b)) => BinaryOp::modulo(Scalar::Int(*a), Scalar::Int(*b)),
                _ => BinaryOp::modulo(Scalar::Float(Num(x)), Scalar::Float(Num(y))),
            };
            Ok(match rest {
                Scalar::Int(i) => Val::Int(i),
                Scalar::Float(x) => Val::Float(x.0),
            })
        }
        _ => {
            let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
            Ok(call.push(Op::Binary(BinaryOp::Mod), inputs))
        }
    }
}

/// z with Phi(z) = p: bisection on the complementary error function's series is exact enough and short.
fn normal_quantile(mut call: Call<'_, '_, '_>) -> R<Val> {
    let p = call.number(0)?;
    if !(p > 0.0 && p < 1.0) {
        return Err(call.fail(format!("a probability lies between 0 and 1, {p} does not")));
    }
    let (mut low, mut high) = (-40.0f64, 40.0f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < p {
            low = middle
        } else {
            high = middle
        }
    }
    Ok(Val::Float(0.5 * (low + high)))
}

/// Phi(z): Abramowitz and Stegun 26.2.10 near 0, the continued fraction 26.2.14 in the tails.
fn normal_cdf(z: f64) -> f64 {
    let density = libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt();
    if z.abs() < 5.0 {
        let (mut term, mut sum) = (z, z);
        for k in 1..200 {
            term *= z * z / (2 * k + 1) as f64;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let mut fraction = 0.0;
    for k in (1..60).rev() {
        fraction = f64::from(k) / (z.abs() + fraction);
    }
    let tail = density / (z.abs() + fraction);
    if z > 0.0 { 1.0 - tail } else { tail }
}

/// 0.1 a ln(factor) + 1, 1 if factor <= 1 (YaRN, arXiv 2309.00071, section 3.4).
fn yarn_mscale(mut call: Call<'_, '_, '_>) -> R<Val> {
    Ok(Val::Float(super::rope::mscale(call.number(0)?, call.number(1)?)))
}

fn values_of(mut call: Call<'_, '_, '_>) -> R<Val> {
    let prefix = call.string(1)?;
    match call.val(0)? {
        Val::Map(map) => {
            let found = map
                .iter()
                .filter(|(k, _)| k.starts_with(&*prefix))
                .map(|(_, v)| v.clone());
            Ok(Val::List(Arc::new(found.collect())))
        }
        other => Err(call.fail(format!("{} is not a map", other.show()))),
    }
}

/// A function of a number or, elementwise, of a tensor.
fn either(mut call: Call<'_, '_, '_>, op: UnaryOp, plain: fn(f64) -> f64) -> R<Val> {
    match call.val(0)? {
        Val::Tensor(..) => {
            let x = call.tensor(0)?;
            Ok(call.push(Op::Unary(op), vec![Some(x)]))
        }
        _ => call.number(0).map(|x| Val::Float(plain(x))),
    }
}

fn exp(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Exp, libm::exp)
}

fn log(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Log, libm::log)
}

fn sqrt(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Sqrt, f64::sqrt)
}

fn rsqrt(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Rsqrt, |x| 1.0 / x.sqrt())
}

fn sin(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Sin, libm::sin)
}

fn cos(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Cos, libm::cos)
}

fn tanh(call: Call<'_, '_, '_>) -> R<Val> {
    either(call, UnaryOp::Tanh, libm::tanh)
}

fn abs(mut call: Call<'_, '_, '_>) -> R<Val> {
    if let Val::Int(i) = call.val(0)? {
        return Ok(Val::Int(i.abs()));
    }
    either(call, UnaryOp::Abs, f64::abs)
}

/// Of a number: an integer.
fn whole(call: Call<'_, '_, '_>, op: UnaryOp, plain: fn(f64) -> f64) -> R<Val> {
    Ok(match either(call, op, plain)? {
        Val::Float(x) => Val::Int(x as i64),
        tensor => tensor,
    })
}

fn floor(call: Call<'_, '_, '_>) -> R<Val> {
    whole(call, UnaryOp::Floor, f64::floor)
}

fn ceil(call: Call<'_, '_, '_>) -> R<Val> {
    whole(call, UnaryOp::Ceil, f64::ceil)
}

fn pow(mut call: Call<'_, '_, '_>) -> R<Val> {
    let (a, b) = (call.val(0)?, call.val(1)?);
    if let (Some(a), Some(b)) = (a.number(), b.number()) {
        return Ok(Val::Float(libm::pow(a, b)));
    }
    let inputs = vec![Some(call.tensor(0)?), Some(call.tensor(1)?)];
    Ok(call.push(Op::Binary(BinaryOp::Pow), inputs))
}
