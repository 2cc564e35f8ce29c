//! Names and texts of a plan: they are shown to people and looked up in checkpoints.

use super::Check;
use crate::{Base, NameRules, ParamName, Parts};

/// Longest name or text, in bytes.
const MAX_TEXT: usize = 1024;
/// Most entries of one list of name rules.
const MAX_RULES: usize = 1024;
/// Most pieces that one tensor is joined of, or cut into.
const MAX_PIECES: usize = 1 << 16;

/// A name as messages show it: short, and without what moves the cursor.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

impl Check {
    /// A text that can be shown.
    pub(super) fn text(&mut self, what: &str, text: &str) {
        if text.len() > MAX_TEXT {
            self.say(format!("{what} is longer than {MAX_TEXT} bytes: `{}…`", shown(text)));
        } else if text.chars().any(char::is_control) {
            self.say(format!("{what} has control characters: `{}`", shown(text)));
        }
    }

    /// A name of one word: letters, digits, `_` and `-`.
    pub(super) fn simple_name(&mut self, what: &str, name: &str) {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > MAX_TEXT || !name.chars().all(fits) {
            self.say(format!(
                "the name of {what} is made of letters, digits, `_` and `-`, not `{}`",
                shown(name)
            ));
        }
    }

    /// Family and name rules.
    pub(super) fn names_of(&mut self, plan: &crate::ModelPlan) {
        self.simple_name("the family", &plan.family);
        let rules = &plan.names;
        let counts = [
            ("root", rules.root.len()),
            ("tied", rules.tied.len()),
            ("rename", rules.rename.len()),
            ("packed", rules.packed.len()),
            ("joined", rules.joined.len()),
            ("ignore", rules.ignore.len()),
        ];
        for (what, count) in counts {
            if count > MAX_RULES {
                return self.say(format!(
                    "`names.{what}` has {count} entries; at most {MAX_RULES} are possible"
                ));
            }
        }
        for text in rules.root.iter().chain(&rules.ignore) {
            self.text("an entry of `names`", text);
        }
        self.rewrites(rules);
        self.ties(rules);
    }

    fn rewrites(&mut self, rules: &NameRules) {
        for (written, others) in rules.rename.iter().chain(&rules.joined) {
            self.text("an entry of `names`", written);
            others.iter().for_each(|other| self.text("an entry of `names`", other));
            if others.len() > MAX_PIECES {
                self.say(format!(
                    "the entry `{}` of `names` has {} sides",
                    shown(written),
                    others.len()
                ));
            }
        }
        for (written, parts) in &rules.joined {
            if parts.is_empty() {
                self.say(format!("`names.joined` makes `{}` of no tensors", shown(written)));
            }
        }
        for packed in &rules.packed {
            self.text("an entry of `names.packed`", &packed.written);
            self.text("an entry of `names.packed`", &packed.from);
            let Some(part) = &packed.part else { continue };
            let (parts, whole) = match &part.of {
                Parts::Equal(n) => (*n, true),
                Parts::Rows(rows) => (
                    rows.len() as u64,
                    rows.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)).is_some(),
                ),
            };
            if part.index >= parts || parts > MAX_PIECES as u64 || !whole {
                let written = shown(&packed.written);
                self.say(format!("`names.packed`: `{written}` is part {} of {parts}", part.index));
            }
        }
    }

    fn ties(&mut self, rules: &NameRules) {
        for (left, right) in &rules.tied {
            for side in [left, right] {
                self.text("an entry of `names.tied`", &side.path);
            }
            if below(right, left) {
                let (left, right) = (shown(&left.path), shown(&right.path));
                self.say(format!("`names.tied` ties `{left}` to `{right}`, which lies within it"));
            }
        }
    }
}

/// True if `inner` is `outer` or lies below it.
fn below(inner: &ParamName, outer: &ParamName) -> bool {
    let same_base = matches!(
        (inner.base, outer.base),
        (Base::Root, Base::Root) | (Base::File, Base::File)
    );
    let rest = inner.path.strip_prefix(&outer.path);
    same_base && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
