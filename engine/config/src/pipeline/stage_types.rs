//! The stages a pipeline may name. The doc comments of the keys are also their descriptions in the JSON schema.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::Label;
use crate::pipeline::size::ByteSize;
use crate::places::Places;
use crate::read::choice::choice;
use crate::source::Located;

/// The name of a value, or a pattern: no part between dots is empty.
const POINT: &str = r"^[^.]+(\.[^.]+)*$";

/// One stage of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Names the stage's outputs; no two stages of a pipeline have the same.
    pub name: Located<String>,
    /// What the stage does.
    #[serde(flatten)]
    pub kind: StageKind,
}

/// What a stage does, with its options.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "uses", rename_all = "lowercase")]
pub enum StageKind {
    /// Negative log-likelihood and perplexity.
    Score(ScoreStage),
    /// Named values to disk.
    Capture(CaptureStage),
    /// Statistics of named values.
    Profile(ProfileStage),
    /// One vector a document.
    Embed(EmbedStage),
    /// Next-token logits to disk.
    Logits(LogitsStage),
    /// What a plugin does.
    Plugin(Box<PluginStage>),
}

impl StageKind {
    /// The words of `uses` beside `plugin:<id>`, in the order messages list them.
    pub const USES: &'static [&'static str] = &["score", "capture", "profile", "embed", "logits"];

    /// The word of `uses`; of `plugin:<id>` its first half.
    pub fn uses(&self) -> &'static str {
        match self {
            Self::Score(_) => "score",
            Self::Capture(_) => "capture",
            Self::Profile(_) => "profile",
            Self::Embed(_) => "embed",
            Self::Logits(_) => "logits",
            Self::Plugin(_) => "plugin",
        }
    }
}

/// Negative log-likelihood and perplexity, per document and in total.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ScoreStage {
    /// Also write the log-probability of every token.
    #[schemars(extend("default" = false))]
    pub per_token: bool,
    /// The form of the rows.
    #[schemars(extend("default" = "parquet"))]
    pub format: RowFormat,
}

/// Writes named values, `[tokens, width]` per document, to safetensors shards.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CaptureStage {
    /// Names of values, or patterns in which `*` stands for any text without a dot: `embed`, `decoder.*`
    /// (what leaves each layer), `decoder.3.attention.q`, `final`.
    #[schemars(length(min = 1), inner(regex(pattern = POINT)))]
    pub points: Vec<Located<String>>,
    /// The type values are stored in.
    #[schemars(extend("default" = "f32"))]
    pub dtype: StoredDtype,
    /// A new shard begins when the next tensor would make one larger than this.
    #[schemars(extend("default" = "1GiB"))]
    pub shard_size: ByteSize,
}

/// Statistics of named values: mean, rms, deviation, extremes, kurtosis, outlier channels, block influence,
/// router load.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProfileStage {
    /// Names of values, or patterns in which `*` stands for any text without a dot. The default is what
    /// leaves each layer.
    #[schemars(length(min = 1), inner(regex(pattern = POINT)), extend("default" = ["*.*"]))]
    pub points: Vec<Located<String>>,
    /// A channel is an outlier if its rms is more than this many times the median channel's.
    #[schemars(extend("default" = 6.0, "exclusiveMinimum" = 1.0))]
    pub outlier_ratio: f64,
    /// At most so many outlier channels are listed per value, the largest first.
    #[schemars(extend("default" = 8))]
    pub outlier_channels: u32,
    /// The form of the rows.
    #[schemars(extend("default" = "parquet"))]
    pub format: RowFormat,
}

/// One vector a document.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EmbedStage {
    /// The value to pool.
    #[schemars(extend("default" = "final"), regex(pattern = r"\S"))]
    pub point: Located<String>,
    /// How the rows of a document become one.
    #[schemars(extend("default" = "mean"))]
    pub pooling: Pooling,
    /// Scale each vector to length 1.
    #[schemars(extend("default" = false))]
    pub normalize: bool,
    /// The form of the vectors.
    #[schemars(extend("default" = "parquet"))]
    pub format: VectorFormat,
}

