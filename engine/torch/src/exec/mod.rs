//! The executor: demand-driven, in node order, values freed at their last use.

mod args;
mod eval;
mod foreign;
mod sequence;

pub(crate) use args::Args;

use crate::error::ExecError;
use crate::kinds::kind_of;
use crate::ops::experts;
use crate::weights::ParamValue;
use crate::{RowSet, RtValue, Tensor, TensorError, Weights};
use sli_model::{Activation, DType, Graph, GraphInput, Op, Origin, StackValue, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// What a graph is run on.
pub struct Batch<'a> {
    /// The token set of the stack: that of `distances()`.
    pub set: Arc<RowSet>,
    /// Values from outside. `None` is an error if a node needs it.
    pub inputs: &'a dyn Fn(&GraphInput) -> Option<RtValue>,
    /// The dtype of matrix products; values from outside should have it.
    pub compute: DType,
    /// Values of the graph that an earlier call made: they are not computed again.
    pub known: &'a Known,
}

/// Values of a graph that are there already.
pub type Known = HashMap<Value, RtValue>;

/// Runs what `wanted` needs of a graph and returns these values, in their order.
///
/// Float results have the compute dtype unless torch's promotion widens them: a bf16 value that meets
/// an f32 vector becomes f32 (cast what goes on to the next layer). Integers are i64.
///
/// # Errors
/// The first operation that fails, with its origin.
pub fn run(
    graph: &Graph,
    weights: &Weights,
    batch: &Batch,
    wanted: &[Value],
) -> std::result::Result<Vec<RtValue>, ExecError> {
    let _guard = tch::no_grad_guard();
    let mut run = Run::new(graph, weights, batch, wanted)?;
    run.all()?;
    let mut fetched = Vec::with_capacity(wanted.len());
    for value in wanted {
        let Some(found) = run.peek(*value) else {
            let origin = graph
                .nodes
                .get(value.node as usize)
                .map(|n| n.origin.clone())
                .unwrap_or_default();
            return Err(ExecError::new(
                "a value was asked for that the checkpoint does not give",
                &origin,
            ));
        };
        // results must outlive the weights, which may lie in an arena of the reader
        fetched.push(found.settled(weights, &run.entered));
    }
    Ok(fetched)
}

/// What the body of `experts` is run with.
pub(crate) struct Body<'a> {
    pub(crate) compute: DType,
    pub(crate) origin: &'a Origin,
    pub(crate) set: &'a Arc<RowSet>,
}

impl Body<'_> {
    /// `out` of the body for the tokens `x` `[n, C]` of one expert.
    pub(crate) fn run(
        &self,
        body: &Graph,
        weights: &Weights,
        x: tch::Tensor,
    ) -> std::result::Result<tch::Tensor, ExecError> {
        let x = Tensor::own(x);
        let inputs = |input: &GraphInput| match input {
            GraphInput::X => Some(RtValue::plain(x.clone())),
            _ => None,
        };
        let batch = Batch {
            set: self.set.clone(),
            inputs: &inputs,
            compute: self.compute,
            known: &Known::new(),
        };
        let Some(out) = body.output("out") else {
            return Err(ExecError::new("`experts`: the block has no `out`", self.origin));
        };
        let made = run(body, weights, &batch, &[out])?;
        match made.into_iter().next() {
            Some(RtValue::Tensor { tensor, .. }) => Ok(tensor.raw().shallow_clone()),
            _ => Err(ExecError::new(
                "`experts`: the block does not return a tensor",
                self.origin,
            )),
        }
    }
}

/// The results of one node: `None` where the checkpoint lacks an optional parameter.
type Results = Vec<Option<RtValue>>;

/// A graph on its way.
struct Run<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    batch: &'a Batch<'a>,
    compute: tch::Kind,
    /// Results that are still needed, by node.
    results: Vec<Results>,
    /// How often each result will still be read, by node.
    readers: Vec<Vec<u32>>,
    /// Nodes whose result is new memory with one reader in all, who may therefore write into it.
    alone: Vec<bool>,
    /// Values that came from outside; they may look into foreign memory.
    entered: Vec<Tensor>,
}

