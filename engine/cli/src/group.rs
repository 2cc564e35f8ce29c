//! Layers in a row that are alike, as one row of a table.

/// Some units that differ in their number only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group<K> {
    first: String,
    last: String,
    /// How many.
    pub(crate) count: u64,
    /// What is said of each of them.
    pub(crate) key: K,
}

/// Puts neighbours together: layers of one stack (`decoder.3`, `decoder.4`) of which the same is said.
pub(crate) fn group<K: PartialEq>(units: impl IntoIterator<Item = (String, K)>) -> Vec<Group<K>> {
    let mut groups: Vec<Group<K>> = Vec::new();
    for (name, key) in units {
        match groups.last_mut() {
            Some(group) if group.key == key && stack(&name).is_some() && stack(&group.first) == stack(&name) => {
                group.last = name;
                group.count += 1;
            }
            _ => groups.push(Group {
                first: name.clone(),
                last: name,
                count: 1,
                key,
            }),
        }
    }
    groups
}

/// The stack of a layer: `decoder` of `decoder.3`; none for `embed` or `decoder.final`.
pub(crate) fn stack(unit: &str) -> Option<&str> {
    let (stack, index) = unit.rsplit_once('.')?;
    (!index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit())).then_some(stack)
}

impl<K> Group<K> {
    /// `decoder.0 … decoder.21`, or the one name.
    pub(crate) fn name(&self) -> String {
        if self.count == 1 {
            self.first.clone()
        } else {
            format!("{} … {}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_are_alike_are_one_row() {
        let names = [
            "embed",
            "decoder.0",
            "decoder.1",
            "decoder.2",
            "decoder.3",
            "other.0",
            "other.final",
            "head",
        ];
        let keys = [5, 7, 9, 9, 7, 7, 7, 7];
        let groups = group(names.map(str::to_owned).into_iter().zip(keys));
        let shown: Vec<String> = groups.iter().map(Group::name).collect();
        let want = [
            "embed",
            "decoder.0",
            "decoder.1 … decoder.2",
            "decoder.3",
            "other.0",
            "other.final",
            "head",
        ];
        assert_eq!(shown, want);
        assert_eq!((groups[2].count, groups[2].key), (2, 9));
    }

    #[test]
    fn layers_are_told_from_other_units() {
        assert_eq!(
            (stack("decoder.0"), stack("encoder.11")),
            (Some("decoder"), Some("encoder"))
        );
        assert_eq!(
            [stack("embed"), stack("decoder.final"), stack("head"), stack("a.")],
            [None; 4]
        );
    }
}
