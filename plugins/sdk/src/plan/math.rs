//! Elementwise functions, limits and reductions.

use super::text::json;

use super::{Activation, Operand, Tensor};

/// Functions of one tensor without attributes.
macro_rules! plain {
    ($($(#[doc = $doc:literal])+ $name:ident $op:tt;)*) => {
        impl<'g> Tensor<'g> {
            $($(#[doc = $doc])+
            pub fn $name(self) -> Tensor<'g> {
                self.apply(json!($op), &[])
            })*
        }
    };
}

plain! {
    /// e to the power of x.
    exp {"unary": "exp"};
    /// The natural logarithm.
    log {"unary": "log"};
    /// The square root.
    sqrt {"unary": "sqrt"};
    /// 1 / sqrt(x).
    rsqrt {"unary": "rsqrt"};
    /// The sine.
    sin {"unary": "sin"};
    /// The cosine.
    cos {"unary": "cos"};
    /// The hyperbolic tangent.
    tanh {"unary": "tanh"};
    /// The absolute value.
    abs {"unary": "abs"};
    /// The largest whole number not above x, in the type of x.
    floor {"unary": "floor"};
    /// The smallest whole number not below x, in the type of x.
    ceil {"unary": "ceil"};
    /// Rounded to bfloat16; the type stays.
    bf16 {"unary": "bf16"};
    /// Rounded to IEEE half; the type stays.
    f16 {"unary": "f16"};
    /// A whole number, cut towards zero.
    int {"unary": "int"};
    /// 1 where x >= 0, else 0.
    step {"unary": "step"};
    /// Over the last dim, in f32.
    softmax "softmax";
    /// Sum over the last dim, which stays as 1.
    sum "sum";
    /// Mean over the last dim, which stays as 1.
    mean "mean";
}

impl<'g> Tensor<'g> {
    /// An activation function.
    pub fn activation(self, activation: Activation) -> Tensor<'g> {
        self.apply(json!({ "activation": activation.op() }), &[])
    }

    /// x σ(x).
    pub fn silu(self) -> Tensor<'g> {
        self.activation(Activation::Silu)
    }

    /// x Φ(x), by erf.
    pub fn gelu(self) -> Tensor<'g> {
        self.activation(Activation::Gelu)
    }

    /// max(x, 0).
    pub fn relu(self) -> Tensor<'g> {
        self.activation(Activation::Relu)
    }

    /// σ(x).
    pub fn sigmoid(self) -> Tensor<'g> {
        self.activation(Activation::Sigmoid)
    }

    /// log(1 + exp(x)).
    pub fn softplus(self) -> Tensor<'g> {
        self.activation(Activation::Softplus)
    }

    /// x to the power of `other`.
    pub fn pow(self, other: impl Into<Operand<'g>>) -> Tensor<'g> {
        self.binary("pow", other)
    }

    /// The smaller one, elementwise.
    pub fn min(self, other: impl Into<Operand<'g>>) -> Tensor<'g> {
        self.binary("min", other)
    }

    /// The larger one, elementwise.
    pub fn max(self, other: impl Into<Operand<'g>>) -> Tensor<'g> {
        self.binary("max", other)
    }

    /// x - other floor(x / other): the rest of a division.
    pub fn modulo(self, other: impl Into<Operand<'g>>) -> Tensor<'g> {
        self.binary("mod", other)
    }

    /// Elementwise `yes` where x is not 0, else `no`; nothing of the branch not taken shows.
    pub fn choose(self, yes: impl Into<Operand<'g>>, no: impl Into<Operand<'g>>) -> Tensor<'g> {
        let (yes, no) = (self.sheet.operand(yes.into()), self.sheet.operand(no.into()));
        let inputs = vec![Some(self.value), Some(yes), Some(no)];
        Tensor {
            value: self.sheet.push(json!("where"), inputs),
            ..self
        }
    }

    /// Limited to `[lo, hi]`; `None` and infinities are open.
    pub fn clamp(self, lo: impl Into<Option<f64>>, hi: impl Into<Option<f64>>) -> Tensor<'g> {
        let limit = |x: Option<f64>| x.filter(|x| x.is_finite());
        match (limit(lo.into()), limit(hi.into())) {
            (None, None) => self,
            (lo, hi) => self.apply(json!({"clamp": {"lo": lo, "hi": hi}}), &[]),
        }
    }

    /// c tanh(x / c), in f32; x itself without a cap.
    pub fn softcap(self, cap: impl Into<Option<f64>>) -> Tensor<'g> {
        match cap.into() {
            Some(c) => self.apply(json!({ "softcap": c }), &[]),
            None => self,
        }
    }

    /// x / sqrt(sum x² + eps) over the last dim, in f32.
    pub fn l2_norm(self, eps: f64) -> Tensor<'g> {
        self.apply(json!({"l2_norm": {"eps": eps}}), &[])
    }

    /// x / (sum over the last dim + eps), in f32.
    pub fn normalize(self, eps: f64) -> Tensor<'g> {
        self.apply(json!({"normalize": {"eps": eps}}), &[])
    }

    /// x / sqrt(mean x² + eps) over the last dim, in f32, without a weight.
    pub fn rms_norm(self, eps: f64) -> Tensor<'g> {
        self.apply(
            json!({"rms_norm": {"eps": eps, "offset": 0.0, "groups": 1u64}}),
            &[None],
        )
    }

    /// (x - mean) / sqrt(var + eps) over the last dim, in f32, without a weight.
    pub fn layer_norm(self, eps: f64) -> Tensor<'g> {
        self.apply(
            json!({"layer_norm": {"eps": eps, "offset": 0.0, "groups": 1u64}}),
            &[None, None],
        )
    }

    /// a `[.., n, k]`, b `[.., k, m]` to `[.., n, m]`; leading dims broadcast.
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("matmul"), &[Some(other)])
    }
}
