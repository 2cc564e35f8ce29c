//! Score biases: functions of query and key, evaluated tile by tile.

use super::{distance, pair, top_keys};
use crate::error::{Result, fail};
use crate::kinds::cast;
use crate::ops::matrix::linear;
use crate::place;
use crate::{RowSet, Tensor as Shared};
use sli_model::{Num, PairBias};
use std::ops::Range;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A score bias: what `attend` adds to the score of a query and a key. Never made whole.
#[derive(Clone, Debug)]
pub struct Bias(Form);

/// What a bias is made of. Tensors of tokens come with their token set.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// -slope (q - k) scale, or with abs.
    Alibi { slopes: Shared, symmetric: bool },
    /// table[bucket of k - (q + ahead)]; `[B, H]`, or `[N, B, H]` with the set of its rows.
    Relative {
        table: Shared,
        rows: Option<Arc<RowSet>>,
        buckets: i64,
        max_distance: i64,
        bidirectional: bool,
        ahead: i64,
    },
    /// x · table[r(q - k)].
    Scores {
        x: Shared,
        rows: Arc<RowSet>,
        table: Shared,
        of_key: bool,
        buckets: Option<(i64, i64)>,
    },
    /// scores `[N, H, 2]`: the first if the types are equal.
    Segments {
        scores: Shared,
        types: Shared,
        rows: Arc<RowSet>,
    },
    /// t `[M, H]` of the key.
    Keys { t: Shared, rows: Arc<RowSet> },
    /// 0 for the n best keys.
    TopKeys {
        q: Shared,
        k: Shared,
        weight: Shared,
        n: i64,
        q_rows: Arc<RowSet>,
        k_rows: Arc<RowSet>,
    },
    /// An equation of the indices.
    Pair(Arc<PairBias>),
    /// Both.
    Sum(Arc<Bias>, Arc<Bias>),
    /// The query index is min(floor(q / n), keys - 1).
    ByBlock(Arc<Bias>, i64),
}

impl Form {
    /// `Op::Alibi`.
    pub(crate) fn alibi(heads: u64, scale: Num, max: Num, symmetric: bool, device: Device) -> Result<Form> {
        let slopes: Vec<f32> = distance::alibi_slopes(heads, max.0)
            .iter()
            .map(|s| s * scale.0 as f32)
            .collect();
        Ok(Form::Alibi {
            slopes: Shared::own(place::numbers(&slopes, device)?),
            symmetric,
        })
    }
}

/// A tile of one sequence: queries and keys by their index in it.
pub(crate) struct At {
    /// Number of the sequence.
    pub(crate) sequence: usize,
    /// Queries.
    pub(crate) q: Range<i64>,
    /// Keys.
    pub(crate) k: Range<i64>,
    /// All keys of the sequence.
    pub(crate) keys: i64,
    /// Where the tile is wanted.
    pub(crate) device: Device,
}

impl At {
    fn rows(&self) -> i64 {
        self.q.end - self.q.start
    }

    fn columns(&self) -> i64 {
        self.k.end - self.k.start
    }
}

impl Bias {
    pub(crate) fn new(form: Form) -> Bias {
        Bias(form)
    }

    /// `Op::SegmentScores`: the two scores of each query are made at once.
    pub(crate) fn segments(x: &Tensor, table: &Tensor, types: Shared, rows: Arc<RowSet>) -> Result<Bias> {
        if table.dim() != 3 || table.size()[0] != 2 {
            fail!("a table of shape {:?}, [2, H, D] is expected", table.size());
        }
        if types.shape() != [rows.len()] {
            fail!("types of shape {:?} for {} rows", types.shape(), rows.len());
        }
        let scores = linear(x, &table.f_transpose(0, 1)?, None, false, Kind::Float)?;
        Ok(Bias(Form::Segments {
            scores: Shared::own(scores),
            types,
            rows,
        }))
    }

