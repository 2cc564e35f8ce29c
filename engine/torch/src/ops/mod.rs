//! The operations, as free functions on libtorch's tensors.

pub(crate) mod experts;
pub(crate) mod heads;
pub(crate) mod matrix;
pub(crate) mod norm;
pub(crate) mod pointwise;
pub(crate) mod rotary;
pub(crate) mod route;
pub(crate) mod rows;
