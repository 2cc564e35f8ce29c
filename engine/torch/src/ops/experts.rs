//! Mixture of experts: tokens grouped by expert, one chain of matrix products per expert.

mod slots;

use crate::error::{ExecError, Result, fail};
use crate::exec::Body;
use crate::kinds::cast;
use crate::place;
use crate::weights::of_expert;
use crate::{RowSet, RtValue, Tensor as Shared, TensorError, Weights, prepare};
use sli_model::{DType, Experts, Origin};
use slots::Slots;
use std::ops::Range;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Rows of one product of an expert, at most: more make it no faster and its intermediate values larger.
pub const EXPERT_ROWS: u64 = 1024;

/// One `experts` operation over several batches, an expert at a time, so that the weights of an expert are needed
/// once and only while it runs.
///
/// What a token gets does not depend on its company: its experts are added in f32 in the order in which they are
/// run, whichever other tokens they see.
pub struct Mixture<'a> {
    op: &'a Experts,
    origin: &'a Origin,
    compute: DType,
    batches: Vec<Chosen>,
}

/// The tokens of one batch and what they chose.
struct Chosen {
    /// `[N, C]`, or `[N, k, C]`: each slot its own input.
    x: Tensor,
    /// `[N k]` f32.
    weight: Option<Tensor>,
    slots: Slots,
    rows: Option<Arc<RowSet>>,
    /// `[N, C']` f32 sums, or `[N k, C']` if they are kept apart.
    out: Option<Tensor>,
}

/// `Op::Experts` on one batch whose weights are all there. The inputs are x, index and perhaps weight.
pub(crate) fn experts(
    op: &Experts,
    origin: &Origin,
    compute: DType,
    inputs: &[Option<RtValue>],
    weights: Option<&Weights>,
) -> std::result::Result<Vec<Option<RtValue>>, ExecError> {
    let mut mixture = Mixture::new(op, origin, compute);
    let given = |slot: usize| inputs.get(slot).and_then(Option::as_ref);
    let (Some(x), Some(index)) = (given(0), given(1)) else {
        return Err(mixture.failed(TensorError("x and index are needed".into())));
    };
    mixture.push(x, index, given(2))?;
    let counts = mixture.counts();
    for expert in (0..counts.len()).filter(|expert| counts[*expert] > 0) {
        let Some(all) = weights else {
            return Err(mixture.failed(TensorError("the weights of the experts were not given".into())));
        };
        let own = of_expert(&op.body, all, expert, counts.len()).map_err(|e| mixture.failed(e))?;
        mixture.run(expert, own)?;
    }
    Ok(mixture.finish()?.into_iter().map(Some).collect())
}

