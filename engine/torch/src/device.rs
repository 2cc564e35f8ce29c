//! Where tensors are computed: the processor, or a CUDA device whose libraries are loaded at run time.
//!
//! The program links the CPU half of libtorch alone. [`Device::open`] loads the other half, which registers
//! itself with the first: from then on the same operations run on either.

mod driver;
mod error;
mod load;

pub(crate) use driver::{Context, failed as driver_error};
pub use error::DeviceError;

use std::fmt;

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A CUDA device, by its index among those that `CUDA_VISIBLE_DEVICES` leaves.
    Cuda(usize),
}

/// Bytes of a device's memory, of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Not in use now.
    pub free: usize,
    /// All.
    pub total: usize,
}

impl Device {
    /// The device of that name, ready to compute: `cpu`, `cuda` (the first), `cuda:1`, or `auto`, which is
    /// [`Device::auto`]'s.
    ///
    /// To be called before any tensor is made: libtorch asks once in a process whether it knows CUDA.
    ///
    /// # Errors
    /// A name of another form; and for CUDA what is missing, and what to do about it.
    pub fn open(name: &str) -> Result<Device, DeviceError> {
        match name.trim() {
            "auto" => Ok(Device::auto().0),
            "cpu" => Ok(Device::Cpu),
            other => {
                let index = index_of(other).ok_or_else(|| DeviceError::Name { name: name.to_owned() })?;
                load::cuda(index)?;
                Ok(Device::Cuda(index))
            }
        }
    }

    /// The first CUDA device if one can be used, else the processor and the reason.
    pub fn auto() -> (Device, Option<DeviceError>) {
        match load::cuda(0) {
            Ok(()) => (Device::Cuda(0), None),
            Err(reason) => (Device::Cpu, Some(reason)),
        }
    }

    /// True for the processor.
    pub fn is_cpu(self) -> bool {
        self == Device::Cpu
    }

    /// The memory of a CUDA device; `None` for the processor, whose memory is the process's budget.
    ///
    /// What libtorch keeps for itself counts as used.
    ///
    /// # Errors
    /// A driver that does not answer.
    pub fn memory(self) -> Result<Option<DeviceMemory>, DeviceError> {
        match self {
            Device::Cpu => Ok(None),
            Device::Cuda(index) => Ok(Some(Context::new(index)?.memory()?)),
        }
    }

    /// Waits until everything handed to the device is computed; for measurements.
    pub fn synchronize(self) {
        if let Device::Cuda(index) = self {
            tch::Cuda::synchronize(index as i64);
        }
    }

    /// libtorch's name of the device.
    pub(crate) fn raw(self) -> tch::Device {
        match self {
            Device::Cpu => tch::Device::Cpu,
            Device::Cuda(index) => tch::Device::Cuda(index),
        }
    }

    /// The device of a tensor of libtorch's; no others are made here.
    pub(crate) fn of(raw: tch::Device) -> Device {
        match raw {
            tch::Device::Cuda(index) => Device::Cuda(index),
            _ => Device::Cpu,
        }
    }
}

/// `cuda` -> 0, `cuda:3` -> 3.
fn index_of(name: &str) -> Option<usize> {
    match name.strip_prefix("cuda")? {
        "" => Some(0),
        // no sign, no blanks
        rest => rest
            .strip_prefix(':')
            .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?
            .parse()
            .ok(),
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        assert_eq!(index_of("cuda"), Some(0));
        assert_eq!(index_of("cuda:11"), Some(11));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda1", "cuda:1 ", "CUDA"] {
            assert_eq!(index_of(wrong), None, "{wrong}");
        }
        assert_eq!(Device::Cuda(2).to_string(), "cuda:2");
        assert_eq!(Device::open(" cpu ").unwrap(), Device::Cpu);
        assert_eq!(Device::Cpu.memory().unwrap(), None);
        let error = Device::open("gpu").unwrap_err().to_string();
        assert!(error.contains("`gpu`") && error.contains("cuda:1"), "{error}");
    }

    #[test]
    fn auto_is_the_processor_where_cuda_is_not_and_says_why() {
        match Device::auto() {
            (Device::Cpu, Some(reason)) => {
                let named = Device::open("cuda").unwrap_err();
                assert_eq!(named.to_string(), reason.to_string(), "the same answer twice");
                assert!(reason.to_string().len() > 40, "{reason}");
            }
            (Device::Cuda(0), None) => assert!(Device::Cuda(0).memory().unwrap().unwrap().total > 0),
            other => panic!("{other:?}"),
        }
    }
}
