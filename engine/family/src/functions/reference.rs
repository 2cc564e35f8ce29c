//! The reference of the functions, for the command line and for `docs/functions.md`.

use std::fmt::Write as _;

use super::TABLES;

/// A function as its documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDoc {
    /// The name that equations call.
    pub name: &'static str,
    /// Arguments, and options with their defaults.
    pub signature: &'static str,
    /// Markdown: shapes, formula, every option, errors that matter, the source of the formula.
    pub doc: String,
    /// Title of its section.
    pub section: &'static str,
}

/// What the syntax provides beside the tables: `has` takes a path, not a value.
const HAS: (&str, &str, &str) = (
    "has",
    "has(config.a.b)",
    "Whether the path leads to a value that is not null. A step of it that is missing or null counts as missing.",
);

/// Every function, in the order of `docs/functions.md`.
pub fn signatures() -> Vec<FunctionDoc> {
    let (name, signature, doc) = HAS;
    let mut docs = vec![FunctionDoc {
        name,
        signature,
        doc: doc.to_owned(),
        section: TABLES[0].0,
    }];
    for (section, table) in TABLES {
        docs.extend(table.iter().map(|function| FunctionDoc {
            name: function.name,
            signature: function.signature,
            doc: text(function.doc),
            section,
        }));
    }
    docs
}

/// The lines of doc comments without the space after their slashes.
fn text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.join("\n")
}

/// How the document begins.
const INTRODUCTION: &str = "\
# Functions

Every function that an equation of a family may call. This file is generated from the engine's own tables by
`cargo xtask generate`; `sli-pipe families functions [NAME]` prints the same. The language around them (equations, names of
tensors, stacks, points) is [language.md](language.md); how to describe a model is [families.md](families.md).

`[..]` are any leading dims. N tokens (rows of a packed batch), M the tokens of another set, S sequences, H heads, D the
width of a head, E experts, C features. A `'module'` names `<module>.weight` and, where the checkpoint has it,
`<module>.bias`, relative to the block's path; where a function takes `'module' or W`, a tensor replaces the weight.
Options are a map after the arguments, `{'name': value}`; the value in brackets is the default; null means the default.
Norms, softmax, exponentials, scans and rotary angles compute in f32 and return the type of x. \"State\" is what a
step-by-step run keeps per sequence. A block of the family with the name of a function replaces it there.
";

/// `docs/functions.md`.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut section = "";
    let docs = signatures();
    let _ = writeln!(text, "\n| section | functions |\n|---|---|");
    for (title, _) in TABLES {
        let names = docs.iter().filter(|function| function.section == title);
        let links: Vec<String> = names.map(|f| format!("[`{}`](#{})", f.name, f.name)).collect();
        let _ = writeln!(text, "| {title} | {} |", links.join(" "));
    }
    for function in &docs {
        if function.section != section {
            section = function.section;
            let _ = writeln!(text, "\n## {section}");
        }
        let doc = escaped(&function.doc);
        let _ = writeln!(text, "\n### {}\n`{}`\n\n{doc}", function.name, function.signature);
    }
    text
}

/// The text with the asterisks of products escaped, which Markdown would take for emphasis.
fn escaped(doc: &str) -> String {
    let mut out = String::with_capacity(doc.len());
    let mut code = false;
    let mut before = '\n';
    let mut rest = doc.chars().peekable();
    while let Some(c) = rest.next() {
        code ^= c == '`';
        let inside_word = !before.is_whitespace() && rest.peek().is_some_and(|next| !next.is_whitespace());
        if c == '*' && !code && inside_word {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_says_what_it_is_called_with_and_explains_every_option() {
        for function in super::super::all() {
            let (name, doc) = (function.name, text(function.doc));
            assert!(function.signature.contains(&format!("{name}(")), "{name}");
            assert!(doc.ends_with(['.', ')']), "{name}: {doc}");
            for option in function.options {
                assert!(
                    doc.contains(&format!("`{option}`")),
                    "{name} does not explain `{option}`"
                );
                assert!(function.signature.contains(option), "{name} does not show `{option}`");
            }
            assert_eq!(doc.matches('`').count() % 2, 0, "{name}: a back-tick without its pair");
        }
    }

    #[test]
    fn products_are_no_emphasis() {
        assert_eq!(
            escaped("[.., H*D] a * b `c*d`\n* item"),
            "[.., H\\*D] a * b `c*d`\n* item"
        );
        let text = reference();
        assert!(text.contains("\n### attend\n`attend(q, k, v, {causal"), "{text}");
        assert_eq!(text.matches("\n## ").count(), TABLES.len());
    }
}
