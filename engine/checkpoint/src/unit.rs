//! A unit of loading: tensors that are needed together, before and after they are read.

use crate::arena::{AcquireError, Arena, ArenaPool};
use crate::blocks;
use crate::checkpoint::{Checkpoint, TensorId};
use crate::files::OpenFiles;
use crate::ranges::LoadPlan;
use crate::read_error::ReadError;
use std::sync::Arc;
use std::time::Instant;

/// Tensors that are needed together: usually one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadUnit {
    /// What reports and errors call it, as `decoder.3`.
    pub name: String,
    /// Its tensors, in any order.
    pub tensors: Vec<TensorId>,
}

impl LoadUnit {
    /// Plans the reading of this unit; see [`LoadPlan::new`].
    pub fn plan(&self, checkpoint: &Checkpoint, slack: u64) -> PlannedUnit {
        PlannedUnit {
            name: self.name.clone(),
            plan: LoadPlan::new(checkpoint, &self.tensors, slack),
        }
    }
}

/// A unit with its reads. `plan.arena_len` is the memory it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedUnit {
    /// The unit's name.
    pub name: String,
    /// Its reads and slices.
    pub plan: LoadPlan,
}

/// How a unit is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Threads that read blocks of one unit at the same time; at least 1.
    pub threads: usize,
    /// Bytes of one read at most; at least 1.
    pub block_bytes: usize,
}

/// Two threads with 2 MiB each: cold, buffered, the best of 1, 2, 4 threads by 1, 2, 8 MiB together with 4 by 2 MiB,
/// and small enough that cancelling takes a moment only.
impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            threads: 2,
            block_bytes: 2 << 20,
        }
    }
}

/// A unit whose bytes are in memory. It owns its arena, which goes back to the pool with it.
#[derive(Debug)]
pub struct LoadedUnit {
    arena: Arena,
    units: Arc<[PlannedUnit]>,
    index: usize,
    read_seconds: f64,
}

impl LoadedUnit {
    /// Reads one unit on this thread (and its helpers), as for weights that stay in memory.
    ///
    /// # Errors
    /// Every [`ReadError`]; [`ReadError::Cancelled`] if `cancelled` became true while waiting or between blocks.
    pub fn load(
        files: &OpenFiles,
        units: &Arc<[PlannedUnit]>,
        index: usize,
        pool: &Arc<ArenaPool>,
        options: ReadOptions,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<LoadedUnit, ReadError> {
        let arena = acquire(units, index, pool, cancelled)?;
        fill(files, units, index, arena, options, cancelled)
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.unit().name
    }

    /// Which of the reader's units it is, 0-based.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The bytes of one tensor, little-endian and row-major as in the file; valid as long as the unit.
    ///
    /// # Panics
    /// If the tensor is not part of this unit; [`LoadedUnit::get`] asks instead.
    pub fn tensor(&self, id: TensorId) -> &[u8] {
        match self.get(id) {
            Some(bytes) => bytes,
            None => panic!("tensor {} is not part of the unit `{}`", id.0, self.name()),
        }
    }

    /// The bytes of one tensor, if it is part of this unit.
    pub fn get(&self, id: TensorId) -> Option<&[u8]> {
        Some(&self.arena.as_slice()[self.unit().plan.slice(id)?])
    }

    /// Seconds it took to read, without waiting for an arena.
    pub fn read_seconds(&self) -> f64 {
        self.read_seconds
    }

    /// Bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.unit().plan.bytes()
    }

    fn unit(&self) -> &PlannedUnit {
        &self.units[self.index]
    }
}

/// An arena for one unit, waited for.
pub(crate) fn acquire(
    units: &[PlannedUnit],
    index: usize,
    pool: &Arc<ArenaPool>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Arena, ReadError> {
    let count = units.len();
    let unit = units.get(index).ok_or(ReadError::NoSuchUnit { index, count })?;
    let len = unit.plan.arena_len;
    pool.acquire(len, cancelled).map_err(|error| match error {
        AcquireError::TooLarge { needed, allowed } => ReadError::UnitTooLarge {
            unit: unit.name.clone(),
            needed,
            allowed,
        },
        AcquireError::Stopped => ReadError::Cancelled,
        AcquireError::System(source) => ReadError::NoMemory {
            unit: unit.name.clone(),
            len,
            source,
        },
    })
}

/// Reads one unit into its arena.
pub(crate) fn fill(
    files: &OpenFiles,
    units: &Arc<[PlannedUnit]>,
    index: usize,
    mut arena: Arena,
    options: ReadOptions,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<LoadedUnit, ReadError> {
    let start = Instant::now();
    let blocks = blocks::cut(&units[index].plan, arena.as_mut_slice(), options.block_bytes.max(1));
    blocks::read_all(files, blocks, options.threads, cancelled)?;
    let read_seconds = start.elapsed().as_secs_f64();
    Ok(LoadedUnit {
        arena,
        units: Arc::clone(units),
        index,
        read_seconds,
    })
}