    /// True if sequences of the same length have the same bias.
    pub(crate) fn shared(&self) -> bool {
        match &self.0 {
            Form::Alibi { .. } | Form::Pair(_) => true,
            Form::Relative { rows, .. } => rows.is_none(),
            Form::Sum(a, b) => a.shared() && b.shared(),
            Form::ByBlock(inner, _) => inner.shared(),
            _ => false,
        }
    }

    /// The tile, f32 `[1 or H, 1 or rows, 1 or keys]`, in memory of its own.
    pub(crate) fn tile(&self, at: &At) -> Result<Tensor> {
        match &self.0 {
            Form::Alibi { slopes, symmetric } => {
                let d = cast(&distance::ahead(&at.q, &at.k)?, Kind::Float)?;
                let d = if *symmetric { d.f_abs()?.f_neg()? } else { d };
                let d = place::put(&d, at.device)?;
                distance::spread(&slopes.raw().f_unsqueeze(1)?.f_mul(&d)?, at.rows(), at.columns())
            }
            Form::Relative { .. } => self.relative(at),
            Form::Scores { .. } => self.scores(at),
            Form::Segments { scores, types, rows } => {
                let range = within(rows, at.sequence, &at.q)?;
                let scores = scores.rows(range.start, at.rows())?;
                let types_k = types.rows(within(rows, at.sequence, &at.k)?.start, at.columns())?;
                let types_q = types.rows(range.start, at.rows())?;
                let same = types_q.raw().f_unsqueeze(1)?.f_eq_tensor(types_k.raw())?;
                let side =
                    |i| -> Result<Tensor> { Ok(scores.raw().f_select(-1, i)?.f_transpose(0, 1)?.f_unsqueeze(-1)?) };
                Ok(side(0)?.f_where_self(&same, &side(1)?)?)
            }
            Form::Keys { t, rows } => {
                let range = within(rows, at.sequence, &at.k)?;
                let t = t.rows(range.start, at.columns())?;
                Ok(t.raw()
                    .f_transpose(0, 1)?
                    .f_to_dtype(Kind::Float, false, true)?
                    .f_unsqueeze(1)?)
            }
            Form::TopKeys {
                q,
                k,
                weight,
                n,
                q_rows,
                k_rows,
            } => {
                let queries = within(q_rows, at.sequence, &at.q)?;
                let keys = k_rows.range(at.sequence);
                let index = top_keys::Index {
                    q: q.raw(),
                    k: k.raw(),
                    weight: weight.raw(),
                    n: *n,
                };
                index.tile(queries, keys, at)
            }
            Form::Pair(pair) => pair::tile(pair, at),
            Form::Sum(a, b) => Ok(a.tile(at)?.f_add(&b.tile(at)?)?),
            Form::ByBlock(inner, n) => by_block(inner, *n, at),
        }
    }

    fn relative(&self, at: &At) -> Result<Tensor> {
        let Form::Relative {
            table,
            rows,
            buckets,
            max_distance,
            bidirectional,
            ahead,
        } = &self.0
        else {
            fail!("not a relative bias");
        };
        let d = distance::ahead(&at.q, &at.k)?.f_sub_scalar(*ahead)?;
        let bucket = distance::t5_buckets(&d, *buckets, *max_distance, *bidirectional)?;
        let bucket = place::put(&bucket, at.device)?;
        let Some(rows) = rows else {
            // [B, H] -> [H, distances]
            let by_distance = cast(table.raw(), Kind::Float)?
                .f_index_select(0, &bucket)?
                .f_transpose(0, 1)?;
            return distance::spread(&by_distance, at.rows(), at.columns());
        };
        let own = table.rows(within(rows, at.sequence, &at.q)?.start, at.rows())?;
        let own = cast(own.raw(), Kind::Float)?.f_permute([2, 0, 1])?;
        pick(&own, &distance::spread(&bucket, at.rows(), at.columns())?)
    }

