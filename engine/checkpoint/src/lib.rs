//! What is on disk: one folder with `config.json` and safetensors files, and the way from there to memory.
//!
//! The path of a byte, one module a step:
//!
//! 1. [`Checkpoint::open`] reads `config.json` and every safetensors header once, strictly ([`CheckpointError`]
//!    has one case for each way a header can lie). No weight is read.
//! 2. [`LoadPlan`] turns a set of tensors, usually one layer, into sorted and merged byte ranges and gives each a
//!    place in an arena. Its `arena_len` is the memory the layer needs, known before anything is read.
//! 3. [`ArenaPool`] owns the arenas: page-aligned buffers under a byte budget, reused from layer to layer.
//! 4. [`choose`] finds out how this drive is read best, once for each drive.
//! 5. [`Loader`] reads units in the order of requests, ahead of its consumer, as far as the pool allows, and keeps
//!    requests in flight across units. A [`LoadedUnit`] hands out tensors as slices of its arena; the bytes are never
//!    copied again.
//!
//! [`SpillFile`] is the way out and back for activations that do not fit in memory.
//!
//! What this crate never does: map a file into memory (4 KiB faults at queue depth one are the slowest way to read
//! a disk), name a tensor library, or know what a tensor is for.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("sli-checkpoint needs a 64-bit target: checkpoints are larger than 4 GiB");

mod arena;
mod checkpoint;
mod config_json;
mod discover;
mod error;
mod files;
mod fingerprint;
mod header;
mod io;
mod loader;
mod mapping;
mod probe;
mod ranges;
mod read_error;
mod spill;
mod unit;

pub use arena::{AcquireError, Arena, ArenaPool};
pub use checkpoint::{Checkpoint, CheckpointFile, FileId, TensorEntry, TensorId, UnsupportedTensor};
pub use discover::looks_like_hub_id;
pub use error::{CheckpointError, HeaderProblem, More};
pub use files::OpenFiles;
pub use io::BackendKind;
pub use loader::{Loader, Pending, ReadOptions, ReadStats};
pub use mapping::PAGE;
pub use probe::{ReadChoice, ReadReason, choose};
pub use ranges::{DEFAULT_SLACK, LoadPlan, ReadRange, Slice, Span};
pub use read_error::ReadError;
pub use spill::{SpillBuffer, SpillError, SpillFile, SpillOptions, SpillStats, known_write_rate, write_rate};
pub use unit::{LoadedUnit, PlannedUnit};
