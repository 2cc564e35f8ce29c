//! The micro-batches of a sweep, in memory or on disk.

use std::path::Path;

use sli_checkpoint::SpillStats;
use sli_torch::Device;

use super::micro::Micro;
use super::spill::Spill;
use crate::error::Result;

/// The micro-batches of a sweep.
pub(super) struct Micros {
    all: Vec<Micro>,
    spill: Option<Spill>,
}

impl Micros {
    /// Micro-batches whose hidden state stays in memory, or is written to a file in the folder of `spill`, which
    /// says how many bytes each takes.
    pub(super) fn new(all: Vec<Micro>, spill: Option<(&Path, &[u64])>, device: Device) -> Result<Micros> {
        let spill = spill
            .map(|(dir, bytes)| Spill::create(dir, bytes, device))
            .transpose()?;
        Ok(Micros { all, spill })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them, where they are in memory.
    pub(super) fn in_memory(&mut self) -> &mut [Micro] {
        &mut self.all
    }

    /// Visits one after the other. After the last unit of a sweep nothing is written any more.
    pub(super) fn each(&mut self, last: bool, mut visit: impl FnMut(usize, &mut Micro) -> Result<()>) -> Result<()> {
        for index in 0..self.all.len() {
            let micro = &mut self.all[index];
            if let Some(spill) = &mut self.spill {
                spill.get(index, micro)?;
                spill.prefetch(index + 1);
            }
            visit(index, micro)?;
            match &mut self.spill {
                Some(spill) if !last => spill.put(index, micro)?,
                Some(_) => micro.clear(),
                None => {}
            }
        }
        // The next unit begins with the first ones.
        if let Some(spill) = &mut self.spill {
            spill.prefetch(0);
        }
        Ok(())
    }

    /// What went to disk and back.
    pub(super) fn stats(&self) -> SpillStats {
        self.spill.as_ref().map(Spill::stats).unwrap_or_default()
    }
}
