//! The functions of the engine: one table of signatures, one handler each.

mod attention;
mod call;
mod experts;
mod matrices;
mod mixers;
mod norms;
mod numbers;
mod pointwise;
mod reference;
mod rope;
mod shapes;

use crate::compile::R;
use crate::value::Val;

pub(crate) use call::Call;
pub use reference::{FunctionDoc, reference, signatures};
pub(crate) use rope::HANDLED as HANDLED_BY_ROPE;

/// A function of the engine.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// As documentation and messages show it.
    pub(crate) signature: &'static str,
    /// Lines of Markdown: shapes, formula, every option with its default, the source.
    pub(crate) doc: &'static [&'static str],
    /// Fewest and most positional arguments.
    pub(crate) arity: (usize, usize),
    /// Names its last map may hold.
    pub(crate) options: &'static [&'static str],
    pub(crate) run: for<'c, 'a, 'p> fn(Call<'c, 'a, 'p>) -> R<Val>,
}

/// Writes a table of functions: `/// doc`, then `name(arity) [options] "signature" => handler`.
macro_rules! functions {
    ($(
        $(#[doc = $doc:literal])+
        $name:literal $min:literal..=$max:literal [$($option:literal),*] $signature:literal => $run:path;
    )*) => {
        &[$(Function {
            name: $name,
            signature: $signature,
            doc: &[$($doc),+],
            arity: ($min, $max),
            options: &[$($option),*],
            run: $run,
        }),*]
    };
}
pub(crate) use functions;

/// The tables with the titles of their sections.
const TABLES: [(&str, &[Function]); 10] = [
    ("Plan values", numbers::FUNCTIONS),
    ("Rotary parameters", rope::FUNCTIONS),
    ("Numbers and tensors, elementwise", numbers::ELEMENTWISE),
    ("Parameters and matrices", matrices::FUNCTIONS),
    ("Norms", norms::FUNCTIONS),
    ("Activations, limits, reductions", pointwise::FUNCTIONS),
    ("Heads, features, rows", shapes::FUNCTIONS),
    ("Attention and score biases", attention::FUNCTIONS),
    ("Mixture of experts", experts::FUNCTIONS),
    ("Convolutions and scans", mixers::FUNCTIONS),
];

/// Every function.
fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().flat_map(|(_, table)| table.iter())
}

/// The function called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    all().find(|f| f.name == name)
}

/// All names, for suggestions.
pub(crate) fn names() -> Vec<&'static str> {
    all().map(|f| f.name).collect()
}
