//! {{title}}: a function of tensors.

use serde::Deserialize;
use sli_pipe_plugin::op::{Dim, Function, Tensor, TensorType, Values};

/// The function.
pub struct ScaleRows;

sli_pipe_plugin::op!(ScaleRows);

/// The map of the call; `plugin.toml` has its schema.
#[derive(Deserialize)]
pub struct Options {
    #[serde(default = "one")]
    factor: f32,
}

fn one() -> f32 {
    1.0
}

impl Function for ScaleRows {
    const NAME: &'static str = "scale_rows";
    type Options = Options;

    /// Types of the results, when a model is planned.
    fn infer(_: &Options, inputs: &[Option<TensorType>]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [Some(x), _] if matches!(x.dims[..], [Dim::Rows, Dim::Size(_)]) => Ok(vec![TensorType::floats(x.dims.clone())]),
            _ => Err("x is [N, C]".to_owned()),
        }
    }

    /// The results. `lengths` are those of the sequences in the rows (`op::sequences` gives their ranges).
    fn compute(options: &Options, inputs: Vec<Option<Tensor>>, _lengths: &[u64]) -> Result<Vec<Tensor>, String> {
        let mut inputs = inputs.into_iter();
        let (Some(Some(x)), Some(by)) = (inputs.next(), inputs.next()) else {
            return Err("x is needed".to_owned());
        };
        let (shape, width) = (x.shape.clone(), x.shape[1] as usize);
        let mut values = x.into_floats()?;
        let by = by.map(Tensor::into_floats).transpose()?;
        for (k, value) in values.iter_mut().enumerate() {
            *value *= options.factor * by.as_ref().map_or(1.0, |by| by[k / width]);
        }
        Ok(vec![Tensor { shape, values: Values::Floats(values) }])
    }
}
