//! How fast libtorch multiplies a model's own matrices: the limit that a run is measured against.
//!
//! ```sh
//! cargo bench --workspace --bench products -- hidden=2048 intermediate=5632 heads=32 kv_heads=4 \
//!     head_dim=64 vocab=32000 layers=22 tokens=8192 dtype=bf16
//! ```
//!
//! More keys: `threads`, `rounds`, `chunk_mib` (logits that are made together, in f32), `micro` (tokens of a
//! micro-batch, several with commas: the first is the engine's), `lengths` (of documents, for attention) and `distinct` (layers whose
//! weights differ, at least enough to be beyond the cache). Prints one JSON object: for every `micro` the
//! seconds of all products of a decoder and its head over all tokens, the fewest of all rounds, and apart from
//! it the seconds of libtorch's fused causal attention over documents of these lengths, of one layer's weights
//! from bf16 to f32 (into new memory, and `again` into the same), and of a plain copy of these.
//!
//! Weights lie in one buffer of a layer, as in an arena of the reader; nothing else is timed: no norms,
//! activations or residuals.

#![allow(clippy::print_stdout)] // this is a program

use std::collections::HashMap;
use std::error::Error;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is multiplied.
struct Shape {
    hidden: i64,
    intermediate: i64,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    vocab: i64,
    layers: usize,
    tokens: i64,
    kind: Kind,
    /// Rows of logits that are made together.
    chunk: i64,
    /// Layers whose weights differ.
    distinct: usize,
    rounds: usize,
}

/// One layer's matrices, each `[out, in]`.
struct Layer {
    /// q, k, v, o, gate, up, down.
    weights: Vec<Tensor>,
}

/// `key=value` arguments; cargo's own (`--bench`) are passed over.
fn arguments() -> Result<HashMap<String, String>> {
    let mut found = HashMap::new();
    for argument in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let Some((key, value)) = argument.split_once('=') else {
            return Err(format!("`{argument}` is not `key=value`").into());
        };
        found.insert(key.to_owned(), value.to_owned());
    }
    Ok(found)
}

fn numbers(text: &str) -> Result<Vec<i64>> {
    let all = text.split(',').map(|part| Ok(part.parse::<i64>()?.max(1)));
    all.collect()
}

impl Shape {
    fn new(arguments: &HashMap<String, String>) -> Result<Shape> {
        let number = |key: &str, default: i64| -> Result<i64> {
            arguments.get(key).map_or(Ok(default), |text| {
                Ok(text.parse().map_err(|error| format!("`{key}={text}`: {error}"))?)
            })
        };
        let kind = match arguments.get("dtype").map_or("bf16", String::as_str) {
            "f32" => Kind::Float,
            "bf16" => Kind::BFloat16,
            other => return Err(format!("`dtype={other}`: f32 or bf16 is expected").into()),
        };
        let (layers, vocab) = (number("layers", 22)? as usize, number("vocab", 32000)?);
        tch::set_num_threads(number("threads", i64::from(tch::get_num_threads()))? as i32);
        Ok(Shape {
            hidden: number("hidden", 2048)?,
            intermediate: number("intermediate", 5632)?,
            heads: number("heads", 32)?,
            kv_heads: number("kv_heads", 4)?,
            head_dim: number("head_dim", 64)?,
            vocab,
            layers,
            tokens: number("tokens", 1024)?,
            kind,
            chunk: ((number("chunk_mib", 64)? << 20) / (4 * vocab)).max(1),
            distinct: layers.min(number("distinct", 4)? as usize),
            rounds: number("rounds", 3)?.max(1) as usize,
        })
    }

    /// `[out, in]` of q, k, v, o, gate, up, down.
    fn matrices(&self) -> [[i64; 2]; 7] {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let (hidden, wide) = (self.hidden, self.intermediate);
        [
            [q, hidden],
            [kv, hidden],
            [kv, hidden],
            [hidden, q],
            [wide, hidden],
            [wide, hidden],
            [hidden, wide],
        ]
    }

    /// Multiplications and additions of all products.
    fn flops(&self) -> f64 {
        let layer: i64 = self.matrices().iter().map(|[out, inner]| out * inner).sum();
        2.0 * self.tokens as f64 * (layer as f64 * self.layers as f64 + (self.vocab * self.hidden) as f64)
    }

    fn layer(&self) -> Result<Layer> {
        let matrices = self.matrices();
        let count: i64 = matrices.iter().map(|[out, inner]| out * inner).sum();
        let mut buffer = self.random([1, count])?.f_reshape([-1])?;
        buffer = buffer.f_mul_scalar_(0.02)?;
        let mut weights = Vec::new();
        let mut at = 0;
        for [out, inner] in matrices {
            weights.push(buffer.f_narrow(0, at, out * inner)?.f_reshape([out, inner])?);
            at += out * inner;
        }
        Ok(Layer { weights })
    }

    fn random<const N: usize>(&self, size: [i64; N]) -> Result<Tensor> {
        Ok(Tensor::f_randn(size, (Kind::Float, Device::Cpu))?.f_to_kind(self.kind)?)
    }
}

