//! Names that files may give to equations, values, blocks and arguments.

use crate::diagnostic::Diagnostic;
use crate::read::tree::Entry;

/// Names the language gives a meaning of its own.
pub(crate) const MEANINGFUL: &[&str] = &[
    "x",
    "i",
    "stack",
    "count",
    "carry",
    "config",
    "tokens",
    "positions",
    "input",
];

/// Words CEL keeps for itself, and its literals that look like names.
pub(crate) const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
    "true",
    "false",
    "null",
];

/// What is wrong with naming an equation, value, block or argument (`what`) so, if anything.
pub(super) fn refuse_name(name: &str, what: &str, entry: &Entry) -> Option<Diagnostic> {
    let reason = if MEANINGFUL.contains(&name) {
        "the language gives this name a meaning of its own"
    } else {
        reserved_word(name)?
    };
    Some(
        Diagnostic::error(format!("`{name}` cannot be the name of {what}"))
            .primary(entry.key.clone())
            .note(reason)
            .help("choose another name"),
    )
}

/// Why equations cannot use `name` at all, if they cannot.
pub(crate) fn reserved_word(name: &str) -> Option<&'static str> {
    if RESERVED.contains(&name) {
        Some("equations cannot use this word as a name")
    } else if !is_identifier(name) {
        Some("a name is letters, digits and `_`, and does not start with a digit")
    } else {
        None
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}
