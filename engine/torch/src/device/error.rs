//! Why a device cannot be used.

use std::path::PathBuf;

/// Why a device cannot be used, or a copy to it failed: what was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// A name that is none.
    #[error("`{name}` is no device; `auto`, `cpu`, `cuda` or one by number as `cuda:1` is expected")]
    Name {
        /// As given.
        name: String,
    },
    /// No driver.
    #[error(
        "there is no NVIDIA driver: `libcuda.so.1` cannot be loaded. Install the driver (in a container: start it \
         with `--gpus all`), or set `device = \"cpu\"`"
    )]
    NoDriver,
    /// A driver without devices.
    #[error(
        "the NVIDIA driver shows no device. `nvidia-smi` lists what there is, and `CUDA_VISIBLE_DEVICES` may hide it; \
         or set `device = \"cpu\"`"
    )]
    NoDevice,
    /// An index too large.
    #[error("there is no device `cuda:{index}`: the driver shows {count}, counted from 0")]
    Index {
        /// As asked for.
        index: usize,
        /// Devices there are.
        count: usize,
    },
    /// No `libtorch_cuda.so` anywhere.
    #[error(
        "`libtorch_cuda.so` was not found; looked for: {}. It comes with the CUDA build of PyTorch {expected}: set \
         `LIBTORCH` to the `torch` folder of such an installation, or add its `lib` folder to `LD_LIBRARY_PATH`",
        list(looked)
    )]
    NotFound {
        /// Files that are not there.
        looked: Vec<PathBuf>,
        /// The version this program was built for.
        expected: &'static str,
    },
    /// One of another version.
    #[error(
        "`{}` belongs to libtorch {found}, and this program was built for {expected}; install the CUDA build of \
         PyTorch {expected}",
        path.display()
    )]
    Version {
        /// The library.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The version this program was built for.
        expected: &'static str,
    },
    /// The system's loader refused.
    #[error(
        "`{}` cannot be loaded: {why}. Libraries that it names must be found beside it or in `LD_LIBRARY_PATH`, and it \
         must be the CUDA build of PyTorch {expected}",
        path.display()
    )]
    Load {
        /// The library.
        path: PathBuf,
        /// The loader's words.
        why: String,
        /// The version this program was built for.
        expected: &'static str,
    },
    /// libtorch was asked before the library came.
    #[error(
        "libtorch had computed before `libtorch_cuda.so` was loaded, and does not look for it a second time; start the \
         program anew with the device named from the start"
    )]
    TooLate,
    /// The driver shows devices, libtorch does not.
    #[error(
        "the driver shows {count} CUDA devices, libtorch {usable}; its driver version ({driver}) is probably too old \
         for libtorch's CUDA ({runtime}): update the driver"
    )]
    OldDriver {
        /// Devices of the driver.
        count: usize,
        /// Devices that libtorch can use.
        usable: usize,
        /// The CUDA version the driver knows, as `13.0`.
        driver: String,
        /// The CUDA version libtorch was built with.
        runtime: String,
    },
    /// A call of the driver failed.
    #[error("{what} failed on `cuda:{index}`: {why}")]
    Driver {
        /// What was tried.
        what: String,
        /// The device.
        index: usize,
        /// The driver's words.
        why: String,
    },
    /// No memory for what is needed.
    #[error("`{device}` has no {needed} bytes left ({why}); set a smaller `gpu_memory`, or free the device")]
    Memory {
        /// The device.
        device: String,
        /// Bytes asked for.
        needed: usize,
        /// libtorch's words.
        why: String,
    },
    /// A unit is larger than a slot, or a range lies outside.
    #[error("{0}")]
    Unit(String),
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    names.join(", ")
}
