//! Pipelines: TOML text and overrides to a [`Pipeline`], or everything that is wrong with them.

mod overrides;
mod parse;
mod size;
mod stage;
mod stage_types;
mod types;

pub use parse::parse_pipeline;
pub(crate) use size::PATTERN as SIZE_PATTERN;
pub use size::{ByteSize, SizeError};
pub use stage_types::{
    CaptureStage, EmbedStage, LogitsStage, PluginStage, Pooling, ProfileStage, RowFormat, ScoreStage, Stage, StageKind,
    StoredDtype, VectorFormat,
};
pub use types::{
    Activations, DataFormat, DataSection, Device, Dtype, EmptyDocuments, EngineSection, Experts, LongDocuments,
    ModelSection, OutputSection, Pipeline,
};
