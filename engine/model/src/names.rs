//! Names of tensors: how a plan's names meet those of a checkpoint (section 5 of the language).

use serde::{Deserialize, Serialize};

/// What a name is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Base {
    /// The root, the one of `NameRules::root` that the checkpoint uses.
    Root,
    /// The top of the file.
    File,
}

/// The name of a tensor in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ParamName {
    /// What `path` is relative to.
    pub base: Base,
    /// Dotted name below it; may hold `{n}` or `{e}`.
    pub path: String,
}

impl ParamName {
    /// A name below the root.
    pub fn root(path: impl Into<String>) -> ParamName {
        ParamName {
            base: Base::Root,
            path: path.into(),
        }
    }

    /// A name from the top of the file.
    pub fn file(path: impl Into<String>) -> ParamName {
        ParamName {
            base: Base::File,
            path: path.into(),
        }
    }

    /// The full name as written, before renames and ties.
    pub fn full(&self, root: &str) -> String {
        match self.base {
            Base::Root => format!("{root}{}", self.path),
            Base::File => self.path.clone(),
        }
    }
}

/// The `[names]` of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NameRules {
    /// Prefixes; the first that begins some tensor's name is the root.
    pub root: Vec<String>,
    /// (left, right): a missing `<left>.s` is read from `<right>.s`.
    pub tied: Vec<(ParamName, ParamName)>,
    /// The value `tied` of the family: ties apply.
    pub ties_apply: bool,
    /// (written, in files): alternative spellings of runs of whole segments, `*` for one segment.
    pub rename: Vec<(String, Vec<String>)>,
    /// Tensors that may be pieces of stored ones, in the order in which they are tried.
    pub packed: Vec<Packed>,
    /// (written, in files): a tensor that may be several stored ones, joined along dim 0.
    pub joined: Vec<(String, Vec<String>)>,
    /// Globs of tensors that may stay unused; `*` crosses dots.
    pub ignore: Vec<String>,
}

/// An entry of `packed`: where equations want `written` and the file has none, it may be cut out of `from`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// A run of whole segments of the wanted name; `{e}` is a number, the index of dim 0 of the stored tensor.
    pub written: String,
    /// What stands in its place in the name of the stored tensor.
    pub from: String,
    /// Which rows of what the index leaves; `None`: all.
    pub part: Option<Part>,
    /// What the index leaves is a matrix stored the other way round: its columns are the rows that are cut.
    pub transposed: bool,
    /// Rows of the parts alternate.
    pub interleaved: bool,
}

/// Part `index` of several.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Which one, from 0.
    pub index: u64,
    /// Of which parts.
    pub of: Parts,
}

/// How rows are divided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Parts {
    /// So many equal parts.
    Equal(u64),
    /// Parts with so many rows each.
    Rows(Vec<u64>),
}

impl NameRules {
    /// The root of a checkpoint with these tensors: the first entry of `root` that begins some tensor's
    /// name. Without one the first entry, whose tensors will then be reported as missing.
    pub fn root_of<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> &str {
        let begins = |root: &&String| names.clone().any(|name| name.starts_with(root.as_str()));
        self.root
            .iter()
            .find(begins)
            .or(self.root.first())
            .map_or("", String::as_str)
    }

    /// True if a tensor of that full name may stay unused.
    pub fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|pattern| glob_matches(pattern, name))
    }
}

/// True if `pattern` matches the whole of `text`; `*` stands for any run of characters, dots included.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names_across_dots() {
        assert!(glob_matches(
            "*.rotary_emb.inv_freq",
            "model.layers.3.self_attn.rotary_emb.inv_freq"
        ));
        assert!(glob_matches("h.*.attn.*bias", "h.0.attn.masked_bias"));
        assert!(glob_matches("a", "a") && glob_matches("*", "") && glob_matches("a*a", "aa"));
        assert!(!glob_matches("a", "ab") && !glob_matches("a*a", "a") && !glob_matches("*.bias", "h.bias.x"));
        assert!(!glob_matches("*.bias", "bias"), "the dot must be there");
    }

    #[test]
    fn the_first_root_that_begins_a_name_is_taken() {
        let rules = NameRules {
            root: vec!["model.".into(), "".into()],
            ..NameRules::default()
        };
        assert_eq!(
            rules.root_of(["lm_head.weight", "model.norm.weight"].into_iter()),
            "model."
        );
        assert_eq!(rules.root_of(["norm.weight"].into_iter()), "");
        let strict = NameRules {
            root: vec!["model.".into()],
            ..NameRules::default()
        };
        assert_eq!(strict.root_of(["norm.weight"].into_iter()), "model.");
    }
}
