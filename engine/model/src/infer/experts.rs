//! Mixture of experts: choosing, gathering, running bodies.

use super::site::{Site, Tensor};
use super::{Dim, Env, Fault, Inferred, InputType, Kind, Outputs, ParamTypes, Sets, ValueType, infer};
use crate::cost::is_row_wise;
use crate::{Experts, GraphInput, Op, Value};

/// `x [.., E]` -> index `[.., k]`, value `[.., k]`.
pub(super) fn choice(site: &Site<'_>, k: u64) -> Result<Vec<ValueType>, String> {
    let x = site.tensor(0, "x")?;
    let width = site.last(x, "x")?;
    if k > width {
        return Err(format!(
            "{} wants the {k} largest of x {}, which has {width}",
            site.op(),
            x.show()
        ));
    }
    let dims = [&x.dims[..x.rank() - 1], &[Dim::Size(k)]].concat();
    Ok(vec![ValueType::int(dims.clone()), ValueType::float(dims)])
}

/// `x [N, E] or [E], index [N, k]` -> `[N, k]`.
pub(super) fn gather(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let index = indices(site, 1)?;
    let set = site.rows(1, "index")?;
    let fits = match x.rank() {
        1 => x.size(0).is_some(),
        2 => {
            site.same_rows(0, "x", set, sets)?;
            true
        }
        _ => false,
    };
    if !fits {
        return Err(format!(
            "`gather` reads x [tokens, experts] or [experts], but x is {}",
            x.show()
        ));
    }
    Ok(x.with(index.dims.to_vec()))
}

fn indices<'a>(site: &Site<'a>, i: usize) -> Result<Tensor<'a>, String> {
    let index = site.ranked(i, "index", 2, "[tokens, k]")?;
    if index.kind == Kind::Int {
        return Ok(index);
    }
    Err(format!(
        "{} expects `index` to be whole numbers, as `top_k` gives, but it is {}",
        site.op(),
        index.show()
    ))
}

/// `x [.., E]` -> like x.
pub(super) fn group_limit(site: &Site<'_>, groups: u64, keep: u64, top: u64) -> Result<ValueType, String> {
    let x = site.tensor(0, "x")?;
    let width = site.last(x, "x")?;
    if width % groups != 0 || keep > groups || top > width / groups {
        return Err(format!(
            "`group_limit` cannot keep {keep} of {groups} groups by their {top} best: x is {}",
            x.show()
        ));
    }
    Ok(ValueType::float(x.dims.to_vec()))
}

/// `x [N, C] or [N, k, C], index [N, k], [weight [N, k]]` -> `[N, C']` or `[N, k, C']`, and the body's types.
pub(super) fn experts(
    site: &Site<'_>,
    options: &Experts,
    params: &ParamTypes,
    env: &mut Env<'_>,
) -> Result<(Outputs, Inferred), Fault> {
    let set = site.rows(0, "x")?;
    let x = site.tensor(0, "x")?;
    site.same_rows(1, "index", set, env.sets)?;
    let index = indices(site, 1)?;
    if x.rank() != 2 && !(x.rank() == 3 && x.dims[1] == index.dims[1]) {
        let shapes = format!("x is {} and index {}", x.show(), index.show());
        return Err(format!("`experts` expects x [tokens, width] or [tokens, k, width], but {shapes}").into());
    }
    if let Some(weight) = site.optional(2, "weight")?
        && weight.dims != index.dims
    {
        return Err(format!(
            "`experts` expects `weight` {}, but it is {}",
            index.show(),
            weight.show()
        )
        .into());
    }
    check_router(site, options)?;
    let row = vec![x.dims[0], Dim::Size(site.last(x, "x")?)];
    let (out, inferred) = body(options, params, ValueType::float(row.clone()), env)?;
    let Some(out) = out else {
        return Ok((Err(Fault::Silent), inferred));
    };
    let width = match out.dims() {
        Some([rows, Dim::Size(width)]) if *rows == x.dims[0] => *width,
        _ => {
            return Err(format!("a body of `experts` must give [tokens, width], but it gives {out}").into());
        }
    };
    if options.identity > 0 && row[1] != Dim::Size(width) {
        return Err(format!(
            "`experts` with `identity` must keep the width {}, but a body gives {width}",
            row[1]
        )
        .into());
    }
    let mut dims = vec![x.dims[0], Dim::Size(width)];
    if options.keep {
        dims.insert(1, index.dims[1]);
    }
    Ok((Ok(vec![ValueType::float(dims)]), inferred))
}

/// Infers the body for rows of type `x`. No output type: an error inside was reported.
fn body(
    options: &Experts,
    params: &ParamTypes,
    x: ValueType,
    env: &mut Env<'_>,
) -> Result<(Option<ValueType>, Inferred), Fault> {
    let Some(out) = options.body.output("out") else {
        return Err("the body of `experts` has no output `out`".to_string().into());
    };
    if !is_row_wise(&options.body, &[out]) {
        return Err("the body of `experts` must compute each row by itself"
            .to_string()
            .into());
    }
    let input = |input: &GraphInput| match input {
        GraphInput::X => InputType::Known(x.clone()),
        other => InputType::Missing(format!("a body of `experts` sees its own x only, not {other:?}")),
    };
    let mut env = Env {
        inputs: &input,
        set: env.set,
        sets: &mut *env.sets,
    };
    let need = vec![true; options.body.nodes.len()];
    let inferred = infer(&options.body, &need, params, &mut env);
    let out = inferred.types[out.node as usize].get(out.out as usize).cloned();
    Ok((out, inferred))
}

/// The number of experts must be the width of the router, where the index leads back to one.
fn check_router(site: &Site<'_>, options: &Experts) -> Result<(), String> {
    let Some(scores) = site.node.inputs[1].and_then(|index| router(site, index)) else {
        return Ok(());
    };
    let Some(width) = site
        .type_of(scores)
        .and_then(|x| x.dims())
        .and_then(|dims| dims.last()?.size())
    else {
        return Ok(());
    };
    let experts = options.count.saturating_add(options.identity);
    if experts == width {
        return Ok(());
    }
    let identity = if options.identity > 0 {
        format!(" and {} that return their input", options.identity)
    } else {
        String::new()
    };
    Err(format!(
        "`experts` has {} experts{identity}, but the router chooses among {width}; config and weights disagree",
        options.count
    ))
}

/// The scores that an index was chosen from.
fn router(site: &Site<'_>, mut index: Value) -> Option<Value> {
    loop {
        let node = &site.graph.nodes[index.node as usize];
        match node.op {
            Op::TopK(_) | Op::SparseMixer { .. } if index.out == 0 => return node.inputs.first().copied().flatten(),
            Op::Slice { .. } => index = node.inputs.first().copied().flatten()?,
            _ => return None,
        }
    }
}
