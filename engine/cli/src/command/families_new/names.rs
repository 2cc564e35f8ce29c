//! Names of tensors as patterns, and guesses which unused tensor is which missing one.

use std::collections::BTreeMap;

/// The name with every number replaced by `*`.
pub(super) fn pattern(name: &str) -> String {
    let segment = |part: &str| {
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            "*".to_owned()
        } else {
            part.to_owned()
        }
    };
    name.split('.').map(segment).collect::<Vec<_>>().join(".")
}

/// Patterns with how many names have each and the first of them.
pub(super) fn grouped<'n>(names: impl Iterator<Item = &'n str>) -> BTreeMap<String, (usize, String)> {
    let mut groups = BTreeMap::new();
    for name in names {
        let entry = groups.entry(pattern(name)).or_insert_with(|| (0, name.to_owned()));
        entry.0 += 1;
    }
    groups
}

/// Renames `left = right` that would give missing tensors the place of unused ones: the patterns differ in one run of
/// segments, as often in the file as in the family, and no other pair is as near.
pub(super) fn renames(
    missing: &BTreeMap<String, (usize, String)>,
    unused: &BTreeMap<String, (usize, String)>,
) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (wanted, (count, _)) in missing {
        let mut near: Vec<(usize, String, String)> = unused
            .iter()
            .filter(|(_, (found, _))| found == count)
            .filter_map(|(has, _)| difference(wanted, has))
            .collect();
        near.sort_by(|a, b| b.cmp(a));
        let [(best, left, right), rest @ ..] = near.as_slice() else {
            continue;
        };
        let alone = rest.first().is_none_or(|next| next.0 < *best);
        if alone && *best >= 2 && !found.iter().any(|(l, r)| l == left || r == right) {
            found.push((left.clone(), right.clone()));
        }
    }
    found
}

/// How many segments two patterns share at their ends, and the runs between in which they differ.
fn difference(a: &str, b: &str) -> Option<(usize, String, String)> {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
    if a.last() != b.last() {
        return None;
    }
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let left = a.len().min(b.len()) - start;
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(left)
        .take_while(|(x, y)| x == y)
        .count();
    let run = |parts: &[&str]| parts[start..parts.len() - end].join(".");
    let (x, y) = (run(&a), run(&b));
    let plain = |run: &str| !run.is_empty() && !run.contains('*');
    (plain(&x) && plain(&y)).then_some((start + end, x, y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_stars() {
        assert_eq!(
            pattern("model.layers.11.mlp.experts.3.w1.weight"),
            "model.layers.*.mlp.experts.*.w1.weight"
        );
        let names = ["a.0.b", "a.1.b", "a.w1"];
        let groups = grouped(names.into_iter());
        assert_eq!(groups["a.*.b"], (2, "a.0.b".to_owned()));
        assert_eq!(groups.len(), 2);
    }

    #[test]
    fn a_tensor_that_only_changed_its_name_is_guessed() {
        let missing = grouped(["m.0.self_attn.q_proj.weight", "m.0.mlp.up.weight", "norm.weight"].into_iter());
        let unused = grouped(["m.0.self_attn.wq.weight", "m.0.ffn.up.weight", "other.bias"].into_iter());
        let renames = renames(&missing, &unused);
        assert!(renames.contains(&("q_proj".to_owned(), "wq".to_owned())), "{renames:?}");
        assert!(renames.contains(&("mlp".to_owned(), "ffn".to_owned())), "{renames:?}");
        assert_eq!(renames.len(), 2);
    }

    #[test]
    fn two_equally_near_names_are_no_guess() {
        let missing = grouped(["a.x.gate.weight"].into_iter());
        let unused = grouped(["a.x.w1.weight", "a.x.w2.weight"].into_iter());
        assert!(renames(&missing, &unused).is_empty());
    }
}
