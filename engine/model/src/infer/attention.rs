//! Rotary embeddings, attention and score biases.

use super::site::Site;
use super::types::rows_of;
use super::{Dim, Kind, SetId, Sets, ValueType};
use crate::{Attend, Axes, Relative, Rope};

const QKV: &str = "[tokens, heads, width]";

/// `x [N, H, D], [at [N] or [N, A]]` -> like x.
pub(super) fn rotary(site: &Site<'_>, rope: &Rope, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.ranked(0, "x", 3, QKV)?;
    let width = site.last(x, "x")?;
    if rope.width > width {
        return Err(format!(
            "`rotary` turns {} features of each head, but x {} has {width}",
            rope.width,
            x.show()
        ));
    }
    if let Some(at) = site.optional(1, "positions")? {
        site.same_rows(1, "positions", set, sets)?;
        let fits = match at.rank() {
            1 => true,
            2 => at.size(1).is_some_and(|axes| axes_fit(&rope.axes, axes)),
            _ => false,
        };
        if !fits {
            return Err(format!(
                "`rotary` cannot turn x by positions {}: the rope has other axes",
                at.show()
            ));
        }
    }
    Ok(x.with(x.dims.to_vec()))
}

fn axes_fit(axes: &Axes, given: u64) -> bool {
    match axes {
        Axes::One => given == 1,
        Axes::Split { .. } | Axes::Alternate => given > 0,
        Axes::Sections(sections) => sections.iter().all(|axis| u64::from(*axis) < given),
    }
}

/// `q, k, v, [bias], [prefix], [sinks]` -> y and, if asked for, lse.
pub(super) fn attend(site: &Site<'_>, options: &Attend, sets: &Sets) -> Result<Vec<ValueType>, String> {
    let (query, key) = (site.rows(0, "q")?, site.rows(1, "k")?);
    let q = site.ranked(0, "q", 3, QKV)?;
    let k = site.ranked(1, "k", 3, QKV)?;
    let v = site.ranked(2, "v", 3, QKV)?;
    site.same_rows(2, "v", key, sets)?;
    let (heads, key_heads) = (q.size(1).unwrap_or(0), k.size(1).unwrap_or(0));
    let shapes = || format!("q is {}, k {}, v {}", q.show(), k.show(), v.show());
    if q.dims[2] != k.dims[2] {
        return Err(format!("`attend` needs q and k of one width, but {}", shapes()));
    }
    if k.dims[1] != v.dims[1] {
        return Err(format!("`attend` needs k and v of as many heads, but {}", shapes()));
    }
    if key_heads == 0 || heads % key_heads != 0 {
        return Err(format!(
            "`attend` needs a number of key heads that divides the {heads} heads of q, but {}",
            shapes()
        ));
    }
    check_bias(site, heads, query, key, sets)?;
    if let Some(prefix) = site.optional(4, "prefix")? {
        site.same_rows(4, "prefix", query, sets)?;
        if prefix.rank() != 1 || prefix.kind != Kind::Int {
            return Err(format!(
                "`attend` expects `prefix` [tokens] int, but it is {}",
                site.named(4, "prefix")
            ));
        }
    }
    if let Some(sinks) = site.optional(5, "sinks")?
        && sinks.dims != [Dim::Size(heads)]
    {
        return Err(format!(
            "`attend` expects `sinks` [{heads}], one per head, but it is {}",
            site.named(5, "sinks")
        ));
    }
    let mut outputs = vec![ValueType::float(vec![q.dims[0], q.dims[1], v.dims[2]])];
    if options.lse {
        outputs.push(ValueType::float(q.dims[..2].to_vec()));
    }
    Ok(outputs)
}

fn check_bias(site: &Site<'_>, heads: u64, query: SetId, key: SetId, sets: &Sets) -> Result<(), String> {
    let Some(value) = site.value(3) else {
        return Ok(());
    };
    let ValueType::Bias {
        heads: made_for,
        query: of_query,
        key: of_key,
    } = value
    else {
        return Err(format!("`attend` expects `bias` to be a score bias, but it is {value}"));
    };
    if made_for.is_some_and(|n| n != heads && n != 1) {
        return Err(format!("`attend` has {heads} heads, but its `bias` is a {value}"));
    }
    for (set, of, what) in [(query, of_query, "queries"), (key, of_key, "keys")] {
        if let Some(of) = of.filter(|of| *of != set) {
            let (mine, its) = (sets.name(set), sets.name(of));
            return Err(format!(
                "`attend` has {what} from {mine}, but its `bias` belongs to {its}"
            ));
        }
    }
    Ok(())
}

/// `table [B, H] or [N, B, H]` -> bias.
pub(super) fn relative_bias(site: &Site<'_>, buckets: u64) -> Result<ValueType, String> {
    let table = site.tensor(0, "the table")?;
    let query = rows_of(table.dims);
    let sizes = if query.is_some() { &table.dims[1..] } else { table.dims };
    match sizes {
        [Dim::Size(b), Dim::Size(heads)] if *b == buckets => Ok(ValueType::Bias {
            heads: Some(*heads),
            query,
            key: None,
        }),
        _ => Err(format!(
            "`relative_bias` expects a table [{buckets} buckets, heads], but it is {}; config and weights disagree",
            site.named(0, "the table")
        )),
    }
}

