//! Heads, parts of the last dim, rows of a sequence.

use super::text::json;

use super::Tensor;

impl<'g> Tensor<'g> {
    /// `[.., H*D]` to `[.., H, D]`; the product must be the last dim. One of the two may be `None`: what fits.
    pub fn split_heads(self, heads: impl Into<Option<u64>>, dim: impl Into<Option<u64>>) -> Tensor<'g> {
        let (heads, dim) = (heads.into(), dim.into());
        self.apply(json!({"split_heads": {"heads": heads, "dim": dim}}), &[])
    }

    /// `[.., H, D]` to `[.., H*D]`.
    pub fn merge_heads(self) -> Tensor<'g> {
        self.apply(json!("merge_heads"), &[])
    }

    /// `[N, H, D]` to `[N, H*n, D]`, each head n times in a row.
    pub fn repeat_heads(self, n: u64) -> Tensor<'g> {
        self.apply(json!({"repeat_heads": {"n": n, "tile": false}}), &[])
    }

    /// `[N, H, D]` to `[N, H*n, D]`, all heads n times.
    pub fn tile_heads(self, n: u64) -> Tensor<'g> {
        self.apply(json!({"repeat_heads": {"n": n, "tile": true}}), &[])
    }

    /// `[.., H]` to `[.., H, 1]`, to scale `[.., H, D]`.
    pub fn per_head(self) -> Tensor<'g> {
        self.apply(json!("per_head"), &[])
    }

    /// Parts of these sizes along the last dim; they must add up to it.
    pub fn split<const P: usize>(self, sizes: [u64; P]) -> [Tensor<'g>; P] {
        let first = self.apply(json!({"split": {"each": sizes.as_slice()}}), &[]);
        std::array::from_fn(|out| first.result(out as u16))
    }

    /// P equal parts along the last dim: `let [gate, up] = x.parts();`.
    pub fn parts<const P: usize>(self) -> [Tensor<'g>; P] {
        let first = self.apply(json!({"split": {"equal": P as u64}}), &[]);
        std::array::from_fn(|out| first.result(out as u16))
    }

    /// Elements `start .. end` of the last dim; negative numbers count from the end, `None` is open.
    pub fn slice(self, start: impl Into<Option<i64>>, end: impl Into<Option<i64>>) -> Tensor<'g> {
        let (start, end) = (start.into(), end.into());
        self.apply(json!({"slice": {"start": start, "end": end}}), &[])
    }

    /// This and others, joined along the last dim.
    pub fn concat(self, others: &[Tensor<'g>]) -> Tensor<'g> {
        let others: Vec<_> = others.iter().copied().map(Some).collect();
        self.apply(json!("concat"), &others)
    }

    /// This and others, joined along dim 0: parameters that are stored in pieces.
    pub fn join_rows(self, others: &[Tensor<'g>]) -> Tensor<'g> {
        let others: Vec<_> = others.iter().copied().map(Some).collect();
        self.apply(json!("join_rows"), &others)
    }

    /// The last two dims exchanged.
    pub fn transpose(self) -> Tensor<'g> {
        self.apply(json!("transpose"), &[])
    }

    /// Row t - n of the same sequence, zeros where there is none; n < 0 looks ahead.
    pub fn shift(self, n: i64) -> Tensor<'g> {
        self.apply(json!({ "shift": n }), &[])
    }

    /// `[N, ..]` to `[S, ..]`: the first row of each sequence.
    pub fn first_token(self) -> Tensor<'g> {
        self.apply(json!("first_token"), &[])
    }

    /// `[N, ..]` to `[S, ..]`: the last row of each sequence.
    pub fn last_token(self) -> Tensor<'g> {
        self.apply(json!("last_token"), &[])
    }

    /// `[N, ..]` to `[S, ..]`: the mean over the rows of each sequence.
    pub fn mean_rows(self) -> Tensor<'g> {
        self.apply(json!("mean_rows"), &[])
    }

    /// `[N]` integers: the index of each row in its sequence, of x's own token set.
    pub fn row_positions(self) -> Tensor<'g> {
        self.apply(json!("row_positions"), &[])
    }

    /// Of tokens `[N]`: the index in its sequence of the first token `id`, its length if there is none.
    pub fn first_index(self, id: i64) -> Tensor<'g> {
        self.apply(json!({ "first_index": id }), &[])
    }

    /// Of tokens `[N]`: the index in its sequence of the last token that is `id` (with `not`: that is another one).
    pub fn last_index(self, id: i64, not: bool) -> Tensor<'g> {
        self.apply(json!({"last_index": {"id": id, "not": not}}), &[])
    }

    /// Of each sequence the row at the index that `index` has in the sequence's first row.
    pub fn row_at(self, index: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("row_at"), &[Some(index)])
    }

    /// `[S, ..]` to `[N, ..]`: row s for every row of sequence s of `x`.
    pub fn spread(self, x: Tensor<'g>) -> Tensor<'g> {
        self.apply(json!("spread"), &[Some(x)])
    }

    /// `[N', C]`, a new token set: sums of n tokens each, per sequence.
    pub fn block_sums(self, n: u64) -> Tensor<'g> {
        self.apply(json!({ "block_sums": n }), &[])
    }
}
