//! Weights on their way: the loader, what is asked of it, and when.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sli_checkpoint::{ArenaPool, Loader, Pending};

use super::Run;
use crate::error::Result;
use crate::mixtures::Mixture;
use crate::sweep::{ExpertReads, Feed, Placed, Placement, UnitReads, device_error, read_error};

/// Units that are asked for ahead, as far as arenas allow.
const READ_AHEAD: usize = 6;

/// Arenas in use at most: bytes are the real limit.
const ARENAS: usize = 1 << 16;

impl Run {
    /// Weights that several units read.
    pub(super) fn load_resident(&self, cancel: &Arc<AtomicBool>) -> Result<Option<Placed>> {
        let Some(unit) = &self.layout.resident else {
            return Ok(None);
        };
        let pool = ArenaPool::shared(1, ArenaPool::window(&[unit.plan.arena_len], 1));
        let loader = self.loader(pool, cancel)?;
        let loaded = loader.request(Arc::new(unit.clone())).and_then(Pending::wait);
        let mut placement = Placement::new(self.options.device, 1, unit.plan.arena_len as u64).map_err(device_error)?;
        let placed = placement.place(loaded.map_err(read_error)?).map_err(device_error)?;
        Ok(Some(placed))
    }

    fn loader(&self, pool: Arc<ArenaPool>, cancel: &Arc<AtomicBool>) -> Result<Loader> {
        Loader::start(Arc::clone(&self.files), pool, self.read.options, Arc::clone(cancel)).map_err(read_error)
    }

    /// The weights of all sweeps, read ahead.
    pub(super) fn feed(&self, cancel: &Arc<AtomicBool>) -> Result<Feed> {
        let (schedule, layout) = (&self.schedule, &self.layout);
        let pool = match schedule.device_slots {
            (0, _) => ArenaPool::shared(ARENAS, schedule.arena_bytes as usize),
            (_, bytes) => ArenaPool::fixed(schedule.slots + 1, bytes as usize),
        };
        let experts = |index: usize| match &layout.mixtures[index][..] {
            [] => ExpertReads::None,
            mixtures if schedule.all_experts[index] => {
                let name = &layout.planned[index].name;
                let groups = |mixture: &Mixture| {
                    let all = vec![true; mixture.experts.len()];
                    let groups = mixture.groups(name, &all, schedule.group_bytes, &self.checkpoint);
                    groups.into_iter().map(|group| Arc::new(group.unit)).collect()
                };
                ExpertReads::All(mixtures.iter().map(groups).collect())
            }
            _ => ExpertReads::Hit,
        };
        let reads = layout.planned.iter().enumerate().map(|(index, unit)| UnitReads {
            unit: Arc::clone(unit),
            stays: schedule.stays[index],
            experts: experts(index),
        });
        // Small units are asked for further ahead; the bytes of the arenas are what limits it.
        let depth = match schedule.slots {
            0 | 1 => 0,
            slots => self.options.prefetch.unwrap_or(READ_AHEAD).max(slots - 1),
        };
        Ok(Feed::new(
            self.loader(pool, cancel)?,
            reads.collect(),
            schedule.sweeps.len(),
            depth,
        ))
    }
}
