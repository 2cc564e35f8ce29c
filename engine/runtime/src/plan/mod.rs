//! The planner: how many tokens go through the layers together, and what that takes.
//!
//! The promise is that the process stays under `engine.memory` + [`crate::memory::OVERHEAD`]. So everything that
//! grows with the model or with the data is counted here, before anything is read, and a budget that cannot work
//! is refused with the smallest that would. Memory goes to tokens first: with more tokens in memory together
//! there are fewer sweeps, and each sweep reads all weights.

mod choose;
mod cost;
mod predict;
mod weights;

pub(crate) use choose::{NONE, Schedule, Shape, choose, group_limit, smallest, taken};
pub(crate) use cost::{Costs, Layout, StageCost, Work, layout};
pub use predict::{Prediction, Rates};

use serde::{Deserialize, Serialize};

/// What a run will do: bytes, sweeps and memory. Plain data, for `sli-pipe plan` and the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Id of the family.
    pub family: String,
    /// The type that matrices are multiplied in, as `bf16`.
    pub compute: String,
    /// Documents.
    pub documents: u64,
    /// Tokens of all documents.
    pub tokens: u64,
    /// Tokens of the longest document.
    pub longest: u64,
    /// Passes over the layers.
    pub sweeps: u64,
    /// Most tokens that are in memory together.
    pub sweep_tokens: u64,
    /// Most tokens that go through a layer together.
    pub micro_batch_tokens: u64,
    /// Number of such batches in all sweeps.
    pub micro_batches: u64,
    /// Tokens whose logits are in memory together.
    pub chunk_tokens: u64,
    /// Units whose weights can be in memory at once: 2 reads one ahead.
    pub arenas: u64,
    /// Bytes read in one sweep.
    pub sweep_bytes: u64,
    /// Bytes read in all.
    pub read_bytes: u64,
    /// Bytes of results written, as far as known before: tensors of `capture` and `logits`.
    pub write_bytes: u64,
    /// What the machine was measured or guessed to do.
    pub rates: Rates,
    /// What the run will take.
    pub prediction: Prediction,
    /// Where hidden state is: `memory` or `disk`.
    pub activations: String,
    /// How experts are read: `none`, `with their layer`, `those that are hit`, `all`.
    pub experts: String,
    /// Units that stay in memory after the first sweep.
    pub staying_units: u64,
    /// What was decided, and why.
    pub choices: Vec<Choice>,
    /// Memory, part by part.
    pub memory: MemoryPlan,
    /// The units of a sweep, in order.
    pub units: Vec<UnitPlan>,
}

/// One decision of the planner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What was to be decided.
    pub what: String,
    /// What was chosen.
    pub chosen: String,
    /// Why.
    pub because: String,
}

/// Memory of a run in bytes, part by part. All parts together are the predicted peak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// `engine.memory`.
    pub budget: u64,
    /// What the promise adds to it.
    pub overhead: u64,
    /// The smallest budget that works for this model and these documents.
    pub smallest_budget: u64,
    /// Everything together.
    pub peak: u64,
    /// The process before weights are read, with all token ids.
    pub process: u64,
    /// Kept for what allocator and libtorch take beyond what was asked of them.
    pub slack: u64,
    /// Arenas that weights are read into.
    pub arenas: u64,
    /// Weights that stay, or that several units read.
    pub resident: u64,
    /// Hidden state of the documents of a sweep, with all that goes along.
    pub state: u64,
    /// The unit that needs most beside that: its converted weights and its intermediate values.
    pub working: u64,
    /// Buffers of stages.
    pub stages: u64,
}

/// What is known of a unit before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPlan {
    /// Its name: `embed`, `decoder.3`, `head`.
    pub name: String,
    /// Tensors read for it.
    pub tensors: u64,
    /// Bytes read for it.
    pub bytes: u64,
    /// Bytes of converted weights beside the arena.
    pub converted: u64,
    /// Bytes per token of its intermediate values at the worst moment.
    pub row_bytes: u64,
    /// Floating point operations per token, without what attention does per pair of tokens.
    pub flops_per_token: u64,
    /// Floating point operations per pair of a query and a key.
    pub flops_per_pair: u64,
    /// Bytes of its experts where they are read apart, beside `bytes`.
    pub expert_bytes: u64,
    /// Whether it has a mixture of experts.
    pub has_experts: bool,
}
