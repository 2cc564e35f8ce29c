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

/// A family: one architecture as data. How its models are recognised, what their tensors are called, and what a layer
/// computes. docs/families.md is the way in, docs/language.md the definition.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = crate::schema::needs_match()))]
pub struct FamilyFile {
    /// The text this was read from.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
    /// Version of the family language: 1.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The family's name, which is also its file's: `llama` of `families/llama.toml`.
    pub id: Spanned<String>,
    /// What the family describes, in one line, for lists.
    pub title: String,
    /// The id of the parent family, whose tables this one changes entry by entry.
    pub extends: Option<Spanned<String>>,
    /// Key of config.json whose map describes this family, as `text_config` of models with several parts; keys that the
    /// map lacks are read beside it.
    pub config: Option<String>,
    /// std files, as `std/moe`, in order; what a later one states wins, and the family itself wins over all.
    #[schemars(default)]
    pub include: Vec<Spanned<String>>,
    /// std files: names of `[values]` or blocks that the including family must have.
    #[schemars(default)]
    pub needs: Vec<Spanned<String>>,
    /// A parent only, which no model is recognised as.
    #[schemars(default, rename = "abstract")]
    pub is_abstract: bool,
    /// How the models of this family are recognised by their config.json: one `[match]` table, or several `[[match]]` of
    /// which one must hold.
    #[schemars(default, rename = "match", schema_with = "crate::schema::matches")]
    pub matches: Vec<MatchTable>,
    /// Models of this family that are refused, with the reason.
    #[schemars(default)]
    pub refuse: Vec<Refuse>,
    /// Top-level keys of config.json that may be ignored, each with the reason why that is safe; a key may hold `*`.
    /// Every other key must be read by some equation.
    #[schemars(default)]
    pub ignore_config: IndexMap<String, String>,
    /// Keys of config.json with the value they have when it lacks them.
    #[schemars(default, schema_with = "crate::schema::defaults")]
    pub defaults: IndexMap<String, Value>,
    /// Plan values: numbers, strings, lists and maps computed from config.json. A string is an equation, everything else a
    /// constant. A value that mentions `i` is computed for each layer.
    #[schemars(default, schema_with = "crate::schema::values")]
    pub values: IndexMap<String, ValueDef>,
    /// Arguments that a family takes when it is a part of another one, with their defaults as equations.
    #[schemars(default, schema_with = "crate::schema::equations")]
    pub args: Equations,
    /// What rows hold beside token ids: the name of a field and its kind. Equations say `input.<name>`.
    #[schemars(default, schema_with = "crate::schema::inputs_of_family")]
    pub inputs: IndexMap<String, String>,
    /// How the names of tensors in equations meet those in a checkpoint.
    #[schemars(default)]
    pub names: Names,
    /// Equations before the first stack; `out` is what enters it.
    #[schemars(default, schema_with = "crate::schema::equations")]
    pub embed: Equations,
    /// The stacks, in the order in which they run: one `[[stack]]` table each.
    #[schemars(default, rename = "stack")]
    pub stacks: Vec<StackFile>,
    /// The equations of one layer, by class: `[layer.decoder]`. `x` is what enters, `out` what leaves; each name is a
    /// point that stages can ask for.
    #[schemars(default, rename = "layer", schema_with = "crate::schema::layers")]
    pub layers: IndexMap<String, Equations>,
    /// Blocks: equations with a name, called as `mlp(x, 'mlp')`, where the second argument is the path of the tensors
    /// below. A block has the name of a function, so it may replace one.
    #[schemars(default, rename = "block")]
    pub blocks: IndexMap<String, BlockFile>,
    /// Other families run inside this one, as the vision tower of a model of text and images: `[part.vision]`.
    #[schemars(default, rename = "part")]
    pub parts: IndexMap<String, PartFile>,
    /// Equations after the last stack. Each key is a value that stages can ask for, as `logits`.
    #[schemars(default, schema_with = "crate::schema::equations")]
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

/// One way to recognise a model: all its keys must hold.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub struct MatchTable {
    /// Values of `model_type` in config.json. They decide if config.json has that key.
    pub model_types: Option<Vec<String>>,
    /// Names of classes, of which `architectures` in config.json must have one. They decide if `model_types` does not.
    pub architectures: Option<Vec<String>>,
    /// A condition over `config` alone, which must hold as well: `has(config.ssm_cfg)`.
    pub when: Option<Equation>,
    /// The table's heading.
    #[schemars(skip)]
    pub span: Span,
}