/// The fewest seconds of `rounds` calls of `work`, after one that is not counted.
fn best(rounds: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Seconds of all products with `micro` rows at a time, layers outside as in a sweep.
fn products(shape: &Shape, layers: &[Layer], head: &Tensor, micro: i64) -> Result<f64> {
    let inputs: HashMap<i64, Tensor> = [shape.hidden, shape.heads * shape.head_dim, shape.intermediate]
        .into_iter()
        .map(|width| Ok((width, shape.random([micro.min(shape.tokens), width])?)))
        .collect::<Result<_>>()?;
    best(shape.rounds, || {
        for layer in 0..shape.layers {
            for start in (0..shape.tokens).step_by(micro as usize) {
                let rows = micro.min(shape.tokens - start);
                for weight in &layers[layer % layers.len()].weights {
                    let x = inputs[&weight.size()[1]].f_narrow(0, 0, rows)?;
                    let _ = x.f_linear(weight, None::<&Tensor>)?;
                }
            }
        }
        for start in (0..shape.tokens).step_by(micro as usize) {
            let rows = micro.min(shape.tokens - start);
            for chunk in (0..rows).step_by(shape.chunk as usize) {
                let x = inputs[&shape.hidden].f_narrow(0, 0, shape.chunk.min(rows - chunk))?;
                let _ = x.f_linear(head, None::<&Tensor>)?;
            }
        }
        Ok(())
    })
}

/// Seconds of libtorch's fused causal attention over documents of these lengths, in every layer.
fn attention(shape: &Shape, lengths: &[i64]) -> Result<f64> {
    let heads = |n: i64, count: i64| -> Result<Tensor> {
        let x = shape.random([1, n, count, shape.head_dim])?;
        Ok(x.f_transpose(1, 2)?)
    };
    let scale = 1.0 / (shape.head_dim as f64).sqrt();
    let documents: Vec<[Tensor; 3]> = lengths
        .iter()
        .map(|n| {
            // keys of every query head, as the kernel wants them
            Ok([
                heads(*n, shape.heads)?,
                heads(*n, shape.heads)?,
                heads(*n, shape.heads)?,
            ])
        })
        .collect::<Result<_>>()?;
    let one = best(shape.rounds, || {
        for [q, k, v] in &documents {
            let no_mask = None::<Tensor>;
            let _ = Tensor::f_internal_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, true, no_mask, scale)?;
        }
        Ok(())
    })?;
    Ok(one * shape.layers as f64)
}

/// Seconds of a layer's weights as f32: in new memory, in memory that is there already; and of a plain copy of the same bytes to memory that is there already.
fn conversion(shape: &Shape, layer: &Layer) -> Result<[f64; 3]> {
    let bf16: Vec<Tensor> = (layer.weights.iter())
        .map(|weight| weight.f_to_kind(Kind::BFloat16))
        .collect::<std::result::Result<_, _>>()?;
    let convert = best(shape.rounds, || {
        for weight in &bf16 {
            let _ = weight.f_to_kind(Kind::Float)?;
        }
        Ok(())
    })?;
    let mut wide: Vec<Tensor> = (bf16.iter())
        .map(|weight| weight.f_zeros_like()?.f_to_kind(Kind::Float))
        .collect::<std::result::Result<_, _>>()?;
    let refill = best(shape.rounds, || {
        for (weight, wide) in bf16.iter().zip(&mut wide) {
            wide.f_copy_(weight)?;
        }
        Ok(())
    })?;
    let mut places: Vec<Tensor> = bf16
        .iter()
        .map(Tensor::f_zeros_like)
        .collect::<std::result::Result<_, _>>()?;
    let copy = best(shape.rounds, || {
        for (weight, place) in bf16.iter().zip(&mut places) {
            place.f_copy_(weight)?;
        }
        Ok(())
    })?;
    Ok([convert, refill, copy])
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let _guard = tch::no_grad_guard();
    let shape = Shape::new(&arguments)?;
    let micros = numbers(arguments.get("micro").map_or("1024,256,512,2048", String::as_str))?;
    let layers: Vec<Layer> = (0..shape.distinct.max(1))
        .map(|_| shape.layer())
        .collect::<Result<_>>()?;
    let head = shape.random([shape.vocab, shape.hidden])?;
    let mut rows = Vec::new();
    // a micro-batch beyond all tokens is all tokens
    let mut sizes: Vec<i64> = micros.iter().map(|micro| *micro.min(&shape.tokens)).collect();
    sizes.dedup();
    for micro in sizes {
        let seconds = products(&shape, &layers, &head, micro)?;
        rows.push(format!(
            r#"{{"micro": {micro}, "seconds": {seconds:.6}, "gflops": {:.1}}}"#,
            shape.flops() / seconds / 1e9
        ));
    }
    let lengths = match arguments.get("lengths") {
        Some(text) => numbers(text)?,
        None => vec![shape.tokens.min(1024); (shape.tokens / shape.tokens.clamp(1, 1024)) as usize],
    };
    let attention = attention(&shape, &lengths)?;
    let [convert, refill, copy] = conversion(&shape, &layers[0])?;
    println!(
        r#"{{"tokens": {}, "dtype": "{:?}", "threads": {}, "flops": {:.0}, "products": [{}], "attention_seconds": {attention:.6}, "layer_to_f32_seconds": {convert:.6}, "layer_to_f32_again_seconds": {refill:.6}, "layer_copy_seconds": {copy:.6}}}"#,
        shape.tokens,
        shape.kind,
        tch::get_num_threads(),
        shape.flops(),
        rows.join(", "),
    );
    Ok(())
}
