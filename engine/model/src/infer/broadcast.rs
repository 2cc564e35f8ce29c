//! Broadcasting (section 4 of the language).

use super::types::{rows_of, show};
use super::{Dim, SetId, Sets};

/// The shape of an elementwise op of two tensors: trailing dims are equal or 1, and a tensor `[N]` whose
/// dim is a token set is a column `[N, 1, ..]` against anything but another `[N]`.
///
/// The error is the rest of a sentence that begins with the op.
pub(super) fn broadcast(a: &[Dim], b: &[Dim], sets: &Sets) -> Result<Vec<Dim>, String> {
    if let (Some(x), Some(y)) = (rows_of(a), rows_of(b))
        && x != y
    {
        return Err(mixed(x, y, sets));
    }
    let (column_a, column_b) = (column(a, b), column(b, a));
    align(&column_a, &column_b).map_err(|why| format!("cannot combine {} with {}: {why}", show(a), show(b)))
}

fn mixed(a: SetId, b: SetId, sets: &Sets) -> String {
    format!("mixes two token sets: {} and {}", sets.name(a), sets.name(b))
}

/// `x` with the ones of a column, if it is one against `other`.
fn column(x: &[Dim], other: &[Dim]) -> Vec<Dim> {
    let mut dims = x.to_vec();
    if let [Dim::Rows(_)] = x {
        let rank = if rows_of(other).is_some() || other.is_empty() {
            other.len()
        } else {
            other.len() + 1
        };
        dims.resize(rank.max(1), Dim::Size(1));
    }
    dims
}

fn align(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, String> {
    let rank = a.len().max(b.len());
    let from_end = |dims: &[Dim], k: usize| dims.len().checked_sub(k).map_or(Dim::Size(1), |at| dims[at]);
    let mut out = Vec::with_capacity(rank);
    for k in (1..=rank).rev() {
        out.push(match (from_end(a, k), from_end(b, k)) {
            (x, y) if x == y => x,
            (Dim::Size(1), y) => y,
            (x, Dim::Size(1)) => x,
            (x, y) => return Err(clash(x, y)),
        });
    }
    if out.iter().skip(1).any(|dim| matches!(dim, Dim::Rows(_) | Dim::Seqs(_))) {
        return Err("the rows would not be the first dim of the result".to_string());
    }
    Ok(out)
}

fn clash(x: Dim, y: Dim) -> String {
    let hint = match (x, y) {
        (Dim::Rows(_), Dim::Size(_)) | (Dim::Size(_), Dim::Rows(_)) => {
            "; `per_head` makes [tokens, heads] fit [tokens, heads, width]"
        }
        _ => "",
    };
    format!("{x} meets {y}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dim::{Rows, Size};

    const N: Dim = Rows(SetId(0));
    const M: Dim = Rows(SetId(1));

    fn of(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, String> {
        let sets = Sets::new(vec!["the tokens of `encoder`".into(), "the tokens of `decoder`".into()]);
        let result = broadcast(a, b, &sets);
        assert_eq!(
            result.is_ok(),
            broadcast(b, a, &sets).is_ok(),
            "broadcasting is symmetric"
        );
        result
    }

    #[test]
    fn a_token_column_scales_rows_of_any_rank() {
        assert_eq!(of(&[N], &[N, Size(4), Size(8)]), Ok(vec![N, Size(4), Size(8)]));
        assert_eq!(of(&[N], &[Size(4)]), Ok(vec![N, Size(4)]));
        assert_eq!(of(&[N], &[Size(2), Size(3)]), Ok(vec![N, Size(2), Size(3)]));
        assert_eq!(of(&[N], &[N]), Ok(vec![N]));
        assert_eq!(of(&[N], &[]), Ok(vec![N]));
    }

    #[test]
    fn trailing_dims_are_equal_or_one() {
        assert_eq!(
            of(&[N, Size(4), Size(1)], &[N, Size(1), Size(8)]),
            Ok(vec![N, Size(4), Size(8)])
        );
        assert_eq!(of(&[N, Size(6)], &[Size(6)]), Ok(vec![N, Size(6)]));
        assert_eq!(
            of(&[N, Size(6)], &[Size(5)]).unwrap_err(),
            "cannot combine [tokens, 6] with [5]: 6 meets 5"
        );
    }

    #[test]
    fn what_needs_per_head_says_so() {
        assert_eq!(
            of(&[N, Size(4)], &[N, Size(4), Size(4)]).unwrap_err(),
            "cannot combine [tokens, 4] with [tokens, 4, 4]: tokens meets 4; `per_head` makes [tokens, heads] fit [tokens, heads, width]"
        );
    }

    #[test]
    fn two_token_sets_do_not_mix() {
        assert_eq!(
            of(&[N, Size(4)], &[M, Size(4)]).unwrap_err(),
            "mixes two token sets: the tokens of `encoder` and the tokens of `decoder`"
        );
        assert!(of(&[N], &[M]).is_err());
    }

    #[test]
    fn rows_stay_first() {
        assert!(of(&[N, Size(4)], &[Size(1), Size(1), Size(4)]).is_err());
    }
}