/// Models that are refused.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Refuse {
    /// A child's entry replaces the inherited one of the same name.
    pub name: Option<String>,
    /// The model is refused if this condition over plan values holds.
    pub when: Equation,
    /// The reason, shown to the user.
    pub why: String,
}

/// How the names in equations relate to the names in a checkpoint.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Names {
    /// What the names of tensors may begin with: the first one that some tensor of the checkpoint has is the root of all
    /// names that do not begin with `/`. Absent: that of the parent.
    pub root: Option<Vec<String>>,
    /// A module that may be missing, with the one it is read from instead: `"/lm_head" = "embed_tokens"`. Applies where the
    /// value `tied` is true, which it is if `[values]` says nothing.
    #[schemars(default, schema_with = "crate::schema::tied")]
    pub tied: IndexMap<String, String>,
    /// Tensors that may stay unused; `*` stands for any text.
    #[schemars(default)]
    pub ignore: Vec<String>,
    /// What equations say, with what files may say instead. `*` stands for one segment. Applied in
    /// order, to runs of whole segments anywhere in a name.
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

/// Which piece of which stored tensor.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PackedFile {
    /// What stands in the stored name where the wanted one has the left side. `{e}` on the left is the index of dim 0 of
    /// the stored tensor.
    pub from: String,
    /// Which part of the rows: `[k, n]`, the k-th of n equal parts, or `[k, "sizes"]`, an equation for the list of sizes.
    #[schemars(default, schema_with = "crate::schema::part")]
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

/// A named run of layers. Everything but the name is optional, because a child states what differs.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct StackFile {
    /// The stack's name, which begins the names of its points: `decoder` of `decoder.3`.
    pub name: Spanned<String>,
    /// Path of the tensors of layer `{i}`: `layers.{i}.`. A text with values in braces, not an equation.
    #[schemars(with = "Option<String>")]
    pub prefix: Option<Equation>,
    /// The number of layers, an equation: `config.num_hidden_layers`.
    pub count: Option<Equation>,
    /// The class of the layers, a `[layer.<class>]`; or a list of `{ class, when }`, of which the first that holds is taken.
    pub layer: Option<LayerChoice>,
    /// The field of the rows whose ids are this stack's tokens; `input_ids` if absent.
    pub tokens: Option<String>,
    /// What enters the first layer; `out` of `[embed]` if absent.
    pub input: Option<Equation>,
    /// What is done with the output of the last layer, `x`; nothing if absent.
    #[schemars(rename = "final")]
    pub final_: Option<Equation>,
    /// A condition: a stack for which it does not hold does not exist.
    pub when: Option<Equation>,
    /// Equations that are computed once and seen by all layers of the stack.
    #[schemars(default, rename = "let", schema_with = "crate::schema::equations")]
    pub let_: Equations,
    /// Values passed from layer to layer beside `x`, each with its value before the first layer.
    #[schemars(default, schema_with = "crate::schema::equations")]
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
    /// A condition that may mention `i`, the number of the layer; without one the case always holds.
    pub when: Option<Equation>,
}

/// A block: equations with a name. `out` is the result.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(extend("propertyNames" = crate::schema::block_names()))]
pub struct BlockFile {
    /// What the block takes beside `x`, with default equations; a call gives them by name: `mlp(x, 'mlp', {'width': 4})`.
    #[schemars(default, schema_with = "crate::schema::equations")]
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

/// Another family run inside this one.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PartFile {
    /// The family's id, or an equation for it, which has quotes: `config.vision == 'clip' ? 'clip' : 'siglip'`. Absent: as the
    /// part's config is recognised.
    pub family: Option<Equation>,
    /// An equation for the part's config: `config.vision_config`; `config` if absent.
    pub config: Option<Equation>,
    /// What the names of its tensors begin with: the first that some tensor has.
    #[schemars(default)]
    pub at: Vec<String>,
    /// An equation for what enters the part's first stack, in place of its own.
    pub input: Option<Equation>,
    /// An equation for the positions of the part's rows.
    pub positions: Option<Equation>,
    /// An equation for the block numbers of the part's rows: rows of one block (0 or more) see each other forwards, too.
    pub blocks: Option<Equation>,
    /// Values for the `[args]` of the part's family, as equations.
    #[schemars(default, schema_with = "crate::schema::equations")]
    pub args: Equations,
    /// Keys of the part's config that are replaced.
    #[schemars(default, schema_with = "crate::schema::defaults")]
    pub set: IndexMap<String, Value>,
    /// Keys of the part's config that may be ignored, each with the reason.
    #[schemars(default)]
    pub ignore_config: IndexMap<String, String>,
    /// The file that states the part.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
    /// The part's name in its heading.
    #[schemars(skip)]
    pub span: Span,
}
