//! Activation functions by the names of config.json, and two functions of plan numbers.

use serde_json::Value as Json;

use crate::config::FromConfig;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x σ(x).
    Silu,
    /// x Φ(x), by erf.
    Gelu,
    /// The tanh approximation of gelu.
    GeluTanh,
    /// gelu clipped to ±10.
    Gelu10,
    /// x σ(1.702 x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    Relu2,
    /// tanh.
    Tanh,
    /// σ(x).
    Sigmoid,
    /// log(1 + exp(x)).
    Softplus,
    /// x tanh(softplus(x)).
    Mish,
    /// x if x > 0, else exp(x) - 1.
    Elu,
    /// x if x > 0, else 0.01 x.
    LeakyRelu,
    /// x.
    Identity,
}

use Activation::*;

impl Activation {
    /// The function that a config.json calls `name`.
    pub fn parse(name: &str) -> Option<Activation> {
        Some(match name {
            "silu" | "swish" => Silu,
            "gelu" | "gelu_python" => Gelu,
            "gelu_new" | "gelu_fast" | "gelu_tanh" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => {
                GeluTanh
            }
            "gelu_10" => Gelu10,
            "quick_gelu" => QuickGelu,
            "relu" => Relu,
            "relu2" | "relu_squared" | "sqrelu" => Relu2,
            "tanh" => Tanh,
            "sigmoid" => Sigmoid,
            "softplus" => Softplus,
            "mish" => Mish,
            "elu" => Elu,
            "leaky_relu" => LeakyRelu,
            "identity" | "linear" => Identity,
            _ => return None,
        })
    }

    /// The name in a plan.
    pub(crate) fn op(self) -> &'static str {
        match self {
            Silu => "silu",
            Gelu => "gelu",
            GeluTanh => "gelu_tanh",
            Gelu10 => "gelu10",
            QuickGelu => "quick_gelu",
            Relu => "relu",
            Relu2 => "relu2",
            Tanh => "tanh",
            Sigmoid => "sigmoid",
            Softplus => "softplus",
            Mish => "mish",
            Elu => "elu",
            LeakyRelu => "leaky_relu",
            Identity => "identity",
        }
    }
}

impl FromConfig for Activation {
    const WHAT: &'static str = "the name of an activation function, as `silu` or `gelu_pytorch_tanh`";

    fn from_config(json: &Json) -> Option<Activation> {
        Activation::parse(json.as_str()?)
    }
}

/// m(a) = 0.1 a ln(factor) + 1, and 1 if factor <= 1: the attention factor of YaRN (arXiv 2309.00071, section 3.4).
pub fn yarn_mscale(factor: f64, a: f64) -> f64 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * a * libm::log(factor) + 1.0
    }
}

/// z with Phi(z) = p, Phi the distribution of the standard normal. The same bits as the engine's function: bisection
/// on the series and the continued fraction of Phi.
///
/// # Panics
/// p is not between 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    assert!(p > 0.0 && p < 1.0, "a probability lies between 0 and 1");
    let (mut low, mut high) = (-40.0f64, 40.0f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

fn normal_cdf(z: f64) -> f64 {
    let density = libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt();
    if z.abs() < 5.0 {
        let (mut term, mut sum) = (z, z);
        for k in 1..200 {
            term *= z * z / (2 * k + 1) as f64;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let mut fraction = 0.0;
    for k in (1..60).rev() {
        fraction = f64::from(k) / (z.abs() + fraction);
    }
    let tail = density / (z.abs() + fraction);
    if z > 0.0 { 1.0 - tail } else { tail }
}
