//! Sparse attention by an index of keys (DeepSeek-V3.2): the best keys of each query.

use super::bias::At;
use crate::error::Result;
use crate::kinds::cast;
use std::ops::Range;
use tch::{Kind, Tensor};

/// What the scores of keys are made of.
pub(super) struct Index<'a> {
    /// `[N, H, D]`.
    pub(super) q: &'a Tensor,
    /// `[M, 1, D]`.
    pub(super) k: &'a Tensor,
    /// `[N, H]`.
    pub(super) weight: &'a Tensor,
    /// How many keys a query keeps.
    pub(super) n: i64,
}

impl Index<'_> {
    /// 0 for the n best keys of each query among itself and those before, -inf elsewhere, `[1, rows, keys]`.
    /// `queries` and `keys` are rows of the batch, of the tile's queries and of the whole sequence.
    pub(super) fn tile(&self, queries: Range<i64>, keys: Range<i64>, at: &At) -> Result<Tensor> {
        let device = self.q.device();
        // no query of the tile sees a key beyond this one
        let reach = at.q.end.min(at.keys);
        let future = {
            let own = Tensor::f_arange_start(at.q.start, at.q.end, (Kind::Int64, device))?.f_unsqueeze(1)?;
            Tensor::f_arange(reach, (Kind::Int64, device))?.f_gt_tensor(&own)?
        };
        let rows = at.q.end - at.q.start;
        let mut bias = Tensor::f_full([rows, reach], f64::NEG_INFINITY, (Kind::Float, device))?;
        if reach <= self.n {
            let _ = bias.f_zero_()?;
        } else {
            let scores = self.scores(queries, keys.start..keys.start + reach)?;
            let scores = scores.f_masked_fill(&future, f64::NEG_INFINITY)?;
            // sorted, not topk: scores of exactly 0 are common, and the earlier key wins
            let (_, order) = scores.f_sort_stable(true, -1, true)?;
            let _ = bias.f_scatter_value_(-1, &order.f_narrow(-1, 0, self.n)?, 0.0)?;
        }
        let _ = bias.f_masked_fill_(&future, f64::NEG_INFINITY)?;
        let beyond = (at.k.end - reach).max(0);
        if beyond > 0 {
            let hidden = Tensor::f_full([rows, beyond], f64::NEG_INFINITY, (Kind::Float, device))?;
            bias = Tensor::f_cat(&[bias, hidden], 1)?;
        }
        Ok(bias.f_narrow(1, at.k.start, at.k.end - at.k.start)?.f_unsqueeze(0)?)
    }

    /// sum over heads of weight relu(q · k), `[rows, keys]` f32; one head at a time.
    fn scores(&self, queries: Range<i64>, keys: Range<i64>) -> Result<Tensor> {
        let part = |t: &Tensor, r: &Range<i64>| -> Result<Tensor> {
            cast(&t.f_narrow(0, r.start, r.end - r.start)?, Kind::Float)
        };
        let (q, weight) = (part(self.q, &queries)?, part(self.weight, &queries)?);
        let k = part(self.k, &keys)?.f_select(1, 0)?.f_transpose(0, 1)?;
        let mut sum = Tensor::f_zeros(
            [queries.end - queries.start, keys.end - keys.start],
            (Kind::Float, q.device()),
        )?;
        for head in 0..q.size()[1] {
            let score = q.f_select(1, head)?.f_matmul(&k)?.f_relu_()?;
            sum = sum.f_add_(&score.f_mul(&weight.f_narrow(1, head, 1)?)?)?;
        }
        Ok(sum)
    }
}
