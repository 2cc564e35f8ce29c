//! The limit of arithmetic: how long libtorch takes for the matrix products of a model, nothing else.

use std::process::Command;

use serde::Deserialize;

use super::{
    lab::{Documents, Lab, timed},
    report::answer,
    shapes::Shape,
};
use crate::failure::Failure;

/// Tokens that are multiplied at most; the time of more is that many times as long, since products are made in
/// micro-batches anyway.
const SAMPLE: u64 = 1024;

/// Layers whose weights differ: two are beyond every cache already, and more take long to make.
const DISTINCT: u64 = 2;

/// Seconds of libtorch for all tokens, the best micro-batch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arithmetic {
    /// Of the products with weights: every layer's, and the head's.
    pub(super) products: f64,
    /// Of fused attention, apart.
    pub(super) attention: f64,
}

impl Arithmetic {
    /// The mean of two measurements.
    pub(super) fn midpoint(self, other: Self) -> Self {
        Self {
            products: f64::midpoint(self.products, other.products),
            attention: f64::midpoint(self.attention, other.attention),
        }
    }
}

/// What the program prints, as far as it is needed.
#[derive(Deserialize)]
struct Printed {
    products: Vec<Product>,
    attention_seconds: f64,
}

#[derive(Deserialize)]
struct Product {
    seconds: f64,
}

/// Measures the products of a dense `shape` over `documents`; `micro` is the engine's micro-batch in tokens.
///
/// # Errors
/// [`Failure::Step`] and [`Failure::Answer`], as any program.
pub(super) fn measure(lab: &Lab<'_>, shape: &Shape, documents: Documents, micro: u64) -> Result<Arithmetic, Failure> {
    let (sample, times) = sample(documents);
    let mut command = Command::new(&lab.products);
    let lengths = vec![documents.tokens.to_string(); sample.count as usize].join(",");
    for (key, value) in [
        ("hidden", shape.hidden),
        ("intermediate", shape.intermediate),
        ("heads", shape.heads),
        ("kv_heads", shape.kv_heads),
        ("head_dim", shape.head_dim()),
        ("vocab", shape.vocab),
        ("layers", shape.layers),
        ("tokens", sample.count * sample.tokens),
        ("threads", lab.threads as u64),
        ("rounds", 1),
        ("distinct", DISTINCT),
    ] {
        command.arg(format!("{key}={value}"));
    }
    command.args(["dtype=bf16".to_owned(), format!("lengths={lengths}")]);
    command.arg(format!("micro={micro},{SAMPLE}"));
    command
        .env("OMP_WAIT_POLICY", "passive")
        .env("THP_MEM_ALLOC_ENABLE", "1");
    let (_, output) = timed(&mut command)?;
    let printed: Printed = answer(&lab.products, &output.stdout)?;
    let best = printed.products.iter().map(|product| product.seconds);
    Ok(Arithmetic {
        products: times * best.fold(f64::INFINITY, f64::min),
        attention: times * printed.attention_seconds,
    })
}

/// The documents to measure, and how often they stand for themselves in `all`.
pub(super) fn sample(all: Documents) -> (Documents, f64) {
    let count = (SAMPLE / all.tokens).clamp(1, all.count);
    let part = Documents { count, ..all };
    (part, all.count as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_tokens_are_measured_by_a_part() {
        let of = |count, tokens| {
            let (part, times) = sample(Documents { count, tokens });
            (part.count, times)
        };
        assert_eq!(of(1, 128), (1, 1.0));
        assert_eq!(of(16, 512), (2, 8.0));
        assert_eq!(of(3, 4096), (1, 3.0));
    }
}
