//! Names of tensors while equations are evaluated (section 5 of the language).

use sli_model::{Base, ParamName};

/// A place in the tree of modules: `layers.3.self_attn`, relative to root or to the top of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) base: Base,
    /// Dotted, without a dot at the ends; may be empty.
    pub(crate) text: String,
}

impl Path {
    /// The root itself.
    pub(crate) fn root() -> Path {
        Path {
            base: Base::Root,
            text: String::new(),
        }
    }

    /// A name as written in an equation: relative, `.`, `~from.root`, `/from.the.top`.
    pub(crate) fn join(&self, name: &str) -> Path {
        if let Some(rest) = name.strip_prefix('/') {
            return Path {
                base: Base::File,
                text: trimmed(rest),
            };
        }
        if let Some(rest) = name.strip_prefix('~') {
            return Path {
                base: Base::Root,
                text: trimmed(rest),
            };
        }
        let name = trimmed(name);
        let text = match (self.text.as_str(), name.as_str()) {
            (_, "") => self.text.clone(),
            ("", _) => name,
            (path, _) => format!("{path}.{name}"),
        };
        Path { base: self.base, text }
    }

    /// The tensor of this name.
    pub(crate) fn param(self) -> ParamName {
        ParamName {
            base: self.base,
            path: self.text,
        }
    }
}

fn trimmed(text: &str) -> String {
    text.trim_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_from_root_or_absolute() {
        let layer = Path::root().join("layers.3.");
        assert_eq!(layer.join("self_attn").join("q_proj").text, "layers.3.self_attn.q_proj");
        assert_eq!(layer.join("."), layer);
        assert_eq!(layer.join("~shared").text, "shared");
        assert_eq!(
            layer.join("/lm_head"),
            Path {
                base: Base::File,
                text: "lm_head".into()
            }
        );
        assert_eq!(
            Path::root().join("/a").join("b"),
            Path {
                base: Base::File,
                text: "a.b".into()
            }
        );
    }
}
