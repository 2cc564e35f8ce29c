//! Pure values of sli-pipe: dtypes, the tensor graph, model plans, shape inference, binding.
//!
//! This crate knows nothing of files, TOML, CEL or torch: a plan is plain data that can be
//! printed, compared, hashed and serialised, whoever made it (a descriptor or a plugin).

pub mod bind;
mod canonical;
pub mod cost;
pub mod display;
mod dtype;
mod foreign;
mod graph;
pub mod infer;
pub mod names;
mod num;
mod op;
mod op_name;
mod plan;
mod rope;
#[cfg(test)]
mod testing;

pub use dtype::DType;
pub use foreign::{Code, Foreign, ForeignDim, ForeignTensor, ForeignType, ForeignValues, TensorFunction};
pub use graph::{Graph, GraphInput, Node, Origin, PairIndex, Param, ParamForm, ParamId, Point, StackValue, Value};
pub use names::{Base, NameRules, Packed, ParamName, Part, Parts, glob_matches};
pub use num::{Num, Scalar, round_bf16, round_f16};
pub use op::{
    Activation, Attend, BinaryOp, Experts, LinearScan, Op, PairBias, Relative, ScanNormalize, Sizes, UnaryOp,
};
pub use plan::{InputKind, LayerPlan, ModelPlan, StackPlan};
pub use rope::{Axes, Frequencies, Rope};