impl<'a> Mixture<'a> {
    /// A mixture without tokens. Errors name `origin`.
    pub fn new(op: &'a Experts, origin: &'a Origin, compute: DType) -> Mixture<'a> {
        Mixture {
            op,
            origin,
            compute,
            batches: Vec::new(),
        }
    }

    /// Adds a batch: x `[N, C]` or `[N, k, C]`, index `[N, k]`, weight `[N, k]`.
    ///
    /// # Errors
    /// Shapes that do not fit, an index beyond the experts.
    pub fn push(
        &mut self,
        x: &RtValue,
        index: &RtValue,
        weight: Option<&RtValue>,
    ) -> std::result::Result<(), ExecError> {
        let chosen = Chosen::new(self.op, x, index, weight).map_err(|e| {
            let weight = weight.map_or(String::new(), |weight| format!(", {}", weight.describe()));
            let message = format!("`experts` of {}, {}{weight}: {e}", x.describe(), index.describe());
            ExecError::new(message, self.origin)
        })?;
        self.batches.push(chosen);
        Ok(())
    }

    /// How many times each expert with weights was chosen.
    pub fn counts(&self) -> Vec<u64> {
        let of = |expert| {
            self.batches
                .iter()
                .map(|batch| batch.slots.of(expert).len() as u64)
                .sum()
        };
        (0..self.op.count as usize).map(of).collect()
    }

    /// Runs one expert on the tokens that chose it; `raw` are its own weights, as read.
    ///
    /// # Errors
    /// Weights that do not fit, an operation of the body that fails.
    pub fn run(&mut self, expert: usize, raw: Weights) -> std::result::Result<(), ExecError> {
        if raw.tensors().any(|tensor| tensor.numel() == 0) {
            return Err(self.failed(TensorError(format!("the weights of expert {expert} were not read"))));
        }
        let weights = prepare(&self.op.body, raw, self.compute)?;
        for piece in self.pieces(expert) {
            let x = self.gather(expert, &piece).map_err(|e| self.failed(e))?;
            let set = Arc::new(RowSet::from_lengths(&[x.size()[0]]).map_err(|e| self.failed(e))?);
            let body = Body {
                compute: self.compute,
                origin: self.origin,
                set: &set,
            };
            let y = body.run(&self.op.body, &weights, x)?;
            self.scatter(expert, &piece, &y).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// The results, batch by batch, in the dtype of x: `[N, C']`, or `[N, k, C']` if they are kept apart.
    ///
    /// # Errors
    /// No memory.
    pub fn finish(mut self) -> std::result::Result<Vec<RtValue>, ExecError> {
        for expert in self.op.count as usize..(self.op.count + self.op.identity) as usize {
            for piece in self.pieces(expert) {
                let same = self.gather(expert, &piece);
                let made = same.and_then(|x| self.scatter(expert, &piece, &x));
                made.map_err(|e| self.failed(e))?;
            }
        }
        let widths = self
            .batches
            .iter()
            .filter_map(|batch| batch.out.as_ref()?.size().last().copied());
        let width = widths.max();
        let (op, origin) = (self.op, self.origin);
        let finished = self.batches.into_iter().map(|batch| batch.finish(op, width));
        let all: Result<Vec<RtValue>> = finished.collect();
        all.map_err(|e| ExecError::new(format!("`experts`: {e}"), origin))
    }

    fn failed(&self, error: TensorError) -> ExecError {
        ExecError::new(format!("`experts`: {error}"), self.origin)
    }

    /// The slots of an expert in pieces of [`EXPERT_ROWS`]: (batch, places in its list).
    fn pieces(&self, expert: usize) -> Vec<Vec<(usize, Range<usize>)>> {
        let most = EXPERT_ROWS as usize;
        let (mut pieces, mut room) = (Vec::new(), 0);
        for (index, batch) in self.batches.iter().enumerate() {
            let (mut start, end) = (0, batch.slots.of(expert).len());
            while start < end {
                if room == 0 {
                    pieces.push(Vec::new());
                    room = most;
                }
                let stop = end.min(start + room);
                if let Some(piece) = pieces.last_mut() {
                    piece.push((index, start..stop));
                }
                room -= stop - start;
                start = stop;
            }
        }
        pieces
    }

    /// The inputs of some slots, `[n, C]`.
    fn gather(&self, expert: usize, piece: &[(usize, Range<usize>)]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let part = |(batch, range): &(usize, Range<usize>)| {
            let batch = &self.batches[*batch];
            batch.input(self.op, &batch.slots.of(expert)[range.clone()])
        };
        let mut parts = piece.iter().map(part).collect::<Result<Vec<_>>>()?;
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(Tensor::f_cat(&parts, 0)?),
        }
    }

    /// Adds the results of some slots to their tokens.
    fn scatter(&mut self, expert: usize, piece: &[(usize, Range<usize>)], y: &Tensor) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let rows: usize = piece.iter().map(|(_, range)| range.len()).sum();
        if y.dim() != 2 || y.size()[0] != rows as i64 {
            fail!("an expert made {:?} of {rows} tokens", y.size());
        }
        let mut at = 0;
        for (index, range) in piece {
            let part = y.f_narrow(0, at, range.len() as i64)?;
            self.batches[*index].add(self.op, expert, range, &part)?;
            at += range.len() as i64;
        }
        Ok(())
    }
}

