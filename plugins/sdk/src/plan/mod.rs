//! Plans, built by code that reads like a descriptor.
//!
//! A plan is made of graphs: what enters a stack, one per layer, what follows the last layer, the head. Each graph is
//! built in a closure that gets a [`Module`] and its input; a [`Tensor`] is a handle to a value of that graph. Handles
//! of one graph cannot be used in another: the compiler of this crate refuses it.
//!
//! ```ignore
//! let mut plan = Plan::new();
//! plan.names().root(["model.", ""]).tie("/lm_head", "embed_tokens", tied);
//! plan.stack("decoder", |stack| {
//!     stack.enter(|m| m.embedding(m.tokens(), "embed_tokens"));
//!     for i in 0..layers {
//!         stack.layer("decoder", &format!("layers.{i}."), |m, x| {
//!             let h = x + attention(&m.at("self_attn"), m.rms_norm(x, "input_layernorm", eps));
//!             h + mlp(&m.at("mlp"), m.rms_norm(h, "post_attention_layernorm", eps))
//!         });
//!     }
//! });
//! plan.head(|m, x| {
//!     let last = m.output("final", m.rms_norm(x, "norm", eps));
//!     m.output("logits", m.linear(last, "/lm_head"));
//! });
//! ```
//!
//! Operations on values alone are methods of [`Tensor`]; those that read weights are methods of [`Module`], whose path
//! their names are relative to. They are the functions of `docs/functions.md`, with the same defaults. Numbers of the
//! plan are plain Rust numbers until they meet a tensor: a `f64` stays a float, an `i64` keeps integers integer.

mod activation;
mod attention;
mod bias;
mod experts;
mod graph;
mod layers;
mod math;
mod mixers;
mod module;
mod names;
mod points;
mod rope;
mod rope_kinds;
mod shapes;
mod stack;
mod tensor;
mod text;
mod weights;

pub use activation::{Activation, normal_quantile, yarn_mscale};
pub use attention::{Attend, Sinks};
pub use bias::{Pair, Relative, ScoreBias};
pub use experts::{Chosen, Experts};
pub use layers::{Plan, StackValue};
pub use mixers::{Normalize, RowConv, Scan};
pub use module::Module;
pub use names::{Names, Part, Piece};
pub use rope::{Axial, Rope, RopeOptions};
pub use stack::Stack;
pub use tensor::{Handle, Operand, Tensor};
pub use weights::{Bias, Linear, Norm, Weight};
