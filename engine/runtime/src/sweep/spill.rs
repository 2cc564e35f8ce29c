//! Hidden state on disk: what a micro-batch carries from unit to unit, written behind and read ahead.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sli_checkpoint::{SpillBuffer, SpillError, SpillFile, SpillOptions, SpillStats};
use sli_config::Diagnostic;
use sli_model::{DType, StackValue};
use sli_torch::{ByteView, Bytes, Device, RowSet, RtValue, Tensor, TensorError};

use super::micro::Micro;
use crate::error::{Result, RunError};

/// Tensors begin at multiples of this in a record, as vector instructions like it.
const ALIGN: usize = 64;

/// Added to a record's planned size: padding between its tensors.
const PADDING: u64 = 4096;

/// The micro-batches of a sweep, on disk.
pub(super) struct Spill {
    file: SpillFile,
    /// Where it computes.
    device: Device,
    records: Vec<Vec<(Name, Stored)>>,
}

/// Which value of a micro-batch.
#[derive(Clone, Debug)]
enum Name {
    X,
    Let(String),
    Carry(String),
    Kept((String, StackValue)),
}

/// Where a value is meanwhile.
enum Stored {
    /// In the record.
    Disk {
        range: Range<usize>,
        dtype: DType,
        shape: Vec<i64>,
        rows: Option<Arc<RowSet>>,
    },
    /// A score bias or a number: small, and no plain tensor.
    Memory(RtValue),
}

/// A record in memory that tensors look into.
struct Record(SpillBuffer);

impl AsRef<[u8]> for Record {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Spill {
    /// A file in `dir` for micro-batches whose hidden state takes `bytes` each.
    pub(super) fn create(dir: &Path, bytes: &[u64], device: Device) -> Result<Spill> {
        let slots: Vec<u64> = bytes.iter().map(|bytes| bytes + PADDING).collect();
        Ok(Spill {
            device,
            file: SpillFile::create(dir, &slots, SpillOptions::default()).map_err(spill_error)?,
            records: slots.iter().map(|_| Vec::new()).collect(),
        })
    }

    /// Starts to read micro-batches from that one on, as many as there are buffers for.
    pub(super) fn prefetch(&mut self, index: usize) {
        for ahead in index..index + self.file.read_ahead() {
            if self.records.get(ahead).is_some_and(|record| !record.is_empty()) {
                self.file.prefetch(ahead);
            }
        }
    }

    /// Gives a micro-batch its values back.
    pub(super) fn get(&mut self, index: usize, micro: &mut Micro) -> Result<()> {
        let record = std::mem::take(&mut self.records[index]);
        if record.is_empty() {
            return Ok(());
        }
        let bytes: Bytes = Arc::new(Record(self.file.read(index).map_err(spill_error)?));
        for (name, stored) in record {
            let value = match stored {
                Stored::Memory(value) => value,
                Stored::Disk {
                    range,
                    dtype,
                    shape,
                    rows,
                } => {
                    let view = ByteView::new(Arc::clone(&bytes), range).map_err(failed)?;
                    let host = Tensor::view(view, dtype, &shape).map_err(failed)?;
                    let tensor = host.to_device(self.device).map_err(failed)?;
                    RtValue::Tensor { tensor, rows }
                }
            };
            match name {
                Name::X => micro.x = Some(value),
                Name::Let(name) => drop(micro.lets.insert(name, value)),
                Name::Carry(name) => drop(micro.carry.insert(name, value)),
                Name::Kept(key) => drop(micro.kept.insert(key, value)),
            }
        }
        Ok(())
    }

    /// Takes a micro-batch's values and writes them behind.
    pub(super) fn put(&mut self, index: usize, micro: &mut Micro) -> Result<()> {
        let x = micro.x.take().map(|x| (Name::X, x));
        let lets = micro.lets.drain().map(|(name, value)| (Name::Let(name), value));
        let carry = micro.carry.drain().map(|(name, value)| (Name::Carry(name), value));
        let kept = micro.kept.drain().map(|(key, value)| (Name::Kept(key), value));
        let (mut record, mut tensors, mut end) = (Vec::new(), Vec::new(), 0_usize);
        for (name, value) in x.into_iter().chain(lets).chain(carry).chain(kept) {
            let stored = match value {
                RtValue::Tensor { tensor, rows } => {
                    let host = tensor.contiguous().and_then(|tensor| tensor.to_device(Device::Cpu));
                    let tensor = host.map_err(failed)?;
                    let start = end.next_multiple_of(ALIGN);
                    let range = start..start + tensor.nbytes();
                    let (dtype, shape) = (tensor.dtype(), tensor.shape());
                    tensors.push((start - end, tensor));
                    end = range.end;
                    Stored::Disk {
                        range,
                        dtype,
                        shape,
                        rows,
                    }
                }
                other => Stored::Memory(other),
            };
            record.push((name, stored));
        }
        let zeros = [0; ALIGN];
        let mut parts: Vec<&[u8]> = Vec::with_capacity(2 * tensors.len());
        for (gap, tensor) in &tensors {
            parts.push(&zeros[..*gap]);
            parts.push(tensor.bytes().map_err(failed)?);
        }
        self.file.write(index, &parts).map_err(spill_error)?;
        self.records[index] = record;
        Ok(())
    }

    /// What was written and read.
    pub(super) fn stats(&self) -> SpillStats {
        self.file.stats()
    }
}

fn failed(error: TensorError) -> RunError {
    RunError::run(Diagnostic::error(format!("hidden state on disk: {error}")))
}

fn spill_error(error: SpillError) -> RunError {
    RunError::run(Diagnostic::error(error.to_string()))
}
