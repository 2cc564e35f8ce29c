//! Names of tensors: how a plan's names meet those of a checkpoint (section 5 of the language).

use serde::{Deserialize, Serialize};

/// What a name is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Base {
    /// The root, the one of `NameRules::root` that the checkpoint uses.
    Root,
    /// The top of the file.
    File,
}

/// The name of a tensor in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
pub struct NameRules {
    /// Prefixes; the first that begins some tensor's name is the root.
    pub root: Vec<String>,
    /// (left, right): a missing `<left>.s` is read from `<right>.s`.
    pub tied: Vec<(ParamName, ParamName)>,
    /// The value `tied` of the family: ties apply.
    pub ties_apply: bool,
    /// (written, in files): alternative spellings of runs of whole segments, `*` for one segment.
    pub rename: Vec<(String, Vec<String>)>,
    /// Globs of tensors that may stay unused; `*` crosses dots.
    pub ignore: Vec<String>,
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
