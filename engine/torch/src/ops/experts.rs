//! Mixture of experts: tokens grouped by expert, one chain of matrix products per expert.

use crate::error::{ExecError, Result, fail};
use crate::exec::Body;
use crate::kinds::cast;
use crate::place;
use crate::weights::of_expert;
use crate::{RowSet, Tensor as Shared, TensorError, Weights};
use sli_model::Experts;
use tch::{Kind, Tensor};

/// The inputs of `Op::Experts`.
pub(crate) struct Mixture<'a> {
    /// `[N, C]`, or `[N, k, C]`: each slot its own input.
    pub(crate) x: &'a Tensor,
    /// `[N, k]`.
    pub(crate) index: &'a Shared,
    /// `[N, k]`.
    pub(crate) weight: Option<&'a Tensor>,
    /// The sequences of the rows, for `capacity`.
    pub(crate) set: Option<&'a RowSet>,
}

/// `Op::Experts`.
///
/// What a token gets does not depend on its company: its experts are added in f32 in the order of
/// their numbers, whichever other tokens they see.
pub(crate) fn experts(
    op: &Experts,
    mixture: &Mixture,
    weights: Option<&Weights>,
    body: &Body,
) -> std::result::Result<Tensor, ExecError> {
    let here = |e: TensorError| ExecError::new(format!("`experts`: {e}"), body.origin);
    let plan = Groups::new(op, mixture).map_err(here)?;
    let mut sink = None;
    for (expert, slots) in plan.by_expert.iter().enumerate().filter(|(_, slots)| !slots.is_empty()) {
        let input = plan.input(op, mixture, slots).map_err(here)?;
        let output = if expert < op.count as usize {
            let Some(weights) = weights else {
                return Err(here(TensorError("the weights of the experts were not given".into())));
            };
            let own = of_expert(&op.body, weights, expert, op.count as usize, body.compute).map_err(here)?;
            body.run(&op.body, &own, input)?
        } else {
            input
        };
        let sink = match &mut sink {
            Some(sink) => sink,
            None => sink.insert(Sink::new(op, &plan, &output).map_err(here)?),
        };
        sink.add(op, &plan, mixture, slots, &output).map_err(here)?;
    }
    let kind = mixture.x.kind();
    match sink {
        Some(sink) => cast(&sink.out, kind).and_then(|out| plan.shaped(op, out)).map_err(here),
        // no token chose anything: the width is that of the input
        None => Sink::new(op, &plan, mixture.x)
            .and_then(|s| plan.shaped(op, cast(&s.out, kind)?))
            .map_err(here),
    }
}

/// Which slots (token * k + place) each expert works on, in order.
struct Groups {
    rows: i64,
    k: i64,
    by_expert: Vec<Vec<i64>>,
    own_inputs: bool,
}

impl Groups {
    fn new(op: &Experts, mixture: &Mixture) -> Result<Groups> {
        let size = mixture.x.size();
        let shape = mixture.index.shape();
        let [rows, k] = shape[..] else {
            fail!("an index of shape {shape:?}, [N, k] is expected")
        };
        let own_inputs = match size[..] {
            [n, _] if n == rows => false,
            [n, slots, _] if n == rows && slots == k => true,
            _ => fail!("x {size:?} and index {shape:?}: [N, C] or [N, k, C] and [N, k] are expected"),
        };
        if let Some(weight) = mixture.weight
            && weight.size() != shape
        {
            fail!("weight {:?} and index {shape:?} differ", weight.size());
        }
        let choices = mixture.index.to_i64_vec()?;
        let total = (op.count + op.identity) as i64;
        if let Some(beyond) = choices.iter().find(|e| **e < 0 || **e >= total) {
            fail!("index {beyond} was chosen, the experts are 0 .. {}", total - 1);
        }
        let mut by_expert = vec![Vec::new(); total as usize];
        for (slot, expert) in choices.iter().enumerate() {
            by_expert[*expert as usize].push(slot as i64);
        }
        if let Some(capacity) = op.capacity {
            let Some(set) = mixture.set else {
                fail!("`capacity` needs rows of sequences")
            };
            for slots in &mut by_expert {
                *slots = within_capacity(slots, k, capacity, set);
            }
        }
        Ok(Groups {
            rows,
            k,
            by_expert,
            own_inputs,
        })
    }

