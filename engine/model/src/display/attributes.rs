//! The attributes of ops as names and values; what is at its usual value is left out.

use crate::{Activation, Attend, Axes, Experts, Frequencies, Num, Op, Relative, Rope, Sizes};

pub(crate) type Attributes = Vec<(&'static str, String)>;

/// Attributes of an op that differ from their defaults, in the order of the language.
pub(crate) fn of(op: &Op) -> Attributes {
    match op {
        Op::Range(n) => vec![("n", n.to_string())],
        Op::Numbers(numbers) => vec![("values", list(numbers))],
        Op::Linear { transposed } => flag("transposed", *transposed),
        Op::LayerNorm { eps, offset, groups } | Op::RmsNorm { eps, offset, groups } => norm(*eps, *offset, *groups),
        Op::L2Norm { eps } | Op::Normalize { eps } => vec![("eps", number(*eps))],
        Op::Activation(activation) => vec![("name", activation_name(*activation).to_string())],
        Op::Clamp { lo, hi } => some([("lo", lo.map(number)), ("hi", hi.map(number))]),
        Op::Softcap(c) => vec![("c", number(*c))],
        Op::SplitHeads { heads, dim } => some([("heads", text(heads)), ("dim", text(dim))]),
        Op::RepeatHeads { n, tile } => [vec![("n", n.to_string())], flag("tile", *tile)].concat(),
        Op::Split(Sizes::Each(sizes)) => vec![("sizes", format!("{sizes:?}"))],
        Op::Split(Sizes::Equal(n)) => vec![("parts", n.to_string())],
        Op::Slice { start, end } => some([("start", text(start)), ("end", text(end))]),
        Op::Shift(n) => vec![("n", n.to_string())],
        Op::FirstIndex(id) => vec![("id", id.to_string())],
        Op::LastIndex { id, not } => vec![("id", id.to_string()), ("not", not.to_string())],
        Op::Rotary(rope) => of_rope(rope),
        Op::Attend(options) => of_attend(options),
        Op::Alibi {
            heads,
            scale,
            max,
            symmetric,
        } => {
            let numbers = [
                ("heads", heads.to_string()),
                ("scale", number(*scale)),
                ("max", number(*max)),
            ];
            [numbers.to_vec(), flag("symmetric", *symmetric)].concat()
        }
        Op::RelativeBias {
            buckets,
            max_distance,
            bidirectional,
            ahead,
        } => {
            let numbers = [
                ("buckets", buckets.to_string()),
                ("max_distance", max_distance.to_string()),
            ];
            let ahead = some([("ahead", text(&Some(ahead).filter(|n| **n != 0)))]);
            [numbers.to_vec(), flag("bidirectional", *bidirectional), ahead].concat()
        }
        Op::RelativeScores(relative) => of_relative(relative),
        Op::PairBias(pair) => some([("heads", text(&pair.heads))]),
        Op::TopKeys(n) | Op::ByBlock(n) | Op::BlockSums(n) => vec![("n", n.to_string())],
        Op::TopK(k) => vec![("k", k.to_string())],
        Op::GroupLimit { groups, keep, top } => {
            vec![
                ("groups", groups.to_string()),
                ("keep", keep.to_string()),
                ("top", top.to_string()),
            ]
        }
        Op::SparseMixer { k, eps } => vec![("k", k.to_string()), ("eps", number(*eps))],
        Op::Experts(options) => of_experts(options),
        Op::LinearScan(scan) => some([(
            "normalize",
            scan.normalize.map(|kind| format!("{kind:?}").to_lowercase()),
        )]),
        Op::RowConv {
            stride,
            padding,
            groups,
            dilation,
        } => vec![
            ("stride", stride.to_string()),
            ("padding", format!("[{}, {}]", padding.0, padding.1)),
            ("groups", groups.to_string()),
            ("dilation", dilation.to_string()),
        ],
        _ => vec![],
    }
}

fn number(x: Num) -> String {
    format!("{:?}", x.0)
}

fn list(numbers: &[Num]) -> String {
    match numbers {
        [first, .., last] if numbers.len() > 4 => {
            format!("[{first}, …, {last}] ({})", numbers.len())
        }
        _ => format!(
            "[{}]",
            numbers.iter().map(|x| number(*x)).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn text<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(T::to_string)
}

fn flag(name: &'static str, on: bool) -> Attributes {
    if on { vec![(name, "true".to_string())] } else { vec![] }
}

fn some<const N: usize>(pairs: [(&'static str, Option<String>); N]) -> Attributes {
    pairs
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect()
}

fn norm(eps: Num, offset: Num, groups: u64) -> Attributes {
    some([
        ("eps", Some(number(eps))),
        ("offset", Some(offset).filter(|x| x.0 != 0.0).map(number)),
        ("groups", Some(groups).filter(|n| *n != 1).map(|n| n.to_string())),
    ])
}

fn activation_name(activation: Activation) -> &'static str {
    Activation::NAMES
        .iter()
        .find(|row| row.1 == activation)
        .map_or("identity", |row| row.0)
}

fn of_rope(rope: &Rope) -> Attributes {
    let frequencies = match &rope.frequencies {
        Frequencies::Fixed { inv_freq, .. } => list(inv_freq),
        Frequencies::Dynamic { .. } => "dynamic".to_string(),
        Frequencies::ByLength { .. } => "by length".to_string(),
        Frequencies::Doubling { .. } => "doubling".to_string(),
    };
    let axes = match &rope.axes {
        Axes::One => None,
        Axes::Split { .. } => Some("split".to_string()),
        Axes::Alternate => Some("alternate".to_string()),
        Axes::Sections(sections) => Some(format!("{sections:?}")),
    };
    let all = some([
        ("width", Some(rope.width.to_string())),
        ("frequencies", Some(frequencies)),
        ("axes", axes),
    ]);
    [all, flag("interleaved", rope.interleaved)].concat()
}

fn of_attend(options: &Attend) -> Attributes {
    let numbers = some([
        ("window", text(&options.window)),
        ("chunk", text(&options.chunk)),
        ("scale", options.scale.map(number)),
        ("softcap", options.softcap.map(number)),
    ]);
    [flag("causal", options.causal), numbers, flag("lse", options.lse)].concat()
}

fn of_relative(relative: &Relative) -> Attributes {
    let buckets = relative.buckets.map(|(n, far)| format!("[{n}, {far}]"));
    [flag("of_key", relative.of_key), some([("buckets", buckets)])].concat()
}

fn of_experts(options: &Experts) -> Attributes {
    let numbers = some([
        ("count", Some(options.count.to_string())),
        (
            "identity",
            Some(options.identity).filter(|n| *n > 0).map(|n| n.to_string()),
        ),
        ("capacity", text(&options.capacity)),
    ]);
    [
        numbers,
        flag("scale_input", options.scale_input),
        flag("keep", options.keep),
    ]
    .concat()
}
