//! Functions of tensors that descriptors call by name.

use serde::de::DeserializeOwned;

use crate::log;
pub use bindings::exports::sli_pipe::plugin::tensor_op::{Dim, Kind, Tensor, TensorType, Values};

/// The generated glue; of use to [`op!`](crate::op!) only.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod bindings {
    crate::bindings!("op", "__export_op", "sli_pipe_plugin::op::bindings");
}

/// One function of tensors.
pub trait Function {
    /// Its name in descriptors and in the manifest's `[functions]`.
    const NAME: &'static str;

    /// The map of the call; its fields are the options that the manifest's schema has.
    type Options: DeserializeOwned;

    /// Types of the results, from those of the inputs; an input that is null in the call is `None`.
    ///
    /// # Errors
    /// Why the inputs do not fit; shown at the call.
    fn infer(options: &Self::Options, inputs: &[Option<TensorType>]) -> Result<Vec<TensorType>, String>;

    /// The results, of the types that `infer` said. `lengths` are those of the sequences that lie back to back in the
    /// rows. What a sequence gets must not depend on the others.
    ///
    /// # Errors
    /// Why the run must stop.
    fn compute(options: &Self::Options, inputs: Vec<Option<Tensor>>, lengths: &[u64]) -> Result<Vec<Tensor>, String>;
}

impl TensorType {
    /// Floats of this shape.
    pub fn floats(dims: impl Into<Vec<Dim>>) -> TensorType {
        TensorType {
            kind: Kind::Float,
            dims: dims.into(),
        }
    }
}

impl Tensor {
    /// The elements of a tensor of floats.
    ///
    /// # Errors
    /// It holds integers.
    pub fn into_floats(self) -> Result<Vec<f32>, String> {
        match self.values {
            Values::Floats(floats) => Ok(floats),
            Values::Ints(_) => Err("a tensor of floats is expected, not of integers".to_owned()),
        }
    }
}

/// The ranges of rows of the sequences with these lengths.
pub fn sequences(lengths: &[u64]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut start = 0;
    lengths.iter().map(move |length| {
        let range = start..start + *length as usize;
        start = range.end;
        range
    })
}

/// `infer` of a function by the options' text; of use to [`op!`](crate::op!) only.
#[doc(hidden)]
pub fn infer<F: Function>(options: &str, inputs: &[Option<TensorType>]) -> Result<Vec<TensorType>, String> {
    log::panics();
    F::infer(&crate::options(options)?, inputs)
}

/// `compute` of a function by the options' text; of use to [`op!`](crate::op!) only.
#[doc(hidden)]
pub fn compute<F: Function>(
    options: &str,
    inputs: Vec<Option<Tensor>>,
    lengths: &[u64],
) -> Result<Vec<Tensor>, String> {
    log::panics();
    F::compute(&crate::options(options)?, inputs, lengths)
}

/// Exports types that implement [`op::Function`](crate::op::Function) as the plugin.
#[macro_export]
macro_rules! op {
    ($($function:ty),+ $(; id = $id:expr, version = $version:expr)?) => {
        /// The functions as the exports of a component.
        #[doc(hidden)]
        pub struct __SliPipePlugin;
        $crate::__described!(__SliPipePlugin $(, $id, $version)?);

        const _: () = {
            use $crate::op::bindings::exports::sli_pipe::plugin as exports;
            use $crate::op::{Function, Tensor, TensorType};

            impl exports::about::Guest for __SliPipePlugin {
                fn describe() -> exports::about::Description {
                    exports::about::Description {
                        id: <__SliPipePlugin as $crate::Described>::ID.to_owned(),
                        version: <__SliPipePlugin as $crate::Described>::VERSION.to_owned(),
                    }
                }
            }

            impl exports::tensor_op::Guest for __SliPipePlugin {
                fn infer(
                    function: String,
                    options: String,
                    inputs: Vec<Option<TensorType>>,
                ) -> Result<Vec<TensorType>, String> {
                    $(if function == <$function>::NAME {
                        return $crate::op::infer::<$function>(&options, &inputs);
                    })+
                    Err(format!("this plugin has no function `{function}`"))
                }

                fn compute(
                    function: String,
                    options: String,
                    inputs: Vec<Option<Tensor>>,
                    lengths: Vec<u64>,
                ) -> Result<Vec<Tensor>, String> {
                    $(if function == <$function>::NAME {
                        return $crate::op::compute::<$function>(&options, inputs, &lengths);
                    })+
                    Err(format!("this plugin has no function `{function}`"))
                }
            }
        };
        #[cfg(target_arch = "wasm32")]
        $crate::op::bindings::__export_op!(__SliPipePlugin with_types_in $crate::op::bindings);
    };
}