    fn scores(&self, at: &At) -> Result<Tensor> {
        let Form::Scores {
            x,
            rows,
            table,
            of_key,
            buckets,
        } = &self.0
        else {
            fail!("no relative scores")
        };
        let (rows_of_x, size) = if *of_key {
            (&at.k, at.columns())
        } else {
            (&at.q, at.rows())
        };
        let x = x.rows(within(rows, at.sequence, rows_of_x)?.start, size)?;
        // r for every distance query - key, ascending in key - query
        let d = distance::ahead(&at.q, &at.k)?.f_neg()?;
        let b = match buckets {
            Some((n, max_distance)) => distance::deberta_buckets(&d, *n, *max_distance)?,
            None => d,
        };
        let count = table.shape()[0];
        let r = b.f_add_scalar(count / 2)?.f_clamp(0, count - 1)?;
        let (low, high) = (r.f_min()?.f_int64_value(&[])?, r.f_max()?.f_int64_value(&[])?);
        // only the rows of the table within reach take part: [R, 1 or H, D] -> [1 or H, D, R]
        let table = cast(table.rows(low, high - low + 1)?.raw(), Kind::Float)?.f_permute([1, 2, 0])?;
        let product = cast(x.raw(), Kind::Float)?.f_transpose(0, 1)?.f_matmul(&table)?;
        let r = place::put(&r.f_sub_scalar(low)?, at.device)?;
        let index = distance::spread(&r, at.rows(), at.columns())?;
        if *of_key {
            Ok(pick(&product, &index.f_transpose(0, 1)?)?.f_transpose(1, 2)?)
        } else {
            pick(&product, &index)
        }
    }

    /// The bias with every tensor replaced.
    pub(crate) fn map_tensors(&self, f: &dyn Fn(Shared) -> Shared) -> Bias {
        let map = |t: &Shared| f(t.clone());
        let inner = |b: &Arc<Bias>| Arc::new(b.map_tensors(f));
        let mut form = self.0.clone();
        match &mut form {
            Form::Alibi { slopes: t, .. } | Form::Relative { table: t, .. } | Form::Keys { t, .. } => *t = map(t),
            Form::Scores { x: a, table: b, .. }
            | Form::Segments {
                scores: a, types: b, ..
            } => (*a, *b) = (map(a), map(b)),
            Form::TopKeys { q, k, weight, .. } => (*q, *k, *weight) = (map(q), map(k), map(weight)),
            Form::Pair(_) => {}
            Form::Sum(a, b) => (*a, *b) = (inner(a), inner(b)),
            Form::ByBlock(b, _) => *b = inner(b),
        }
        Bias(form)
    }
}

/// `table [H, rows, R]`, `index [rows, keys]` -> `[H, rows, keys]`.
fn pick(table: &Tensor, index: &Tensor) -> Result<Tensor> {
    let size = [table.size()[0], index.size()[0], index.size()[1]];
    Ok(table.f_gather(2, &index.f_unsqueeze(0)?.f_expand(size, false)?, false)?)
}

/// Rows of the batch of some indices of a sequence.
fn within(rows: &RowSet, sequence: usize, indices: &Range<i64>) -> Result<Range<i64>> {
    if sequence >= rows.sequences() || indices.end > rows.length(sequence) {
        fail!("a score bias has no rows {indices:?} of sequence {sequence}: it was made of another token set");
    }
    let start = rows.range(sequence).start;
    Ok(start + indices.start..start + indices.end)
}

fn by_block(inner: &Bias, n: i64, at: &At) -> Result<Tensor> {
    let block = |q: i64| (q / n.max(1)).min(at.keys - 1).max(0);
    let (first, last) = (block(at.q.start), block(at.q.end - 1));
    let part = At {
        sequence: at.sequence,
        q: first..last + 1,
        k: at.k.clone(),
        keys: at.keys,
        device: at.device,
    };
    let tile = inner.tile(&part)?;
    if tile.size()[1] == 1 && last > first {
        return Ok(tile); // the same for every query
    }
    let index: Vec<i64> = at.q.clone().map(|q| block(q) - first).collect();
    Ok(tile.f_index_select(1, &place::numbers(&index, tile.device())?)?)
}
