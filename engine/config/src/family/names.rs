//! Names that files may give to equations, values, blocks and arguments.

use crate::diagnostic::Diagnostic;
use crate::read::tree::Entry;

/// Names the language gives a meaning of its own.
const MEANINGFUL: &[&str] = &[
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

/// Words CEL keeps for itself.
const CEL_RESERVED: &[&str] = &[
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
];

/// CEL's literals that look like names.
const CEL_LITERALS: &[&str] = &["true", "false", "null"];

/// What is wrong with naming an equation, value, block or argument (`what`) so, if anything.
pub(super) fn refuse_name(name: &str, what: &str, entry: &Entry) -> Option<Diagnostic> {
    let reason = if MEANINGFUL.contains(&name) {
        "the language gives this name a meaning of its own"
    } else if CEL_RESERVED.contains(&name) || CEL_LITERALS.contains(&name) {
        "equations cannot use this word as a name"
    } else if !is_identifier(name) {
        "a name is letters, digits and `_`, and does not start with a digit"
    } else {
        return None;
    };
    Some(
        Diagnostic::error(format!("`{name}` cannot be the name of {what}"))
            .primary(entry.key.clone())
            .note(reason)
            .help("choose another name"),
    )
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
}
