//! What a plugin says about itself. The doc comments of the keys are also their descriptions in the JSON schema.

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::Value;

use crate::family::MatchTable;
use crate::pipeline::ByteSize;
use crate::read::choice::choice;
use crate::source::{Located, SourceFile};

/// What a plugin says about itself: the manifest that it carries, or that lies beside it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("allOf" = crate::schema::plugin_kinds()))]
pub struct PluginManifest {
    /// The text this was read from.
    #[schemars(skip)]
    pub file: Arc<SourceFile>,
    /// The plugin's name in pipelines and families, which is also its file's: `length-filter` of
    /// `plugins/length-filter.wasm`.
    #[schemars(regex(pattern = crate::plugin::ID_PATTERN), length(max = 64))]
    pub id: Located<String>,
    /// Version of the plugin, as `0.1.0` (semantic versioning).
    #[schemars(regex(pattern = super::parse::VERSION_PATTERN))]
    pub version: String,
    /// What it does, in one line, for lists.
    #[schemars(length(min = 1))]
    pub title: String,
    /// What the plugin is, and so what else the manifest must say.
    pub kind: PluginKind,
    /// What the plugin needs beyond computing. Each must be granted by the user, too: in the pipeline's
    /// `[plugin.<id>]`, or in the settings.
    #[schemars(extend("default" = {}))]
    pub asks: Asks,
    /// `kind = "family"`: which models the plugin describes, as in a family file.
    #[schemars(default, rename = "match", schema_with = "crate::schema::matches")]
    pub matches: Vec<MatchTable>,
    /// `kind = "op"`: the functions that equations may call, one table each: `[functions.swirl]`.
    #[schemars(default, schema_with = "crate::schema::functions")]
    pub functions: IndexMap<String, FunctionDef>,
    /// Stages: the JSON Schema of the stage's `with` table, written as TOML. Absent: it takes no options.
    #[schemars(default, schema_with = "crate::schema::options")]
    pub options: Option<Value>,
    /// `kind = "formatter"`: how the names of its files end, without a dot: `csv`.
    #[schemars(regex(pattern = crate::plugin::EXTENSION_PATTERN), length(max = 32))]
    pub extension: Option<String>,
}

choice! {
    /// What a plugin is.
    PluginKind {
        /// Plans of models: config.json in, plan out.
        Family = "family",
        /// Functions of tensors, which the equations of families call.
        Op = "op",
        /// A stage that drops, changes or splits documents before they are tokenised.
        Filter = "filter",
        /// A stage that makes a table of values of the model.
        Reducer = "reducer",
        /// A stage that writes the rows of another one in a form of its own.
        Formatter = "formatter",
    }
}

impl PluginKind {
    /// Whether pipelines name it as a stage.
    pub fn is_stage(self) -> bool {
        matches!(self, Self::Filter | Self::Reducer | Self::Formatter)
    }
}

/// What a plugin asks for. It gets what the user grants as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Asks {
    /// Write lines to the log.
    #[schemars(extend("default" = false))]
    pub log: bool,
    /// Read the files of one folder, which the user names. Stages only.
    #[schemars(extend("default" = false))]
    pub folder: bool,
    /// More memory than plugins have by default, for each call: `"512MiB"`.
    pub memory: Option<ByteSize>,
    /// More seconds for each call than plugins have by default.
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: Option<u32>,
}

/// One function of an `op` plugin.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FunctionDef {
    /// Its inputs with their shapes, its results, and what it computes.
    #[schemars(length(min = 1))]
    pub doc: String,
    /// Names of the tensors it takes, in order; `gate?` may be null.
    #[schemars(schema_with = "crate::schema::inputs")]
    pub inputs: Vec<String>,
    /// Names of its results. With one the call gives the tensor, with several a map.
    #[schemars(schema_with = "crate::schema::outputs")]
    pub outputs: Vec<String>,
    /// JSON Schema of the call's map of options, written as TOML. Absent: it takes no options.
    #[schemars(default, schema_with = "crate::schema::options")]
    pub options: Option<Value>,
}
