//! Tensor kernels: runs the graphs of `sli-model` on libtorch.
//!
//! The only crate that names tch. Others see [`Tensor`], [`RowSet`], [`run`] and the kernels of the
//! stages ([`stats`], [`score`], [`pool`]). Nothing here panics on the data it is given: tch's
//! fallible forms are used throughout, and every error names the operation and the shapes.

mod attention;
mod cpu;
pub mod device;
mod error;
mod exec;
#[cfg(all(test, target_os = "linux"))]
mod fake;
mod host;
mod kinds;
mod mix;
mod ops;
mod place;
pub mod pool;
mod rate;
mod rowset;
mod scan;
pub mod score;
pub mod stats;
mod tensor;
#[cfg(test)]
mod testing;
pub mod upload;
mod value;
mod weights;

pub use attention::Bias;
pub use cpu::{TUNED, Tuned, cpu_has_fast_bf16, set_threads, threads};
pub use device::{Device, DeviceError, DeviceMemory};
pub use error::{ExecError, Result, TensorError};
pub use exec::{Batch, Known, run};
pub use ops::experts::{EXPERT_ROWS, Mixture};
pub use rate::product_rate;
pub use rowset::RowSet;
pub use tensor::{ByteView, Bytes, Tensor};
pub use value::RtValue;
pub use weights::{ParamValue, Weights, prepare};