    /// The inputs of some slots, `[n, C]`.
    fn input(&self, op: &Experts, mixture: &Mixture, slots: &[i64]) -> Result<Tensor> {
        let picked = if self.own_inputs {
            mixture
                .x
                .f_flatten(0, 1)?
                .f_index_select(0, &self.ids(slots, mixture)?)?
        } else {
            let rows: Vec<i64> = slots.iter().map(|slot| slot / self.k).collect();
            mixture.x.f_index_select(0, &self.ids(&rows, mixture)?)?
        };
        match mixture.weight {
            Some(_) if op.scale_input => cast(&picked.f_mul(&self.weights(mixture, slots)?)?, picked.kind()),
            _ => Ok(picked),
        }
    }

    /// The weights of some slots, `[n, 1]` f32.
    fn weights(&self, mixture: &Mixture, slots: &[i64]) -> Result<Tensor> {
        let Some(weight) = mixture.weight else {
            fail!("no weights")
        };
        let flat = cast(weight, Kind::Float)?.f_reshape([-1])?;
        Ok(flat.f_index_select(0, &self.ids(slots, mixture)?)?.f_unsqueeze(1)?)
    }

    fn ids(&self, ids: &[i64], mixture: &Mixture) -> Result<Tensor> {
        Ok(place::numbers(ids, mixture.x.device())?)
    }

    fn shaped(&self, op: &Experts, out: Tensor) -> Result<Tensor> {
        if op.keep {
            Ok(out.f_reshape([self.rows, self.k, *out.size().last().unwrap_or(&0)])?)
        } else {
            Ok(out)
        }
    }
}

/// The slots of the first `capacity` tokens of every sequence.
fn within_capacity(slots: &[i64], k: i64, capacity: u64, set: &RowSet) -> Vec<i64> {
    let (mut sequence, mut taken) = (0, 0);
    let mut kept = Vec::with_capacity(slots.len());
    for slot in slots {
        let row = slot / k;
        while row >= set.offsets()[sequence + 1] {
            sequence += 1;
            taken = 0;
        }
        if taken < capacity {
            kept.push(*slot);
        }
        taken += 1;
    }
    kept
}

/// Where the results go: `[N, C']` f32 sums, or `[N k, C']` if they are kept apart.
struct Sink {
    out: Tensor,
}

impl Sink {
    fn new(op: &Experts, plan: &Groups, like: &Tensor) -> Result<Sink> {
        let width = like.size().last().copied().unwrap_or(0);
        let (rows, kind) = if op.keep {
            (plan.rows * plan.k, like.kind())
        } else {
            (plan.rows, Kind::Float)
        };
        Ok(Sink {
            out: Tensor::f_zeros([rows, width], (kind, like.device()))?,
        })
    }

    fn add(&mut self, op: &Experts, plan: &Groups, mixture: &Mixture, slots: &[i64], output: &Tensor) -> Result<()> {
        if output.dim() != 2 || output.size()[0] != slots.len() as i64 {
            fail!("an expert made {:?} of {} tokens", output.size(), slots.len());
        }
        let scaled = match mixture.weight {
            Some(_) if !op.scale_input => output.f_mul(&plan.weights(mixture, slots)?)?,
            _ => output.shallow_clone(),
        };
        let scaled = cast(&scaled, self.out.kind())?;
        if op.keep {
            let _ = self.out.f_index_copy_(0, &plan.ids(slots, mixture)?, &scaled)?;
        } else {
            let rows: Vec<i64> = slots.iter().map(|slot| slot / plan.k).collect();
            let _ = self.out.f_index_add_(0, &plan.ids(&rows, mixture)?, &scaled)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
