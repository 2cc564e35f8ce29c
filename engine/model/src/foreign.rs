//! Functions that are no ops of the engine: code from outside that takes tensors and gives tensors.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::infer::Kind;

/// The extent of one axis, as a foreign function sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignDim {
    /// The tokens of the batch. Only dim 0 can be this.
    Rows,
    /// A known size.
    Size(u64),
}

/// The type of a tensor, as a foreign function sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignType {
    /// Its elements.
    pub kind: Kind,
    /// Its shape.
    pub dims: Vec<ForeignDim>,
}

/// Elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum ForeignValues {
    /// Floats, whatever type the engine computes in.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
}

/// A tensor that crosses to a foreign function or comes from it.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignTensor {
    /// Its shape.
    pub shape: Vec<u64>,
    /// As many as the shape says.
    pub values: ForeignValues,
}

/// The code of a foreign function. `options` is the map of the call as a JSON object.
pub trait TensorFunction: Send + Sync {
    /// Types of the results; an input that is not given is `None`.
    ///
    /// # Errors
    /// Why the inputs do not fit, for the user.
    fn infer(&self, options: &str, inputs: &[Option<ForeignType>]) -> Result<Vec<ForeignType>, String>;

    /// The results, in the types that [`TensorFunction::infer`] gives. `lengths` are those of the sequences in the rows.
    ///
    /// # Errors
    /// What went wrong, for the user.
    fn compute(
        &self,
        options: &str,
        inputs: Vec<Option<ForeignTensor>>,
        lengths: &[u64],
    ) -> Result<Vec<ForeignTensor>, String>;
}

/// A call of a foreign function. Equality is that of names, code (by its digest) and options.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// Id of the plugin.
    pub plugin: String,
    /// Name of the function.
    pub function: String,
    /// Options of the call as a JSON object.
    pub options: String,
    /// Number of results.
    pub outputs: u16,
    /// Digest of the code; empty in a plan that is not tied to code yet.
    #[serde(default)]
    pub digest: String,
    /// The code, if it is known.
    #[serde(skip)]
    pub code: Code,
}

/// A handle to the code of a function. It takes no part in comparisons.
#[derive(Clone, Default)]
pub struct Code(pub Option<Arc<dyn TensorFunction>>);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "code" } else { "no code" })
    }
}

impl PartialEq for Code {
    fn eq(&self, _: &Code) -> bool {
        true
    }
}

impl Eq for Code {}

impl Hash for Code {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
