//! What happened to every tensor, as a value and as text.

use crate::Origin;
use crate::infer::TypeError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Lines shown of each kind of finding.
const SHOWN: usize = 12;

/// A tensor that the plan needs and the checkpoint does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name as written, root included.
    pub name: String,
    /// Every name that was looked for, this one first: renames and ties.
    pub tried: Vec<String>,
    /// Where it is needed.
    pub origin: Origin,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}missing tensor `{}`", self.origin.lead(), self.name)?;
        if self.tried.len() > 1 {
            let others: Vec<String> = self.tried[1..].iter().take(4).map(|name| format!("`{name}`")).collect();
            write!(f, " (nor {})", others.join(", "))?;
        }
        f.write_str(&self.origin.trail())
    }
}

/// The outcome of a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindReport {
    /// The root that was found.
    pub root: String,
    /// Number of tensors of the checkpoint that are used.
    pub bound: usize,
    /// (wanted, read): tensors that the file leaves out and that are read from another by a tie.
    pub tied: Vec<(String, String)>,
    /// (wanted, stored): tensors that are pieces of stored ones. Those of all experts are one, with `{e}`.
    pub packed: Vec<(String, String)>,
    /// (wanted, stored): tensors that are several stored ones, joined.
    pub joined: Vec<(String, Vec<String>)>,
    /// Tensors that nothing reads and that are copies by a tie.
    pub copies: Vec<String>,
    /// Tensors that nothing reads and that the family ignores by name.
    pub ignored: Vec<String>,
    /// Error: tensors that are needed and not there.
    pub missing: Vec<Missing>,
    /// Error: tensors that nothing used, tied or ignored.
    pub unused: Vec<String>,
    /// Error: tensors of which only pieces are used, with what nothing used.
    pub partial: Vec<(String, String)>,
    /// Error: what does not fit.
    pub mismatched: Vec<TypeError>,
    /// Heads that this checkpoint does not have, with the reason.
    pub unavailable: Vec<(String, String)>,
}

impl BindReport {
    /// True if there is no error: nothing missing, unused or mismatched.
    pub fn is_ok(&self) -> bool {
        self.errors() == 0
    }

    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.missing.len() + self.unused.len() + self.partial.len() + self.mismatched.len()
    }
}

impl fmt::Display for BindReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors bound", self.bound)?;
        if !self.root.is_empty() {
            write!(f, " below `{}`", self.root)?;
        }
        let counts = [
            (self.tied.len(), "tied"),
            (self.packed.len(), "packed"),
            (self.joined.len(), "joined"),
            (self.copies.len(), "copies"),
            (self.ignored.len(), "ignored"),
            (self.missing.len(), "missing"),
            (self.unused.len(), "unused"),
            (self.partial.len(), "used in part"),
            (self.mismatched.len(), "mismatched"),
        ];
        for (count, word) in counts.iter().filter(|row| row.0 > 0) {
            write!(f, ", {count} {word}")?;
        }
        writeln!(f)?;
        for (left, right) in self.tied.iter().take(SHOWN) {
            writeln!(f, "tied: `{left}` is read from `{right}`")?;
        }
        lines(f, "packed: ", self.packed.iter().map(piece))?;
        lines(f, "joined: ", self.joined.iter().map(join))?;
        lines(
            f,
            "",
            self.missing
                .iter()
                .map(|missing| (pattern(&missing.name), missing.to_string())),
        )?;
        lines(
            f,
            "unused tensor ",
            self.unused.iter().map(|name| (pattern(name), format!("`{name}`"))),
        )?;
        let partial = |(name, unused): &(String, String)| {
            (
                pattern(name),
                format!("tensor `{name}` is used in part only: nothing used {unused}"),
            )
        };
        lines(f, "", self.partial.iter().map(partial))?;
        lines(
            f,
            "",
            self.mismatched
                .iter()
                .map(|error| (pattern(&error.to_string()), error.to_string())),
        )?;
        for (head, reason) in &self.unavailable {
            writeln!(f, "head `{head}` is unavailable: {reason}")?;
        }
        Ok(())
    }
}

fn piece((wanted, stored): &(String, String)) -> (String, String) {
    (pattern(wanted), format!("`{wanted}` is a piece of `{stored}`"))
}

fn join((wanted, stored): &(String, Vec<String>)) -> (String, String) {
    (pattern(wanted), format!("`{wanted}` is `{}`", stored.join("`, `")))
}

/// Prints findings that differ in numbers only (layers, experts) as one line.
fn lines(f: &mut fmt::Formatter<'_>, lead: &str, items: impl Iterator<Item = (String, String)>) -> fmt::Result {
    let mut groups: Vec<(String, usize)> = Vec::new();
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for (key, text) in items {
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((text, 0));
        } else {
            groups[place].1 += 1;
        }
    }
    for (text, more) in groups.iter().take(SHOWN) {
        match more {
            0 => writeln!(f, "{lead}{text}")?,
            more => writeln!(f, "{lead}{text} (and {more} more of that kind)")?,
        }
    }
    if groups.len() > SHOWN {
        writeln!(f, "… and {} more", groups.len() - SHOWN)?;
    }
    Ok(())
}

/// The text with every run of digits replaced.
fn pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            c => out.push(c),
        }
    }
    out
}
