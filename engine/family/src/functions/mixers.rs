//! Recurrences and convolutions along the sequence.

use sli_model::{LinearScan, Op, ScanNormalize, Value};

use super::{Call, Function, functions};
use crate::compile::R;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = functions! {
    /// x [N, C], weight [C, 1, K] -> [N, C]: depthwise, y_t = bias + sum_j w_j x_(t - (K-1) + j): the last tap meets
    /// the token itself; zeros before each sequence. `<module>.weight` and, where the checkpoint has it,
    /// `<module>.bias`. A list of modules: their weights joined along the channels, without their biases. State of a
    /// step-by-step run: K - 1 rows. (Mamba, arXiv 2312.00752.)
    /// * `bias` (what the checkpoint has): a tensor, or `false`.
    "causal_conv1d" 2..=2 ["bias"] "causal_conv1d(x, 'module', ['m1', …] or W, {bias})" => causal_conv1d;
    /// x [N, .., C], dt like x, A [.., C, S], B [N, .., S], C [N, .., S] -> like x: h = exp(dt A) h + dt x B, y = h·C,
    /// from h = 0 before each sequence. `..` is nothing, or heads with their own B and C. A is the negative number
    /// (`-exp(param('A_log'))`); the skip D x and the gate are equations. States in f32. (Mamba, arXiv 2312.00752,
    /// section 3.2.)
    "selective_scan" 5..=5 [] "selective_scan(x, dt, A, B, C)" => selective_scan;
    /// a [N, C], b [N, C] -> [N, C]: h_t = a_t h_(t-1) + b_t, from 0 before each sequence, in f32. (RG-LRU, arXiv
    /// 2402.19427, section 2.4.)
    "recurrence" 2..=2 [] "recurrence(a, b)" => recurrence;
    /// q [N, G, K], k [N, G, K], v [N, H, V] -> [N, H, V]. G divides H; head h reads q, k of head floor(h G / H). q and
    /// k null: ones of width 1. A state S [H, K, V] per sequence, zero before its first token, in f32. Per token, w =
    /// exp(decay), ' = transpose: S = diag(w) S + k v', then y = q' S. q is not scaled: do it yourself.
    /// * `decay` (0): the LOG of the decay, broadcasts to [N, H, K]; `per_head(g)` for [H] or [N, H].
    /// * `beta` b, broadcasts to [N, H, 1]: S = diag(w) S, then S = S + b k (v - k' S)'. (Delta rule, arXiv 2406.06484;
    ///   gated, arXiv 2412.06464.)
    /// * `erase` [a, b], each [N, G, K]: S = diag(w) S + b (a' S_old) + k v'. (RWKV-7, arXiv 2503.14456.) Not with
    ///   `beta`.
    /// * `bonus` u [H, K]: y = q' (S_old + diag(u) k v'). (RWKV-4 to 6, arXiv 2404.05892.)
    /// * `gain` g, broadcasts to [N, H, 1]: k v' enters as exp(g) k v'. Plain form only, decay per head.
    /// * `normalize`: 'sum': y / n, n the same y with v = 1 (RWKV-4, arXiv 2305.13048); 'max1': y / max(abs n, 1)
    ///   (mLSTM, arXiv 2405.04517). S and n are kept divided by exp(m), m_t = max(decay + m_(t-1), gain_t), so nothing
    ///   overflows.
    ///
    /// `beta` and `erase` go with neither `bonus`, `gain` nor `normalize`; `gain` and `normalize` need one decay per
    /// head. Computed in chunks, exactly (section 12 of the language). Covers RetNet (arXiv 2307.08621), lightning
    /// attention, GLA (arXiv 2312.06635), and Mamba-2 (arXiv 2405.21060) as
    /// `linear_scan(C, B, u * per_head(dt), {'decay': per_head(dt * A)})`.
    "linear_scan" 3..=3 ["decay", "beta", "erase", "bonus", "gain", "normalize"]
        "linear_scan(q, k, v, {decay, beta, erase: [a, b], bonus, gain, normalize})" => linear_scan;
    /// x [N, C], h [L, C] -> [N, C]: y_t = sum over s <= t of h[t - s] x_s, in f32, by FFT. L must reach the longest
    /// sequence. (Hyena, arXiv 2302.10866.)
    "long_conv" 2..=2 [] "long_conv(x, h)" => long_conv;
    /// x [N, C], poles and residues [C, S, 2] (re, im) -> [N, C]: z = p z + x complex, S per channel, y = Re(sum_j r_j
    /// z_j). The poles are p itself, not its logarithm. (StripedHyena; arXiv 2310.18780.)
    "modal_conv" 3..=3 [] "modal_conv(x, poles, residues)" => modal_conv;
    /// x [N, H, D], w [N, H, K] or [H, K] -> [N, H, D]: y_t = sum_j w[t, h, j] x[t + j - (K-1)/2], zeros outside the
    /// sequence; K odd. For whole sequences. (arXiv 1901.10430; ConvBERT, arXiv 2008.02496.)
    "dynamic_conv" 2..=2 [] "dynamic_conv(x, w)" => dynamic_conv;
    /// x [N, A], W [B, A/groups, K] -> [N', B] along the rows of each sequence, zeros around it; N' = floor((n + pads -
    /// dilation (K-1) - 1) / stride) + 1 rows of n: a new token set, the same one if stride is 1 and the padding keeps
    /// every length. `<module>.weight` and, where the checkpoint has it, `<module>.bias`. For whole sequences. As
    /// PyTorch's `Conv1d`.
    /// * `stride` (1), `groups` (1), `dilation` (1).
    /// * `padding` (0): zeros on both sides, or [before, after].
    /// * `bias` (what the checkpoint has): a tensor, or `false`.
    "row_conv" 2..=2 ["stride", "padding", "groups", "dilation", "bias"]
        "row_conv(x, 'module' or W, {stride = 1, padding = 0, groups = 1, dilation = 1, bias})" => row_conv;
    /// [N, C] -> [N, C]: the real part of the 2-D discrete Fourier transform over the tokens of a sequence and the
    /// features. For whole sequences. (FNet, arXiv 2105.03824, section 3.)
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
    let reads_the_key = beta.is_some() || erase_a.is_some();
    if reads_the_key && (bonus.is_some() || gain.is_some() || normalize.is_some()) {
        return Err(call.fail("`beta` and `erase` go with neither `bonus`, `gain` nor `normalize`"));
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
