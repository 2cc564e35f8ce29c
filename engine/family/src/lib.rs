//! Families: detection, the equation compiler, and the way from a descriptor and a config.json to a plan.
//!
//! A family is a TOML file (`families/<id>.toml`); `docs/language.md` specifies it. This crate follows
//! `extends` and `include`, checks names and keys, evaluates the equations of every layer and gives a
//! `sli_model::ModelPlan`. It reads no tensors: `sli_model::bind` meets the plan with a checkpoint.

mod check;
mod compile;
mod descriptor;
mod expr;
mod flat;
mod foreign;
mod functions;
mod parity;
mod prune;
mod registry;
mod value;

pub use check::unhandled_by;
pub use descriptor::{Descriptor, Family, refusal_of_format};
pub use foreign::ForeignFunction;
pub use functions::{FunctionDoc, reference, signatures};
pub use parity::{Parity, parity};
pub use registry::{CodeFamily, Registry};
