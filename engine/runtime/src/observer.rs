//! What a run tells while it goes on. Nothing here prints; the command line does.

use sli_config::Diagnostic;

use crate::plan::Plan;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Rows read and tokenised so far.
    Reading {
        /// Documents.
        documents: u64,
        /// Tokens.
        tokens: u64,
    },
    /// Something that does not stop the run.
    Warning(&'a Diagnostic),
    /// The run begins.
    Started(&'a Plan),
    /// A pass over the layers begins.
    SweepStarted {
        /// Its number, from 0.
        sweep: usize,
        /// How many there are.
        of: usize,
        /// Documents in memory.
        documents: u64,
        /// Tokens in memory.
        tokens: u64,
    },
    /// The weights of a unit are in memory, or a group of its experts.
    UnitLoaded {
        /// Its name: `embed`, `decoder.3`, `head`.
        unit: &'a str,
        /// Bytes read for it.
        bytes: u64,
    },
    /// One micro-batch of a unit is computed.
    Computed {
        /// Name of the unit.
        unit: &'a str,
        /// Micro-batches done.
        done: usize,
        /// Micro-batches of this super-batch.
        of: usize,
    },
    /// A unit is done for the whole super-batch.
    UnitDone {
        /// Its name.
        unit: &'a str,
        /// Its number in the sweep, from 0.
        index: usize,
        /// Units of a sweep.
        of: usize,
        /// Seconds from the last unit's end to this one's.
        seconds: f64,
    },
    /// All of a super-batch's documents are through.
    DocumentsDone {
        /// Documents done.
        done: u64,
        /// Documents of the run.
        of: u64,
    },
    /// The outputs are complete and named.
    Finished,
}

/// Whoever wants to know. Called on the thread that computes, so it should be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);

    /// Asked at the end of every sweep, the last one too, before any result has its name: whether the run goes on. If
    /// not, it ends as if it had been cancelled, and leaves nothing.
    fn goes_on(&self) -> bool {
        true
    }
}

/// Nobody.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}
