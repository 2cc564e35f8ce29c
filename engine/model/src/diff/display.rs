//! A difference of plans as text, one thing a line.

use std::fmt::{self, Display, Formatter};

use super::{PlanDiff, SetDiff};

/// Most names of one kind that are listed.
const NAMES: usize = 8;

impl Display for PlanDiff {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "the plan is the same");
        }
        if let Some((from, to)) = &self.family {
            writeln!(f, "family: {from} -> {to}")?;
        }
        for part in &self.parts {
            match part.changes.as_slice() {
                [change] => writeln!(f, "{}: {change}", part.part)?,
                changes => {
                    writeln!(f, "{}:", part.part)?;
                    changes.iter().try_for_each(|change| writeln!(f, "  {change}"))?;
                }
            }
        }
        set(f, "points", &self.points)?;
        set(f, "tensors", &self.tensors)?;
        let mut rest = self.rules.iter().chain(&self.bound);
        rest.try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

fn set(f: &mut Formatter<'_>, what: &str, set: &SetDiff) -> fmt::Result {
    for (sign, names) in [('+', &set.added), ('-', &set.removed)] {
        if names.is_empty() {
            continue;
        }
        write!(f, "{what} {sign} {}", names[..names.len().min(NAMES)].join(", "))?;
        match names.len().saturating_sub(NAMES) {
            0 => writeln!(f)?,
            more => writeln!(f, " and {more} more")?,
        }
    }
    Ok(())
}
