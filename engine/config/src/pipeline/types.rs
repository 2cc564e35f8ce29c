//! A pipeline that cannot be wrong, as far as its file alone can tell. The doc comments of the keys are also
//! their descriptions in the JSON schema.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::pipeline::size::ByteSize;
use crate::pipeline::stage_types::Stage;
use crate::plugin::GrantSection;
use crate::read::choice::choice;
use crate::schema::{auto_or_integer, auto_or_size, data_format, device, grants, stages};
use crate::source::{Located, SourceFile};

/// A pipeline: a model, the data that runs through it, and the stages that use what comes by.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Pipeline {
    /// The pipeline file.
    #[serde(skip)]
    pub file: Arc<SourceFile>,
    /// The pipeline's name, which names the run directory; the stem of the file's name if absent.
    #[schemars(with = "Option<String>", regex(pattern = crate::schema::FILE_NAME), length(max = 100))]
    pub name: String,
    /// The model to run: `[model]` with `source`.
    pub model: ModelSection,
    /// The documents to run it over.
    pub data: DataSection,
    /// How to run it.
    #[schemars(extend("default" = {}))]
    pub engine: EngineSection,
    /// Where results go.
    #[schemars(extend("default" = {}))]
    pub output: OutputSection,
    /// What to do with the values of the sweep; one table each, in any number.
    #[serde(rename = "stage")]
    #[schemars(schema_with = "stages")]
    pub stages: Vec<Stage>,
    /// What plugins may do in this run: one table each, `[plugin.<id>]`. A plugin gets what its manifest asks for and
    /// either this file or the user's settings grant.
    #[serde(rename = "plugin", skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(default, schema_with = "grants")]
    pub plugins: IndexMap<String, GrantSection>,
}

/// The model to run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ModelSection {
    /// A hub id, `mistralai/Mixtral-8x7B-v0.1`, or a directory: absolute, or relative to this file.
    #[schemars(regex(pattern = r"\S"))]
    pub source: Located<String>,
    /// The revision of a hub model: a branch, a tag or a commit.
    #[schemars(extend("default" = "main"))]
    pub revision: String,
    /// The family to use instead of the one that `config.json` is recognised as.
    pub family: Option<Located<String>>,
}

/// The documents to run the model over.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DataSection {
    /// A `.jsonl`, `.txt` or `.parquet` file, absolute or relative to this file; `-` for standard input.
    #[schemars(regex(pattern = r"\S"))]
    pub source: Located<String>,
    /// What the source holds: `auto` goes by the name's ending, and takes standard input for `jsonl`.
    #[schemars(schema_with = "data_format", extend("default" = "auto"))]
    pub format: DataFormat,
    /// The field or column to tokenise. Rows with `input_ids` are taken as they are.
    #[schemars(extend("default" = "text"))]
    pub text: String,
    /// Take a `.txt` file as one document; else each line is one.
    #[schemars(extend("default" = false))]
    pub whole: bool,
    /// Most tokens of a document, special tokens included. Absent: as many as the model has positions for.
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u64>,
    /// Read only so many documents from the start of the source.
    #[schemars(range(min = 1))]
    pub limit: Option<u64>,
    /// What happens to a document longer than `max_tokens`.
    #[schemars(extend("default" = "error"))]
    pub long: LongDocuments,
    /// What happens to a document without any token.
    #[schemars(extend("default" = "error"))]
    pub empty: EmptyDocuments,
    /// Add the tokenizer's special tokens (as BOS, or CLS and SEP) to tokenised text.
    #[schemars(extend("default" = true))]
    pub add_special_tokens: bool,
}

choice! {
    /// What a source holds.
    DataFormat {
        /// One JSON object a line.
        Jsonl = "jsonl",
        /// Plain text.
        Txt = "txt",
        /// A Parquet file.
        Parquet = "parquet",
    }
}

choice! {
    /// What happens to a document longer than `max_tokens`.
    LongDocuments {
        /// The run stops before it starts and names the document: nothing is cut in silence.
        Error = "error",
        /// The first `max_tokens` tokens are kept; the report counts the documents and the tokens cut.
        Truncate = "truncate",
        /// The document becomes several of at most `max_tokens` tokens, with ids `<id>#0`, `<id>#1`, and so on.
        Split = "split",
    }
}

choice! {
    /// What happens to a document without any token.
    EmptyDocuments {
        /// The run stops before it starts and names the document.
        Error = "error",
        /// The document is left out; the report counts it.
        Skip = "skip",
    }
}

/// How to run the model.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EngineSection {
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:<n>`. `auto` is the first GPU, or the CPU without one.
    #[schemars(schema_with = "device", extend("default" = "auto"))]
    pub device: Device,
    /// The type to compute in; `auto` is the checkpoint's own.
    #[schemars(extend("default" = "auto"))]
    pub dtype: Dtype,
    /// Budget of main memory, which the process stays under: `"8GiB"`, `"900MiB"`, or `auto` for what is free.
    #[schemars(schema_with = "auto_or_size", extend("default" = "auto"))]
    pub memory: Option<ByteSize>,
    /// Budget of GPU memory; `auto` for what is free.
    #[schemars(schema_with = "auto_or_size", extend("default" = "auto"))]
    pub gpu_memory: Option<ByteSize>,
    /// Where hidden state waits between layers.
    #[schemars(extend("default" = "auto"))]
    pub activations: Activations,
    /// How many layers to read ahead of the one that computes; 0 reads each when it is needed.
    #[schemars(schema_with = "auto_or_integer::<0>", extend("default" = "auto"))]
    pub prefetch: Option<u32>,
    /// Which experts of a mixture to read.
    #[schemars(extend("default" = "auto"))]
    pub experts: Experts,
    /// Threads that compute on the CPU; `auto` is one per core.
    #[schemars(schema_with = "auto_or_integer::<1>", extend("default" = "auto"))]
    pub threads: Option<u32>,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first GPU, or the CPU without one.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number; `cuda` alone is number 0.
    Cuda(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

choice! {
    /// The type to compute in.
    Dtype {
        /// The checkpoint's own.
        Auto = "auto",
        /// 32-bit floats.
        F32 = "f32",
        /// 16-bit brain floats.
        Bf16 = "bf16",
        /// 16-bit IEEE floats.
        F16 = "f16",
    }
}

choice! {
    /// Where hidden state waits between layers.
    Activations {
        /// In memory, unless disk is cheaper over the whole run.
        Auto = "auto",
        /// In memory.
        Memory = "memory",
        /// On disk, in the output directory.
        Disk = "disk",
    }
}

choice! {
    /// Which experts of a mixture to read.
    Experts {
        /// Those that tokens are routed to, or all where nearly all are.
        Auto = "auto",
        /// Only those that tokens are routed to.
        Routed = "routed",
        /// All, in file order.
        All = "all",
    }
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OutputSection {
    /// The run directory, absolute or relative to the current directory; `runs/<name>` if absent.
    #[schemars(with = "Option<String>", regex(pattern = r"\S"))]
    pub dir: Located<String>,
    /// Replace the results of an earlier run in that directory.
    #[schemars(extend("default" = false))]
    pub overwrite: bool,
}
