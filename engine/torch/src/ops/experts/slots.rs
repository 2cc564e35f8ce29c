//! Which tokens chose which expert.

use crate::error::{Result, fail};
use crate::{RowSet, Tensor};
use sli_model::Experts;

/// Which slots (token * k + place) each expert works on, in order.
pub(super) struct Slots {
    /// Tokens.
    pub(super) count: i64,
    /// Choices of a token.
    pub(super) k: i64,
    by_expert: Vec<Vec<i64>>,
}

impl Slots {
    /// Groups the choices `index` `[N, k]` of tokens whose x has the shape `x`, `[N, C]` or `[N, k, C]`.
    pub(super) fn new(op: &Experts, x: &[i64], index: &Tensor, set: Option<&RowSet>) -> Result<Slots> {
        let shape = index.shape();
        let [count, k] = shape[..] else {
            fail!("an index of shape {shape:?}, [N, k] is expected")
        };
        match x {
            [n, _] if *n == count => {}
            [n, slots, _] if *n == count && *slots == k => {}
            _ => fail!("x {x:?} and index {shape:?}: [N, C] or [N, k, C] and [N, k] are expected"),
        }
        let choices = index.to_i64_vec()?;
        let total = (op.count + op.identity) as i64;
        if let Some(beyond) = choices.iter().find(|e| **e < 0 || **e >= total) {
            fail!("index {beyond} was chosen, the experts are 0 .. {}", total - 1);
        }
        let mut by_expert = vec![Vec::new(); total as usize];
        for (slot, expert) in choices.iter().enumerate() {
            by_expert[*expert as usize].push(slot as i64);
        }
        if let Some(capacity) = op.capacity {
            let Some(set) = set else {
                fail!("`capacity` needs rows of sequences")
            };
            for slots in &mut by_expert {
                *slots = within_capacity(slots, k, capacity, set);
            }
        }
        Ok(Slots { count, k, by_expert })
    }

    /// The slots of an expert.
    pub(super) fn of(&self, expert: usize) -> &[i64] {
        &self.by_expert[expert]
    }

    /// The tokens of some slots.
    pub(super) fn rows(&self, slots: &[i64]) -> Vec<i64> {
        slots.iter().map(|slot| slot / self.k).collect()
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