/// Next-token logits of every token, to safetensors shards. Needs one of `top_k` and `all`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("oneOf" = [
        { "required": ["top_k"], "not": { "properties": { "all": { "const": true } }, "required": ["all"] } },
        { "required": ["all"], "properties": { "all": { "const": true } }, "not": { "required": ["top_k"] } },
    ])
)]
pub struct LogitsStage {
    /// The value to store: `logits`, or another value of the model's head.
    #[schemars(extend("default" = "logits"), regex(pattern = r"\S"))]
    pub point: Located<String>,
    /// Store only the largest so many of each token, with their token ids.
    #[schemars(range(min = 1))]
    pub top_k: Option<u32>,
    /// Store the whole vocabulary: four bytes times vocabulary times tokens in f32.
    #[schemars(extend("default" = false))]
    pub all: bool,
    /// The type logits are stored in.
    #[schemars(extend("default" = "f32"))]
    pub dtype: StoredDtype,
    /// A new shard begins when the next tensor would make one larger than this.
    #[schemars(extend("default" = "1GiB"))]
    pub shard_size: ByteSize,
}

/// A stage that a plugin is: a filter of documents, a reducer of values, a form for the rows of another stage. Which of
/// them, and so which of the keys below it has, only the plugin tells; here each is read where it is given.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PluginStage {
    /// The plugin's id, as `uses` names it.
    #[schemars(skip)]
    pub plugin: Located<String>,
    /// The plugin's options, which its own schema describes: `sli-pipe plugins check` shows it.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub with: Value,
    /// Where the parts of `with` stand.
    #[serde(skip)]
    #[schemars(skip)]
    pub places: Places,
    /// Reducers: names of the values to take, or patterns in which `*` stands for any text without a dot:
    /// `decoder.*`.
    #[schemars(length(min = 1), inner(regex(pattern = POINT)))]
    pub points: Option<Vec<Located<String>>>,
    /// Formatters: the name of the stage whose rows they write.
    #[schemars(regex(pattern = r"\S"))]
    pub of: Option<Located<String>>,
    /// Reducers: the form of the table.
    #[schemars(extend("default" = "parquet"))]
    pub format: Option<Located<RowFormat>>,
}

impl PluginStage {
    /// The place of a part of `with`, by its JSON pointer (`/min_words`), or of what is next above it.
    pub fn place(&self, pointer: &str) -> Label {
        self.places.value(pointer)
    }

    /// The place of a key of `with`, by its JSON pointer.
    pub fn key_place(&self, pointer: &str) -> Label {
        self.places.key(pointer)
    }

    /// The form of a reducer's table.
    pub fn row_format(&self) -> RowFormat {
        self.format.as_ref().map_or(RowFormat::Parquet, |format| format.value)
    }
}

choice! {
    /// The form of rows.
    RowFormat {
        /// A Parquet file.
        Parquet = "parquet",
        /// One JSON object a line.
        Jsonl = "jsonl",
    }
}

choice! {
    /// The form of vectors.
    VectorFormat {
        /// A Parquet file with a list column.
        Parquet = "parquet",
        /// One JSON object a line.
        Jsonl = "jsonl",
        /// A safetensors file, one tensor a document.
        Safetensors = "safetensors",
    }
}

choice! {
    /// The type values are stored in.
    StoredDtype {
        /// 32-bit floats.
        F32 = "f32",
        /// 16-bit brain floats.
        Bf16 = "bf16",
        /// 16-bit IEEE floats.
        F16 = "f16",
    }
}

choice! {
    /// How the rows of a document become one.
    Pooling {
        /// The mean of all rows.
        Mean = "mean",
        /// The first row.
        Cls = "cls",
        /// The last row.
        Last = "last",
    }
}
