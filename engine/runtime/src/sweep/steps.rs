//! One unit on one micro-batch: its values, handed to stages and on to the next unit.

use sli_model::{GraphInput, Value};
use sli_torch::{Batch, RtValue, Weights};

use super::chunk::Chunk;
use super::deliver::{deliver, pieces_of};
use super::engine::{Engine, exec_error, failed};
use super::micro::Micro;
use crate::error::Result;
use crate::stages::{Context, Stage};

impl Engine<'_> {
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
            let chunk = Chunk::new(start, step.min(rows - start)).map_err(|error| failed("head", &error))?;
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
