//! Entries of `packed` and `joined`: other ways to get a tensor that the file does not have by its name
//! (section 5 of the language).

use super::rename::{Renames, rewrite, segments};
use super::source::Piece;
use super::{Source, TensorInfo};
use crate::{NameRules, Packed};
use std::collections::HashMap;
use std::sync::Arc;

/// The `packed` and `joined` entries of a family, cut into segments.
pub(super) struct Pieces {
    packed: Vec<(Vec<String>, Vec<String>, Arc<Packed>)>,
    joined: Vec<(Vec<String>, Vec<Vec<String>>)>,
}

/// One way to get a tensor. Names may hold the placeholder of a numbered parameter.
pub(super) enum Way {
    /// A piece of the stored tensor `name`; `{e}` of the entry stands for `index`.
    Piece {
        name: String,
        index: Option<String>,
        rule: Arc<Packed>,
    },
    /// The tensors of these names, each with its spellings, joined.
    Joined(Vec<Vec<String>>),
}

/// The number that a placeholder stands for.
#[derive(Clone, Copy)]
pub(super) struct Number<'a> {
    pub(super) placeholder: &'a str,
    pub(super) at: u64,
    pub(super) of: u64,
}

impl Pieces {
    pub(super) fn new(rules: &NameRules) -> Pieces {
        let packed = |rule: &Packed| (segments(&rule.written), segments(&rule.from), Arc::new(rule.clone()));
        let joined = |(written, parts): &(String, Vec<String>)| {
            (segments(written), parts.iter().map(|part| segments(part)).collect())
        };
        Pieces {
            packed: rules.packed.iter().map(packed).collect(),
            joined: rules.joined.iter().map(joined).collect(),
        }
    }

    /// Every way to get a tensor with these spellings: entries in their order, pieces first.
    pub(super) fn ways(&self, spellings: &[&str], renames: &Renames) -> Vec<Way> {
        let mut ways = Vec::new();
        for (written, from, rule) in &self.packed {
            for found in spellings.iter().filter_map(|name| rewrite(name, written, from)) {
                let piece = |name| Way::Piece {
                    name,
                    index: found.index.clone(),
                    rule: Arc::clone(rule),
                };
                ways.extend(renames.candidates(&found.name).into_iter().map(piece));
            }
        }
        for (written, parts) in &self.joined {
            for name in spellings {
                let part = |part: &Vec<String>| Some(renames.candidates(&rewrite(name, written, part)?.name));
                ways.extend(parts.iter().map(part).collect::<Option<_>>().map(Way::Joined));
            }
        }
        ways
    }
}

impl Way {
    /// The names that it looks for, one for each tensor.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Way::Piece { name, .. } => vec![name],
            Way::Joined(parts) => parts.iter().map(|part| part[0].as_str()).collect(),
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self, Way::Joined(_))
    }

    /// What it gives, if all its tensors are there.
    ///
    /// # Errors
    /// A stored tensor that cannot be cut like this.
    pub(super) fn take(
        &self,
        number: Option<Number<'_>>,
        index: &HashMap<&str, u32>,
        tensors: &[TensorInfo],
    ) -> Option<Result<Source, String>> {
        let find = |name: &String| match number {
            Some(n) => index.get(name.replace(n.placeholder, &n.at.to_string()).as_str()),
            None => index.get(name.as_str()),
        };
        match self {
            Way::Piece { name, index, rule } => {
                let tensor = *find(name)?;
                let at = match (index.as_deref(), number) {
                    (None, _) => None,
                    (Some(segment), Some(n)) if segment == n.placeholder => Some((n.at, Some(n.of))),
                    (Some(segment), _) => Some((segment.parse().ok()?, None)),
                };
                let piece = Piece::new(rule, tensor, &tensors[tensor as usize], at);
                Some(piece.map(|piece| Source::Piece(Box::new(piece))))
            }
            Way::Joined(parts) => {
                let found = parts.iter().map(|part| part.iter().find_map(find).copied());
                Some(Ok(Source::Joined(found.collect::<Option<_>>()?)))
            }
        }
    }
}
