//! The runtime of sli-pipe: documents in, a memory plan, sweeps over the layers, results out.
//!
//! [`Run::prepare`] checks and plans everything without reading a weight: stages against the model's named
//! values, the output folder, every document ([`data`]), the memory budget ([`plan`]). [`Run::execute`] then
//! pushes documents through the layers, one layer at a time for all documents of a super-batch, and hands the
//! values that stages asked for to them as they come by. Results have temporary names until all of them are
//! complete ([`rundir`]). Nothing here prints: an [`Observer`] is told what happens.

mod bound;
pub mod data;
mod demand;
mod describe;
mod error;
mod limits;
mod lookups;
pub mod memory;
mod mixtures;
mod observer;
mod options;
pub mod plan;
pub mod plugins;
mod points;
mod rates;
pub mod report;
mod run;
pub mod rundir;
mod stages;
mod sweep;
mod units;
mod write;

pub use bound::{bind_checkpoint, require_binding, root_hint};
pub use error::{ErrorKind, Result, RunError};
pub use observer::{Event, Observer, Silent};
pub use plan::Plan;
pub use report::Report;
pub use run::{Finished, Run, Setup};
pub use rundir::Output;
pub use sli_torch::{TUNED, Tuned};
pub use sweep::ExpertBytes;
