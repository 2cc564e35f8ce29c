//! Operations that read weights by name.

use super::text::json;

use super::module::Path;
use super::{Module, Tensor};

/// The weight of an operation: a module by name (`<module>.weight` and, where the checkpoint has it, `<module>.bias`),
/// or a tensor, which stands for the weight alone.
#[derive(Clone, Debug)]
pub enum Weight<'g> {
    /// The name of a module.
    Module(String),
    /// The weight itself.
    Tensor(Tensor<'g>),
}

impl From<&str> for Weight<'_> {
    fn from(name: &str) -> Self {
        Weight::Module(name.to_owned())
    }
}

impl From<String> for Weight<'_> {
    fn from(name: String) -> Self {
        Weight::Module(name)
    }
}

impl<'g> From<Tensor<'g>> for Weight<'g> {
    fn from(weight: Tensor<'g>) -> Weight<'g> {
        Weight::Tensor(weight)
    }
}

/// The bias of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub enum Bias<'g> {
    /// `<module>.bias`, where the checkpoint has it.
    #[default]
    AsStored,
    /// None: a bias in the file is an error, as an unused tensor.
    None,
    /// This tensor.
    Tensor(Tensor<'g>),
}

/// Options of [`Module::linear_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Linear<'g> {
    /// The weight is stored `[in, out]`.
    pub transposed: bool,
    /// What is added.
    pub bias: Bias<'g>,
}

/// Options of a norm.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Added to the weight: 1 for files that store weight - 1.
    pub offset: f64,
    /// The last dim in that many equal parts, each normed by itself.
    pub groups: u64,
}

impl Default for Norm {
    fn default() -> Norm {
        Norm { offset: 0.0, groups: 1 }
    }
}

impl<'g> Module<'g> {
    fn parameter(&self, path: &Path, shape: Option<&[u64]>, optional: bool, stacked: Option<u64>) -> Tensor<'g> {
        Tensor {
            sheet: self.sheet,
            value: self.sheet.param(path.json(), &path.text, shape, optional, stacked),
        }
    }

    /// The weight, and the module's path if it was named.
    pub(crate) fn weight(&self, weight: Weight<'g>) -> (Tensor<'g>, Option<Path>) {
        match weight {
            Weight::Tensor(weight) => (weight, None),
            Weight::Module(name) => {
                let path = self.path.join(&name);
                (self.parameter(&path.join("weight"), None, false, None), Some(path))
            }
        }
    }

    pub(crate) fn bias(&self, bias: Bias<'g>, module: Option<Path>) -> Option<Tensor<'g>> {
        match bias {
            Bias::AsStored => module.map(|path| self.parameter(&path.join("bias"), None, true, None)),
            Bias::None => None,
            Bias::Tensor(bias) => Some(bias),
        }
    }

    /// The tensor of exactly that name: no `.weight` is added.
    pub fn param(&self, name: &str) -> Tensor<'g> {
        self.parameter(&self.path.join(name), None, false, None)
    }

    /// The tensor of that name, its elements read in this shape.
    pub fn param_shaped(&self, name: &str, shape: &[u64]) -> Tensor<'g> {
        self.parameter(&self.path.join(name), Some(shape), false, None)
    }

    /// `a.0.weight` .. `a.<n-1>.weight` for the name `a.{n}.weight`, stacked on a new first dim.
    pub fn params(&self, name: &str, count: u64) -> Tensor<'g> {
        self.parameter(&self.path.join(name), None, false, Some(count))
    }

    /// x Wᵀ + bias, `[.., a]` to `[.., b]`; W `[b, a]`, or `[H, b, a]`: one matrix per head.
    pub fn linear(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>) -> Tensor<'g> {
        self.linear_with(x, weight, Linear::default())
    }

    /// As [`Module::linear`], with options.
    pub fn linear_with(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, options: Linear<'g>) -> Tensor<'g> {
        let (weight, module) = self.weight(weight.into());
        let bias = self.bias(options.bias, module);
        x.apply(
            json!({"linear": {"transposed": options.transposed}}),
            &[Some(weight), bias],
        )
    }

    /// Rows of the table `[V, C]`, one per id.
    pub fn embedding(&self, ids: Tensor<'g>, table: impl Into<Weight<'g>>) -> Tensor<'g> {
        let (table, _) = self.weight(table.into());
        ids.apply(json!("embedding"), &[Some(table)])
    }

    /// x / sqrt(mean x² + eps) * weight over the last dim, in f32. No bias is read.
    pub fn rms_norm(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, eps: f64) -> Tensor<'g> {
        self.rms_norm_with(x, weight, eps, Norm::default())
    }

    /// As [`Module::rms_norm`], with options.
    pub fn rms_norm_with(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, eps: f64, norm: Norm) -> Tensor<'g> {
        let (weight, _) = self.weight(weight.into());
        let options = json!({"eps": eps, "offset": norm.offset, "groups": norm.groups});
        x.apply(json!({ "rms_norm": options }), &[Some(weight)])
    }

    /// (x - mean) / sqrt(var + eps) * weight + bias over the last dim, in f32.
    pub fn layer_norm(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, eps: f64) -> Tensor<'g> {
        self.layer_norm_with(x, weight, eps, Norm::default())
    }

    /// As [`Module::layer_norm`], with options.
    pub fn layer_norm_with(&self, x: Tensor<'g>, weight: impl Into<Weight<'g>>, eps: f64, norm: Norm) -> Tensor<'g> {
        let (weight, module) = self.weight(weight.into());
        let bias = self.bias(Bias::AsStored, module);
        let options = json!({"eps": eps, "offset": norm.offset, "groups": norm.groups});
        x.apply(json!({ "layer_norm": options }), &[Some(weight), bias])
    }
}
