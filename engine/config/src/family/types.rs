//! What a family file states, table by table, before `extends` and `include` are followed.
//!
//! Nothing here knows what an equation means: an [`Equation`] is text and a place. The order of entries is
//! the order of the file; it matters for `names.rename` and `[[stack]]` only.

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::Value;

use super::equation::{Equation, Equations, ValueDef};
use crate::source::{SourceFile, Span, Spanned};

/// A whole family file (`families/<id>.toml`), or a std file (`families/std/<name>.toml`).
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FamilyFile {
    /// The text this was read from.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
    /// Version of the language; 1.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// `llama`; of a std file its name, `std/moe` (its span is then empty).
    pub id: Spanned<String>,
    /// One line for lists; of a std file its name.
    pub title: String,
    /// The parent family's id.
    pub extends: Option<Spanned<String>>,
    /// Key of config.json whose map describes this family, as `text_config` of models with several parts; keys that the
    /// map lacks are read beside it.
    pub config: Option<String>,
    /// std files, in order; later wins.
    #[schemars(default)]
    pub include: Vec<Spanned<String>>,
    /// Names of values or blocks that the including family must have (std files).
    #[schemars(default)]
    pub needs: Vec<Spanned<String>>,
    /// A parent only, never detected.
    #[schemars(default, rename = "abstract")]
    pub is_abstract: bool,
    /// Alternatives of detection.
    #[schemars(default, rename = "match", schema_with = "crate::schema::matches")]
    pub matches: Vec<MatchTable>,
    /// Models of this family that are refused, with the reason.
    #[schemars(default)]
    pub refuse: Vec<Refuse>,
    /// Top-level keys of config.json that may be ignored -> why that is safe.
    #[schemars(default)]
    pub ignore_config: IndexMap<String, String>,
    /// Keys of config.json with the value they have when it lacks them.
    #[schemars(default)]
    pub defaults: IndexMap<String, Value>,
    /// `[values]`.
    #[schemars(default)]
    pub values: IndexMap<String, ValueDef>,
    /// `[args]`: arguments given by a part, with their defaults.
    #[schemars(default)]
    pub args: Equations,
    /// `[inputs]`: name -> kind (`images`, `frames`, `samples`, `rows`, `grid`, `ids`, `per_token`).
    #[schemars(default)]
    pub inputs: IndexMap<String, String>,
    /// `[names]`.
    #[schemars(default)]
    pub names: Names,
    /// `[embed]`.
    #[schemars(default)]
    pub embed: Equations,
    /// `[[stack]]`, in file order.
    #[schemars(default, rename = "stack")]
    pub stacks: Vec<StackFile>,
    /// `[layer.<class>]`.
    #[schemars(default, rename = "layer")]
    pub layers: IndexMap<String, Equations>,
    /// `[block.<name>]`.
    #[schemars(default, rename = "block")]
    pub blocks: IndexMap<String, BlockFile>,
    /// `[part.<name>]`.
    #[schemars(default, rename = "part")]
    pub parts: IndexMap<String, PartFile>,
    /// `[head]`.
    #[schemars(default)]
    pub head: Equations,
}

/// What detection reads of a family file.
#[derive(Clone, Debug)]
pub struct FamilyHeader {
    /// The text this was read from.
    pub file: Arc<SourceFile>,
    /// The family's id.
    pub id: Spanned<String>,
    /// A parent only, never detected.
    pub is_abstract: bool,
    /// Alternatives of detection; empty for a family that only parts name.
    pub matches: Vec<MatchTable>,
}

/// One `[match]` table: all its keys must hold.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MatchTable {
    /// Values of `model_type`.
    pub model_types: Option<Vec<String>>,
    /// Class names, of which `architectures` must have one.
    pub architectures: Option<Vec<String>>,
    /// A plan condition that sees `config` only.
    pub when: Option<Equation>,
    /// The table's heading.
    #[schemars(skip)]
    pub span: Span,
}

/// One `[[refuse]]` table.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Refuse {
    /// A child's entry replaces the inherited one of the same name.
    pub name: Option<String>,
    /// The model is refused if this plan condition is true.
    pub when: Equation,
    /// The reason, shown to the user.
    pub why: String,
}

/// `[names]`: how the names in equations relate to the names in a checkpoint.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Names {
    /// Roots to try in order; `None` inherits.
    pub root: Option<Vec<String>>,
    /// Missing module -> module it is read from.
    #[schemars(default)]
    pub tied: IndexMap<String, String>,
    /// Globs of tensors that may stay unused.
    #[schemars(default)]
    pub ignore: Vec<String>,
    /// What equations say -> what files may say instead, in order.
    #[schemars(default, schema_with = "crate::schema::rename")]
    pub rename: IndexMap<String, Vec<String>>,
    /// What equations say -> the stored tensor of which it is a piece, where the file does not have it by its name.
    #[schemars(default)]
    pub packed: IndexMap<String, PackedFile>,
    /// What equations say -> the stored tensors that it is, joined along dim 0, where the file does not have it by its
    /// name.
    #[schemars(default, schema_with = "crate::schema::joined")]
    pub joined: IndexMap<String, Vec<String>>,
}