/// `x [N, H, D], table [B, H or 1, D]` -> bias.
pub(super) fn relative_scores(site: &Site<'_>, relative: &Relative) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.ranked(0, "x", 3, QKV)?;
    let table = site.ranked(1, "the table", 3, "[entries, heads or 1, width]")?;
    let heads_fit = table.dims[1] == x.dims[1] || table.dims[1] == Dim::Size(1);
    if !heads_fit || table.dims[2] != x.dims[2] || matches!(table.dims[0], Dim::Rows(_) | Dim::Seqs(_)) {
        return Err(format!(
            "`relative_scores` expects a table [entries, heads or 1, width] for x {}, but it is {}",
            x.show(),
            site.named(1, "the table")
        ));
    }
    let (query, key) = if relative.of_key {
        (None, Some(set))
    } else {
        (Some(set), None)
    };
    Ok(ValueType::Bias {
        heads: x.size(1),
        query,
        key,
    })
}

/// `x [N, H, D], table [2, H, D], types [N]` -> bias.
pub(super) fn segment_scores(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "x")?;
    let x = site.ranked(0, "x", 3, QKV)?;
    let table = site.tensor(1, "the table")?;
    if table.dims != [Dim::Size(2), x.dims[1], x.dims[2]] {
        return Err(format!(
            "`segment_scores` expects a table [2, heads, width] for x {}, but it is {}",
            x.show(),
            site.named(1, "the table")
        ));
    }
    site.same_rows(2, "types", set, sets)?;
    site.ranked(2, "types", 1, "[tokens]")?;
    Ok(ValueType::Bias {
        heads: x.size(1),
        query: Some(set),
        key: Some(set),
    })
}

/// `t [M, H]` -> bias.
pub(super) fn key_bias(site: &Site<'_>) -> Result<ValueType, String> {
    let set = site.rows(0, "t")?;
    let t = site.ranked(0, "t", 2, "[tokens, heads]")?;
    Ok(ValueType::Bias {
        heads: t.size(1),
        query: None,
        key: Some(set),
    })
}

/// `q [N, H, D], k [N, 1, D], weight [N, H]` -> bias of all heads.
pub(super) fn top_keys(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let set = site.rows(0, "q")?;
    let q = site.ranked(0, "q", 3, QKV)?;
    let k = site.ranked(1, "k", 3, "[tokens, 1, width]")?;
    let weight = site.ranked(2, "weight", 2, "[tokens, heads]")?;
    site.same_rows(1, "k", set, sets)?;
    site.same_rows(2, "weight", set, sets)?;
    if k.dims[1] != Dim::Size(1) || k.dims[2] != q.dims[2] || weight.dims[1] != q.dims[1] {
        return Err(format!(
            "`top_keys` expects k [tokens, 1, width] and weight [tokens, heads] for q {}, but they are {} and {}",
            q.show(),
            k.show(),
            weight.show()
        ));
    }
    Ok(ValueType::Bias {
        heads: None,
        query: Some(set),
        key: Some(set),
    })
}

/// The sum of two biases; each part must fit the other.
pub(super) fn add_bias(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let (
        Some(ValueType::Bias {
            heads: h0,
            query: q0,
            key: k0,
        }),
        Some(ValueType::Bias {
            heads: h1,
            query: q1,
            key: k1,
        }),
    ) = (site.value(0), site.value(1))
    else {
        let given = [site.named(0, "the left side"), site.named(1, "the right side")];
        return Err(format!(
            "`add_bias` adds two score biases, but got {} and {}",
            given[0], given[1]
        ));
    };
    let heads = match (*h0, *h1) {
        (Some(a), Some(b)) if a != b && a != 1 && b != 1 => {
            return Err(format!("`add_bias` cannot add score biases of {a} and of {b} heads"));
        }
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    };
    let set = |a: Option<SetId>, b: Option<SetId>| match (a, b) {
        (Some(a), Some(b)) if a != b => Err(site.mixed(a, b, sets)),
        (a, b) => Ok(a.or(b)),
    };
    Ok(ValueType::Bias {
        heads,
        query: set(*q0, *q1)?,
        key: set(*k0, *k1)?,
    })
}

/// `bias` -> the same over blocks of queries, which may be of another set.
pub(super) fn by_block(site: &Site<'_>) -> Result<ValueType, String> {
    match site.value(0) {
        Some(ValueType::Bias { heads, key, .. }) => Ok(ValueType::Bias {
            heads: *heads,
            query: None,
            key: *key,
        }),
        _ => Err(format!("`by_block` needs a score bias, but got {}", site.named(0, "x"))),
    }
}

/// `y0, lse0, y1, lse1, …` -> y.
pub(super) fn join(site: &Site<'_>, sets: &Sets) -> Result<ValueType, String> {
    let count = site.node.inputs.len();
    if count == 0 || count % 2 == 1 {
        return Err("`join_attention` needs pairs of y and lse, from `attend` with `lse`".to_string());
    }
    let set = site.rows(0, "y")?;
    let y = site.ranked(0, "y", 3, QKV)?;
    for i in (0..count).step_by(2) {
        site.same_rows(i, "y", set, sets)?;
        site.same_rows(i + 1, "lse", set, sets)?;
        let (other, lse) = (site.tensor(i, "y")?, site.tensor(i + 1, "lse")?);
        if other.dims != y.dims || lse.dims != &y.dims[..2] {
            return Err(format!(
                "`join_attention` needs parts of one shape, but they are {} with lse {} and {}",
                other.show(),
                lse.show(),
                y.show()
            ));
        }
    }
    Ok(ValueType::float(y.dims.to_vec()))
}
