//! Score biases: functions of query and key that attention adds to its scores.

use std::collections::BTreeSet;
use std::ops::Add;
use std::rc::Rc;

use super::text::json;

use super::graph::{Sheet, Value};
use super::module::Path;
use super::points::Frame;
use super::{Handle, Module, Tensor};

/// A score bias. Biases add with `+`.
#[derive(Clone, Copy, Debug)]
pub struct ScoreBias<'g>(pub(crate) Tensor<'g>);

#[allow(private_interfaces)]
impl<'g> Handle<'g> for ScoreBias<'g> {
    fn of(sheet: &'g Sheet, value: Value) -> ScoreBias<'g> {
        ScoreBias(Tensor { sheet, value })
    }

    fn value(self) -> Value {
        self.0.value
    }
}

impl<'g> Add for ScoreBias<'g> {
    type Output = ScoreBias<'g>;

    fn add(self, other: ScoreBias<'g>) -> ScoreBias<'g> {
        ScoreBias(self.0.apply(json!("add_bias"), &[Some(other.0)]))
    }
}

impl<'g> ScoreBias<'g> {
    /// The bias with the query index replaced by min(floor(q / n), keys - 1): towards rows of
    /// [`Tensor::block_sums`].
    pub fn by_block(self, n: u64) -> ScoreBias<'g> {
        ScoreBias(self.0.apply(json!({ "by_block": n }), &[]))
    }
}

/// The indices that the body of [`Module::pair_bias`] is an equation of, f32.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'g> {
    /// `[1, queries, 1]`: index of the query in its sequence.
    pub q: Tensor<'g>,
    /// `[1, 1, keys]`: index of the key in its sequence.
    pub k: Tensor<'g>,
    /// `[H, 1, 1]`: number of the head; only where the number of heads is given.
    pub h: Tensor<'g>,
}

/// Options of [`Tensor::relative_bias`].
#[derive(Clone, Copy, Debug)]
pub struct Relative {
    /// Number of buckets.
    pub buckets: u64,
    /// Distance from which the last bucket holds.
    pub max_distance: u64,
    /// Buckets for keys after the query too.
    pub bidirectional: bool,
    /// The query stands that much later than its index.
    pub ahead: i64,
}

impl<'g> Module<'g> {
    /// -slope_h (q - k) scale (arXiv 2108.12409); `max` is the largest exponent, 8 in the paper; `symmetric` takes
    /// abs(q - k).
    pub fn alibi(&self, heads: u64, scale: f64, max: f64, symmetric: bool) -> ScoreBias<'g> {
        let options = json!({"heads": heads, "scale": scale, "max": max, "symmetric": symmetric});
        ScoreBias(self.source(json!({ "alibi": options })))
    }

    /// A bias that is an equation of query index, key index and, with `heads`, head: elementwise operations and numbers.
    pub fn pair_bias<F>(&self, heads: Option<u64>, body: F) -> ScoreBias<'g>
    where
        F: for<'p> FnOnce(Pair<'p>) -> Tensor<'p>,
    {
        let sheet = Sheet::new(None, BTreeSet::new());
        let out = {
            let module = Module::new(&sheet, Path::root(), Rc::new(Frame::default()));
            let pair = |index: &str| module.input(json!({ "pair": index }));
            let out = body(Pair {
                q: pair("query"),
                k: pair("key"),
                h: pair("head"),
            });
            out.on(&sheet)
        };
        let body = sheet.finish(vec![("out".to_owned(), out)], Vec::new()).prune();
        ScoreBias(self.source(json!({"pair_bias": {"heads": heads, "body": body}})))
    }
}

impl<'g> Tensor<'g> {
    /// T5's buckets (arXiv 1910.10683) of this table `[B, H]` or `[N, B, H]`.
    pub fn relative_bias(self, options: Relative) -> ScoreBias<'g> {
        let options = json!({
            "buckets": options.buckets,
            "max_distance": options.max_distance,
            "bidirectional": options.bidirectional,
            "ahead": options.ahead,
        });
        ScoreBias(self.apply(json!({ "relative_bias": options }), &[]))
    }

    /// x·table[r] of the query (with `of_key`: of the key) `[N, H, D]` and the distance r; table `[B, H or 1, D]`;
    /// `buckets`: logarithmic ones (n, max_distance).
    pub fn relative_scores(self, table: Tensor<'g>, of_key: bool, buckets: Option<(u64, u64)>) -> ScoreBias<'g> {
        let op = json!({"relative_scores": {"of_key": of_key, "buckets": buckets}});
        ScoreBias(self.apply(op, &[Some(table)]))
    }

    /// x_q·table[types_q = types_k ? 0 : 1]; table `[2, H, D]`, types `[N]`.
    pub fn segment_scores(self, table: Tensor<'g>, types: Tensor<'g>) -> ScoreBias<'g> {
        ScoreBias(self.apply(json!("segment_scores"), &[Some(table), Some(types)]))
    }

    /// t[key, head] for this t `[M, H]`.
    pub fn key_bias(self) -> ScoreBias<'g> {
        ScoreBias(self.apply(json!("key_bias"), &[]))
    }

    /// 0 for the n best keys of each query among itself and those before, -inf elsewhere; this is q `[N, H, D]`, k
    /// `[N, 1, D]`, weight `[N, H]`.
    pub fn top_keys(self, k: Tensor<'g>, weight: Tensor<'g>, n: u64) -> ScoreBias<'g> {
        ScoreBias(self.apply(json!({ "top_keys": n }), &[Some(k), Some(weight)]))
    }
}
