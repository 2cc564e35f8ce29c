//! The functions of the engine: one table of signatures, one handler each.

mod attention;
mod call;
mod experts;
mod matrices;
mod mixers;
mod norms;
mod numbers;
mod pointwise;
mod rope;
mod shapes;

use crate::compile::R;
use crate::value::Val;

pub(crate) use call::Call;
pub(crate) use rope::HANDLED as HANDLED_BY_ROPE;

/// A function of the engine.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// As documentation and messages show it.
    pub(crate) signature: &'static str,
    /// Fewest and most positional arguments.
    pub(crate) arity: (usize, usize),
    /// Names its last map may hold.
    pub(crate) options: &'static [&'static str],
    pub(crate) run: for<'c, 'a, 'p> fn(Call<'c, 'a, 'p>) -> R<Val>,
}

/// Writes a table of functions: `name(arity) [options] "signature" => handler`.
macro_rules! functions {
    ($($name:literal $min:literal..=$max:literal [$($option:literal),*] $signature:literal => $run:path;)*) => {
        &[$(Function { name: $name, signature: $signature, arity: ($min, $max), options: &[$($option),*], run: $run }),*]
    };
}
pub(crate) use functions;

const TABLES: [&[Function]; 9] = [
    numbers::FUNCTIONS,
    matrices::FUNCTIONS,
    norms::FUNCTIONS,
    pointwise::FUNCTIONS,
    shapes::FUNCTIONS,
    attention::FUNCTIONS,
    experts::FUNCTIONS,
    mixers::FUNCTIONS,
    rope::FUNCTIONS,
];

/// The function called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    TABLES.iter().flat_map(|t| t.iter()).find(|f| f.name == name)
}

/// All names, for suggestions.
pub(crate) fn names() -> Vec<&'static str> {
    TABLES.iter().flat_map(|t| t.iter()).map(|f| f.name).collect()
}

/// Name and signature of every function, in the order of the language's sections.
pub fn signatures() -> Vec<(&'static str, &'static str)> {
    TABLES
        .iter()
        .flat_map(|t| t.iter())
        .map(|f| (f.name, f.signature))
        .collect()
}
