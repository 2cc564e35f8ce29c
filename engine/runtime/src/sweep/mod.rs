//! The sweep: layers outside, data inside.
//!
//! For each super-batch, and in it for each unit (what enters, the layers, the heads): take the unit's weights
//! from the reader, make them ready once, run every micro-batch through, hand what stages asked for to them,
//! and give the arena back. Meanwhile the reader fetches the units that come next, those of the next sweep too.

mod advance;
mod chunk;
mod deliver;
mod engine;
mod experts;
mod feed;
mod micro;
mod micros;
mod placed;
mod ready;
mod spill;
mod steps;

pub(crate) use engine::{Engine, Inputs, device_error, read_error};
pub use experts::ExpertBytes;
pub(crate) use feed::{ExpertReads, Feed, UnitReads};
pub(crate) use placed::{Placed, Placement};
