//! Weights in the order in which sweeps need them, asked for ahead.

use std::collections::VecDeque;
use std::sync::Arc;

use sli_checkpoint::{LoadedUnit, Loader, Pending, PlannedUnit, ReadError, ReadStats};

/// What is read for a unit, and when.
#[derive(Clone, Debug)]
pub(crate) struct UnitReads {
    /// What it needs before it can start.
    pub(crate) unit: Arc<PlannedUnit>,
    /// It stays in memory after the first sweep.
    pub(crate) stays: bool,
    /// Its experts.
    pub(crate) experts: ExpertReads,
}

/// When the experts of a unit are read.
#[derive(Clone, Debug)]
pub(crate) enum ExpertReads {
    /// There are none, or they are read with the unit.
    None,
    /// Those that are hit, once that is known.
    Hit,
    /// All of them, ahead like the unit itself: groups by mixture.
    All(Vec<Vec<Arc<PlannedUnit>>>),
}

/// A unit's weights and, where they are read ahead, its experts on their way, by mixture.
pub(crate) struct Fed {
    /// The weights.
    pub(crate) unit: Arc<LoadedUnit>,
    /// Groups of experts.
    pub(crate) ahead: Vec<VecDeque<Pending>>,
}

/// A unit that is asked for.
struct Asked {
    /// `None` where the unit stays.
    unit: Option<Pending>,
    ahead: Vec<VecDeque<Pending>>,
}

/// The units of all sweeps, one after the other.
///
/// A place is a unit of a sweep: `sweep * units + unit`. Reading goes on across the end of a sweep, so that the
/// first layers of the next one are there when the head of this one has been computed.
pub(crate) struct Feed {
    loader: Loader,
    reads: Vec<UnitReads>,
    /// Units that stay in memory after the first sweep.
    kept: Vec<Option<Arc<LoadedUnit>>>,
    /// Places that are asked for and not yet handed out.
    asked: VecDeque<Asked>,
    /// Places in all sweeps.
    places: usize,
    /// The next place to hand out.
    at: usize,
    /// The unit handed out last will still ask for experts.
    open: bool,
    /// Units to ask for ahead.
    depth: usize,
}

impl Feed {
    /// Reads the units `sweeps` times over, up to `depth` units ahead.
    pub(crate) fn new(loader: Loader, reads: Vec<UnitReads>, sweeps: usize, depth: usize) -> Feed {
        Feed {
            kept: vec![None; reads.len()],
            places: reads.len() * sweeps,
            loader,
            reads,
            asked: VecDeque::new(),
            at: 0,
            open: false,
            depth,
        }
    }

    /// The next unit, waited for.
    pub(crate) fn next(&mut self) -> Result<Fed, ReadError> {
        self.open = false;
        self.ask(self.depth.max(1))?;
        let unit = self.at % self.reads.len();
        let Asked { unit: asked, ahead } = self.asked.pop_front().ok_or(ReadError::Cancelled)?;
        let loaded = match asked {
            Some(pending) => pending.wait()?,
            None => self.kept[unit].clone().ok_or(ReadError::Cancelled)?,
        };
        if self.reads[unit].stays {
            self.kept[unit] = Some(Arc::clone(&loaded));
        }
        self.at += 1;
        self.open = self.waits(unit);
        self.ask(self.depth)?;
        Ok(Fed { unit: loaded, ahead })
    }

    /// Whether [`Feed::next`] would not wait. Nothing is handed out before the experts of the last unit are asked for.
    pub(crate) fn is_ready(&self) -> bool {
        let ready = |asked: &Asked| asked.unit.as_ref().is_none_or(Pending::is_ready);
        !self.open && self.asked.front().is_some_and(ready)
    }

    /// Asks for groups of experts of the unit handed out last, in this order; `last` are those of its last mixture.
    pub(crate) fn experts(
        &mut self,
        groups: impl Iterator<Item = PlannedUnit>,
        last: bool,
    ) -> Result<VecDeque<Pending>, ReadError> {
        let asked = request(&self.loader, groups.map(Arc::new))?;
        if last {
            self.open = false;
            self.ask(self.depth)?;
        }
        Ok(asked)
    }

    /// What was read so far.
    pub(crate) fn stats(&self) -> ReadStats {
        self.loader.stats()
    }

    fn waits(&self, unit: usize) -> bool {
        matches!(self.reads[unit].experts, ExpertReads::Hit)
    }

    /// Asks for up to `depth` units ahead. Arenas are given in the order of requests, so nothing is asked for
    /// that would stand before experts which are needed earlier: only one unit goes before those.
    fn ask(&mut self, depth: usize) -> Result<(), ReadError> {
        while self.asked.len() < depth && self.at + self.asked.len() < self.places {
            let place = self.at + self.asked.len();
            let waits = self.open || (self.at..place).any(|before| self.waits(before % self.reads.len()));
            if waits && !self.asked.is_empty() {
                break;
            }
            let reads = &self.reads[place % self.reads.len()];
            let again = place >= self.reads.len() && reads.stays;
            let unit = match again {
                true => None,
                false => Some(self.loader.request(Arc::clone(&reads.unit))?),
            };
            let ahead = match &reads.experts {
                ExpertReads::All(mixtures) => mixtures
                    .iter()
                    .map(|groups| request(&self.loader, groups.iter().cloned()))
                    .collect::<Result<_, _>>()?,
                _ => Vec::new(),
            };
            self.asked.push_back(Asked { unit, ahead });
        }
        Ok(())
    }
}

fn request(loader: &Loader, units: impl Iterator<Item = Arc<PlannedUnit>>) -> Result<VecDeque<Pending>, ReadError> {
    units.map(|unit| loader.request(unit)).collect()
}
