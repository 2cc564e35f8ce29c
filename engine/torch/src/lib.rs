//! Tensor kernels: runs the graphs of `sli-model` on libtorch.
//!
//! The only crate that names tch. Others see [`Tensor`], [`RowSet`], [`run`] and the kernels of the
//! stages ([`stats`], [`score`], [`pool`]). Nothing here panics on the data it is given: tch's
//! fallible forms are used throughout, and every error names the operation and the shapes.

mod attention;
mod cpu;
mod error;
mod exec;
mod host;
mod kinds;
mod mix;
mod ops;
pub mod pool;
mod rowset;
mod scan;
pub mod score;
pub mod stats;
mod tensor;
#[cfg(test)]
mod testing;
mod value;
mod weights;

pub use attention::Bias;
pub use cpu::{cpu_has_fast_bf16, set_threads, threads, tuned_environment};
pub use error::{ExecError, Result, TensorError};
pub use exec::{Batch, run};
pub use rowset::RowSet;
pub use tensor::{ByteView, Bytes, Tensor};
pub use value::RtValue;
pub use weights::{ParamValue, Weights, prepare};
