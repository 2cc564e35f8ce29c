//! One unit on one micro-batch: its values, handed to stages and on to the next unit.

use std::sync::Arc;

use sli_model::{GraphInput, Value};
use sli_torch::{Batch, ByteView, RtValue, Tensor, TensorError, Weights};

use super::chunk::Chunk;
use super::deliver::{deliver, pieces_of};
use super::engine::{Engine, exec_error, failed};
use super::micro::Micro;
use super::placed::Placed;
use crate::error::Result;
use crate::stages::{Context, Stage};

impl Engine<'_> {
    /// The results of look-ups in tables of which only some rows were read: `[tokens, width]` in the compute type.
    pub(super) fn look_up(&self, index: usize, placed: &Placed, micro: &mut Micro) -> Result<()> {
        let field = self.field(index);
        for lookup in &self.inputs.lookups[index] {
            let Placed::Host(unit) = placed else { continue };
            let entry = self.inputs.checkpoint.tensor(lookup.tensor);
            let ids = self.inputs.dataset.fields[field].slice(micro.documents.clone());
            let mut bytes = Vec::with_capacity(ids.len() * lookup.row as usize);
            for id in ids {
                let start = u64::from(*id) * lookup.row;
                let row = unit.part(lookup.tensor, start..start + lookup.row);
                let missing = || TensorError(format!("row {id} of `{}` was not read", entry.name));
                bytes.extend_from_slice(row.ok_or_else(missing).map_err(|error| failed("embed", &error))?);
            }
            let len = bytes.len();
            let shape = [ids.len() as i64, entry.shape[1] as i64];
            let table = ByteView::new(Arc::new(bytes), 0..len).and_then(|view| Tensor::view(view, entry.dtype, &shape));
            let rows = table.and_then(|rows| rows.cast(self.inputs.compute));
            let rows = rows.map_err(|error| failed("embed", &error))?;
            micro
                .known
                .insert(lookup.value, RtValue::packed(rows, &micro.sets[field]));
        }
        Ok(())
    }

    /// Everything of a unit that is made for a whole micro-batch. Returns the seconds that stages took.
    pub(super) fn whole(
        &mut self,
        index: usize,
        weights: &Weights,
        micro: &mut Micro,
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<f64> {
        let demand = &self.inputs.demand.units[index];
        let results: Vec<&(String, Value)> = demand
            .results
            .iter()
            .filter(|result| !self.is_shared(&result.0))
            .collect();
        let points = demand.points.iter().map(|id| self.inputs.points.get(*id).value);
        let wanted: Vec<Value> = results.iter().map(|result| result.1).chain(points).collect();
        if wanted.is_empty() {
            return Ok(0.0);
        }
        let made = self.compute(index, weights, micro, &wanted, None)?;
        let (own, named) = made.split_at(results.len());
        let mut seconds = 0.0;
        for (id, value) in demand.points.iter().zip(named) {
            let pieces = pieces_of(self.inputs.points.get(*id).rows, micro);
            seconds += deliver(
                *id,
                self.inputs.points,
                value,
                micro.x.as_ref(),
                &pieces,
                stages,
                context,
            )?;
        }
        let own: Vec<(String, RtValue)> = results
            .iter()
            .map(|result| result.0.clone())
            .zip(own.iter().cloned())
            .collect();
        micro.known.clear();
        self.advance(index, micro, own)?;
        Ok(seconds)
    }

    /// The wide values of the head, a chunk of rows at a time. Returns the seconds that stages took.
    pub(super) fn chunks(
        &self,
        index: usize,
        weights: &Weights,
        micro: &Micro,
        stages: &mut [Box<dyn Stage>],
        context: &mut Context<'_>,
    ) -> Result<f64> {
        let demand = &self.inputs.demand.units[index];
        let values = demand.chunked_values();
        if values.is_empty() {
            return Ok(0.0);
        }
        let field = self.field(index);
        let rows = micro.sets[field].len();
        let row_wise = sli_model::cost::is_row_wise(self.inputs.units[index].graph, values);
        let step = if row_wise {
            self.inputs.schedule.chunk as i64
        } else {
            rows
        };
        let mut seconds = 0.0;
        for start in (0..rows).step_by(step.max(1) as usize) {
            self.check_cancelled()?;
            let chunk = Chunk::new(start, step.min(rows - start), self.inputs.device)
                .map_err(|error| failed("head", &error))?;
            let made = self.compute(index, weights, micro, values, row_wise.then_some(&chunk))?;
            for (id, value) in demand.chunked.iter().zip(&made) {
                let pieces = chunk.pieces(&pieces_of(self.inputs.points.get(*id).rows, micro));
                seconds += deliver(*id, self.inputs.points, value, None, &pieces, stages, context)?;
            }
        }
        Ok(seconds)
    }

    /// Values of a unit's graph for one micro-batch, or for a chunk of its rows.
    pub(super) fn compute(
        &self,
        index: usize,
        weights: &Weights,
        micro: &Micro,
        wanted: &[Value],
        chunk: Option<&Chunk>,
    ) -> Result<Vec<RtValue>> {
        let field = self.field(index);
        let inputs = |input: &GraphInput| {
            let value = micro.input(input, field, self.inputs.dataset, &self.shared)?;
            match chunk {
                Some(chunk) => chunk.cut(value).ok(),
                None => Some(value),
            }
        };
        let set = chunk.map_or_else(|| micro.sets[field].clone(), |chunk| chunk.set.clone());
        let batch = Batch {
            set,
            inputs: &inputs,
            compute: self.inputs.compute,
            known: &micro.known,
        };
        sli_torch::run(&self.graphs[index].graph, weights, &batch, wanted).map_err(exec_error)
    }
}