/// One entry of `names.packed`: which piece of which stored tensor.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PackedFile {
    /// What stands in the stored name where the wanted one has the left side. `{e}` on the left is the index of dim 0 of
    /// the stored tensor.
    pub from: String,
    /// Which part of the rows: `[k, n]`, the k-th of n equal parts, or `[k, "sizes"]`, an equation for the list of sizes.
    #[schemars(schema_with = "crate::schema::part")]
    pub part: Option<PartOf>,
    /// The piece is stored as `[in, out]`: columns are cut.
    #[schemars(default)]
    pub transposed: bool,
    /// Rows of the parts alternate.
    #[schemars(default)]
    pub interleaved: bool,
}

/// `part` of an entry of `names.packed`.
#[derive(Clone, Debug)]
pub struct PartOf {
    /// Which part, from 0.
    pub index: u64,
    /// Of which.
    pub of: PartsFile,
}

/// How rows are divided in parts.
#[derive(Clone, Debug)]
pub enum PartsFile {
    /// So many equal ones.
    Equal(u64),
    /// An equation: so many equal ones, or the list of their sizes.
    Equation(Equation),
}

/// One `[[stack]]` table. Everything but the name is optional, because a child states what differs.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StackFile {
    /// The stack's name.
    pub name: Spanned<String>,
    /// Path of layer `{i}` below the root: a template with `{value}`s, not an equation.
    #[schemars(with = "Option<String>")]
    pub prefix: Option<Equation>,
    /// Number of layers.
    pub count: Option<Equation>,
    /// Class of each layer.
    pub layer: Option<LayerChoice>,
    /// The row field whose ids are the stack's token set.
    pub tokens: Option<String>,
    /// What enters the first layer.
    pub input: Option<Equation>,
    /// Applied to the output of the last layer; the key `final`.
    #[schemars(rename = "final")]
    pub final_: Option<Equation>,
    /// A stack that is off does not exist.
    pub when: Option<Equation>,
    /// Computed once per stack; the key `let`.
    #[schemars(default, rename = "let")]
    pub let_: Equations,
    /// Passed from layer to layer, with the value before layer 0.
    #[schemars(default)]
    pub carry: Equations,
    /// The file of `name` and `layer`.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
}

/// The key `layer` of a stack.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum LayerChoice {
    /// Every layer is of this class.
    One(Spanned<String>),
    /// The first case whose `when` holds.
    Cases(Vec<LayerCase>),
}

/// One entry of a list of layer classes.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LayerCase {
    /// The class, a `[layer.<class>]`.
    pub class: Spanned<String>,
    /// A plan condition that sees `i`; without one the case always holds.
    pub when: Option<Equation>,
}

/// `[block.<name>]`.
#[derive(Clone, Debug, JsonSchema)]
pub struct BlockFile {
    /// Arguments beside `x`, with default equations.
    #[schemars(default)]
    pub args: Equations,
    /// What the block does, for people.
    pub doc: Option<String>,
    /// The equations; `out` is the result.
    #[schemars(flatten)]
    pub equations: Equations,
    /// The file that states the block.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
    /// The block's name in its heading.
    #[schemars(skip)]
    pub span: Span,
}

/// `[part.<name>]`: another family run inside this one.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PartFile {
    /// The family's id, or an equation if it contains a quote.
    pub family: Option<Equation>,
    /// The part's config.
    pub config: Option<Equation>,
    /// Prefixes of its tensors, the first that begins a tensor's name is taken.
    #[schemars(default)]
    pub at: Vec<String>,
    /// Replaces the input of the part's first stack.
    pub input: Option<Equation>,
    /// Positions of the part's token set.
    pub positions: Option<Equation>,
    /// Block numbers of the part's rows.
    pub blocks: Option<Equation>,
    /// Values for the part family's `[args]`.
    #[schemars(default)]
    pub args: Equations,
    /// Config keys overridden.
    #[schemars(default)]
    pub set: IndexMap<String, Value>,
    /// Keys of the part's config that may be ignored -> why.
    #[schemars(default)]
    pub ignore_config: IndexMap<String, String>,
    /// The file that states the part.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
    /// The part's name in its heading.
    #[schemars(skip)]
    pub span: Span,
}