impl<'a> Run<'a> {
    fn new(
        graph: &'a Graph,
        weights: &'a Weights,
        batch: &'a Batch<'a>,
        wanted: &[Value],
    ) -> std::result::Result<Run<'a>, ExecError> {
        let compute = kind_of(batch.compute).map_err(|e| ExecError::new(e.0, &Origin::default()))?;
        let nodes = graph.nodes.len();
        if let Some(beyond) = wanted.iter().find(|value| value.node as usize >= nodes) {
            let message = format!("value {} of a graph of {nodes} nodes was asked for", beyond.node);
            return Err(ExecError::new(message, &Origin::default()));
        }
        let mut readers = vec![Vec::new(); nodes];
        let mut read = |value: &Value| {
            let counts: &mut Vec<u32> = &mut readers[value.node as usize];
            if counts.len() <= value.out as usize {
                counts.resize(value.out as usize + 1, 0);
            }
            counts[value.out as usize] += 1;
        };
        let is_known = |value: Value| batch.known.contains_key(&value);
        let need = graph.needed_beside(wanted.iter().copied(), &is_known);
        let mut read_unknown = |value: &Value| {
            if !is_known(*value) {
                read(value);
            }
        };
        wanted.iter().for_each(&mut read_unknown);
        for (node, _) in graph.nodes.iter().zip(&need).filter(|(_, need)| **need) {
            node.inputs.iter().flatten().for_each(&mut read_unknown);
        }
        let alone = (graph.nodes.iter().zip(&readers))
            .map(|(node, readers)| makes_new_memory(&node.op) && readers[..] == [1])
            .collect();
        let results = vec![Vec::new(); nodes];
        let entered = batch.known.values().filter_map(RtValue::tensor).cloned().collect();
        Ok(Run {
            graph,
            weights,
            batch,
            compute,
            results,
            readers,
            alone,
            entered,
        })
    }

    fn all(&mut self) -> std::result::Result<(), ExecError> {
        for index in 0..self.graph.nodes.len() {
            if self.readers[index].is_empty() {
                continue;
            }
            let mut made = self.node(index)?;
            // results that nobody reads are not kept
            for (out, result) in made.iter_mut().enumerate() {
                if self.readers[index].get(out).copied().unwrap_or(0) == 0 {
                    *result = None;
                }
            }
            self.results[index] = made;
        }
        Ok(())
    }

    fn node(&mut self, index: usize) -> std::result::Result<Results, ExecError> {
        let (graph, weights) = (self.graph, self.weights);
        let node = &graph.nodes[index];
        let inputs: Vec<Option<RtValue>> = node
            .inputs
            .iter()
            .map(|input| input.and_then(|v| self.take(v)))
            .collect();
        let spare = || {
            let alone = |input: &Option<Value>| input.is_some_and(|v| self.alone[v.node as usize]);
            node.inputs.iter().map(alone).collect()
        };
        match &node.op {
            Op::Input(input) => match (self.batch.inputs)(input) {
                Some(value) => {
                    if let RtValue::Tensor { tensor, .. } = &value {
                        self.entered.push(tensor.clone());
                    }
                    Ok(vec![Some(value)])
                }
                None => Err(ExecError::new(
                    format!("{} is not available here", outside(input)),
                    &node.origin,
                )),
            },
            Op::Param(id) => match weights.params.get(id.0 as usize) {
                Some(ParamValue::One(tensor)) => Ok(vec![Some(RtValue::plain(tensor.clone()))]),
                Some(ParamValue::Absent) => Ok(vec![None]),
                _ => {
                    let name = graph.params.get(id.0 as usize).map_or("?", |p| p.name.path.as_str());
                    Err(ExecError::new(
                        format!("parameter `{name}` was not made ready"),
                        &node.origin,
                    ))
                }
            },
            // parameters stored in pieces that the checkpoint does not have
            Op::JoinRows if !inputs.is_empty() && inputs.iter().all(Option::is_none) => Ok(vec![None]),
            Op::Experts(op) => {
                let own = weights.experts.get(&(index as u32));
                experts::experts(op, &node.origin, self.batch.compute, &inputs, own)
            }
            op => {
                let args = Args::new(inputs, spare());
                let context = eval::Context {
                    compute: self.compute,
                    set: &self.batch.set,
                };
                eval::eval(op, &args, &context).map_err(|e| failed(op, &args, e, &node.origin))
            }
        }
    }

    /// A result for one of its readers; the last one gets it for good.
    fn take(&mut self, value: Value) -> Option<RtValue> {
        if let Some(known) = self.batch.known.get(&value) {
            return Some(known.clone());
        }
        let (node, out) = (value.node as usize, value.out as usize);
        self.readers[node][out] -= 1;
        let slot = self.results[node].get_mut(out)?;
        if self.readers[node][out] == 0 {
            slot.take()
        } else {
            slot.clone()
        }
    }

    fn peek(&self, value: Value) -> Option<RtValue> {
        if let Some(known) = self.batch.known.get(&value) {
            return Some(known.clone());
        }
        self.results[value.node as usize].get(value.out as usize)?.clone()
    }
}

/// True for operations whose result never looks into the memory of an input, whatever the input is.
fn makes_new_memory(op: &Op) -> bool {
    match op {
        Op::Activation(kind) => *kind != Activation::Identity,
        Op::Linear { .. } | Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::Binary(_) => true,
        _ => false,
    }
}

fn failed(op: &Op, args: &Args, error: TensorError, origin: &Origin) -> ExecError {
    ExecError::new(format!("`{}` of {}: {error}", op.name(), args.describe()), origin)
}

/// A value from outside, as in equations.
fn outside(input: &GraphInput) -> String {
    match input {
        GraphInput::X => "`x`".to_string(),
        GraphInput::Tokens => "`tokens`".to_string(),
        GraphInput::Positions => "`positions`".to_string(),
        GraphInput::TokenTypes => "`token_type_ids`".to_string(),
        GraphInput::Field(name) => format!("`input.{name}`"),
        GraphInput::Let(name) => format!("`{name}` of `let`"),
        GraphInput::Carry(name) => format!("`carry.{name}`"),
        GraphInput::Pair(index) => format!("`x.{}`", index.name()),
        GraphInput::Stack { stack, value } => match value {
            StackValue::Final => format!("`{stack}.final`"),
            StackValue::Out => format!("`{stack}.out`"),
            StackValue::Hidden(k) => format!("`{stack}.hidden[{k}]`"),
        },
    }
}

impl RtValue {
    /// The value, kept alive by whatever foreign memory it looks into.
    fn settled(self, weights: &Weights, entered: &[Tensor]) -> RtValue {
        let settle = |tensor: Tensor| tensor.settled(entered.iter().chain(weights.tensors()));
        match self {
            RtValue::Tensor { tensor, rows } => RtValue::Tensor {
                tensor: settle(tensor),
                rows,
            },
            RtValue::Bias(bias) => RtValue::Bias(Arc::new(bias.map_tensors(&settle))),
            scalar => scalar,
        }
    }
}

#[cfg(test)]
mod tests;
