//! A unit of loading: tensors that are needed together, before and after they are read.

use crate::arena::Arena;
use crate::checkpoint::TensorId;
use crate::ranges::LoadPlan;
use std::ops::Range;
use std::sync::Arc;

/// Tensors, or parts of them, that are needed together: usually one layer. `plan.arena_len` is the memory it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedUnit {
    /// What reports and errors call it, as `decoder.3`.
    pub name: String,
    /// Its reads and slices.
    pub plan: LoadPlan,
}

/// A unit whose bytes are in memory. It owns its arena, which goes back to the pool with it.
#[derive(Debug)]
pub struct LoadedUnit {
    unit: Arc<PlannedUnit>,
    /// `None` if the unit has no bytes.
    arena: Option<Arena>,
    read_seconds: f64,
}

impl LoadedUnit {
    pub(crate) fn new(unit: Arc<PlannedUnit>, arena: Option<Arena>, read_seconds: f64) -> LoadedUnit {
        LoadedUnit {
            unit,
            arena,
            read_seconds,
        }
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.unit.name
    }

    /// What was asked for.
    pub fn planned(&self) -> &Arc<PlannedUnit> {
        &self.unit
    }

    /// The bytes of one tensor, little-endian and row-major as in the file; valid as long as the unit.
    ///
    /// # Panics
    /// If the tensor is not part of this unit, or not all of it; [`LoadedUnit::get`] asks instead.
    pub fn tensor(&self, id: TensorId) -> &[u8] {
        match self.get(id) {
            Some(bytes) => bytes,
            None => panic!("tensor {} is not part of the unit `{}`", id.0, self.name()),
        }
    }

    /// The bytes of one tensor, if all of it is part of this unit.
    pub fn get(&self, id: TensorId) -> Option<&[u8]> {
        self.unit.plan.slice(id).map(|place| self.at(place))
    }

    /// Some bytes of one tensor, counted from its first, if they are part of this unit; those of a larger span as
    /// well.
    pub fn part(&self, id: TensorId, part: Range<u64>) -> Option<&[u8]> {
        self.unit.plan.part(id, part).map(|place| self.at(place))
    }

    fn at(&self, place: Range<usize>) -> &[u8] {
        self.arena.as_ref().map_or(&[], |arena| &arena.as_slice()[place])
    }

    /// All bytes of the arena, as [`LoadPlan::ranges`] fill it; what lies between the ranges is undefined. Nothing for
    /// a unit without bytes.
    pub fn arena(&self) -> &[u8] {
        self.arena.as_ref().map_or(&[], Arena::as_slice)
    }

    /// Seconds from the first request to the last answer. Units that are read at the same time share the drive, so
    /// that these seconds add up to more than the reader's.
    pub fn read_seconds(&self) -> f64 {
        self.read_seconds
    }

    /// Bytes that were read; see [`LoadPlan::bytes`].
    pub fn bytes(&self) -> u64 {
        self.unit.plan.bytes()
    }
}