impl Chosen {
    fn new(op: &Experts, x: &RtValue, index: &RtValue, weight: Option<&RtValue>) -> Result<Chosen> {
        let index_rows = index.rows();
        let (Some(from), Some(index)) = (x.tensor(), index.tensor()) else {
            fail!("x and index are not both tensors")
        };
        let rows = x.rows().or(index_rows).cloned();
        let slots = Slots::new(op, &from.shape(), index, rows.as_deref())?;
        let weight = match weight.map(RtValue::tensor) {
            None => None,
            Some(Some(weight)) if weight.shape() == index.shape() => {
                Some(cast(weight.raw(), Kind::Float)?.f_reshape([-1])?)
            }
            Some(other) => fail!("weight {other:?} and index {:?} differ", index.shape()),
        };
        Ok(Chosen {
            x: from.raw().shallow_clone(),
            weight,
            slots,
            rows,
            out: None,
        })
    }

    fn ids(&self, ids: &[i64]) -> Result<Tensor> {
        Ok(place::numbers(ids, self.x.device())?)
    }

    /// The weights of some slots, `[n, 1]` f32.
    fn weights(&self, weight: &Tensor, slots: &[i64]) -> Result<Tensor> {
        Ok(weight.f_index_select(0, &self.ids(slots)?)?.f_unsqueeze(1)?)
    }

    /// The inputs of some slots, `[n, C]`.
    fn input(&self, op: &Experts, slots: &[i64]) -> Result<Tensor> {
        let picked = if self.x.dim() == 3 {
            self.x.f_flatten(0, 1)?.f_index_select(0, &self.ids(slots)?)?
        } else {
            self.x.f_index_select(0, &self.ids(&self.slots.rows(slots))?)?
        };
        match &self.weight {
            Some(weight) if op.scale_input => cast(&picked.f_mul(&self.weights(weight, slots)?)?, picked.kind()),
            _ => Ok(picked),
        }
    }

    /// Adds what an expert made of the slots in `range` of its list.
    fn add(&mut self, op: &Experts, expert: usize, range: &Range<usize>, y: &Tensor) -> Result<()> {
        let slots = &self.slots.of(expert)[range.clone()];
        let scaled = match &self.weight {
            Some(weight) if !op.scale_input => y.f_mul(&self.weights(weight, slots)?)?,
            _ => y.shallow_clone(),
        };
        let ids = match op.keep {
            true => self.ids(slots)?,
            false => self.ids(&self.slots.rows(slots))?,
        };
        let width = y.size().last().copied().unwrap_or(0);
        let mut out = match self.out.take() {
            Some(out) => out,
            None => self.empty(op, width, y.kind())?,
        };
        let scaled = cast(&scaled, out.kind())?;
        let _ = match op.keep {
            true => out.f_index_copy_(0, &ids, &scaled)?,
            false => out.f_index_add_(0, &ids, &scaled)?,
        };
        self.out = Some(out);
        Ok(())
    }

    fn empty(&self, op: &Experts, width: i64, kind: Kind) -> Result<Tensor> {
        let (rows, kind) = match op.keep {
            true => (self.slots.count * self.slots.k, kind),
            false => (self.slots.count, Kind::Float),
        };
        Ok(Tensor::f_zeros([rows, width], (kind, self.x.device()))?)
    }

    /// The result in the dtype of x. Where no token chose anything the width is that of the other batches, else
    /// that of the input.
    fn finish(mut self, op: &Experts, width: Option<i64>) -> Result<RtValue> {
        let out = match self.out.take() {
            Some(out) => out,
            None => self.empty(op, width.or(self.x.size().last().copied()).unwrap_or(0), self.x.kind())?,
        };
        let out = cast(&out, self.x.kind())?;
        let out = match op.keep {
            true => out.f_reshape([self.slots.count, self.slots.k, out.size()[1]])?,
            false => out,
        };
        Ok(RtValue::Tensor {
            tensor: Shared::own(out),
            rows: self.rows,
        })
    }
}

#[cfg(test)]
mod tests;
