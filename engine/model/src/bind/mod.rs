//! Binding: a plan meets the tensors of a checkpoint (section 5 of the language).
//!
//! Strict in both directions: a tensor that the plan needs must be there in a shape that fits, and a
//! tensor of the checkpoint that nothing uses, ties or ignores is an error. The outcome is a value.

mod coverage;
mod flow;
mod pieces;
mod rename;
mod report;
mod resolve;
mod shapes;
mod source;
mod surroundings;
#[cfg(test)]
mod tests;
mod usage;

pub use report::{BindReport, Missing};
pub use source::{Index, Piece, Rows, Source};

use crate::infer::{TypeError, ValueType, check_structure};
use crate::{DType, ModelPlan, Value};
use flow::Binder;
use serde::{Deserialize, Serialize};

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorInfo {
    /// Its full name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its element type.
    pub dtype: DType,
}

/// A binding, or what stands in its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindResult {
    /// What happened to every tensor.
    pub report: BindReport,
    /// The binding; `None` if the report has errors.
    pub binding: Option<Binding>,
}

/// A plan tied to the tensors of a checkpoint. Tensors are numbered in checkpoint order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The root that was found.
    pub root: String,
    /// One per stack of the plan.
    pub stacks: Vec<BoundStack>,
    /// The head graph; parameters that only unavailable heads read are absent.
    pub head: BoundGraph,
    /// Every head value, available or not.
    pub heads: Vec<HeadStatus>,
    /// Tensors that more than one layer reads, or both an `enter` graph and a layer: they stay in memory.
    pub resident: Vec<u32>,
}

/// Whether a head value can be computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadStatus {
    /// Its name.
    pub name: String,
    /// The value in the head graph; `None` if it is unavailable.
    pub value: Option<Value>,
    /// Why it is unavailable.
    pub reason: Option<String>,
}

/// The bound graphs of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundStack {
    /// What enters.
    pub enter: BoundGraph,
    /// Layers in order.
    pub layers: Vec<BoundGraph>,
    /// After the last layer.
    pub last: Option<BoundGraph>,
}

/// The tensors and types of one graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundGraph {
    /// One per parameter of the graph.
    pub params: Vec<BoundParam>,
    /// Bodies of `experts` nodes, by node.
    pub experts: Vec<(u32, BoundGraph)>,
    /// Node -> types of its outputs; empty for nodes that are not needed or absent.
    pub types: Vec<Vec<ValueType>>,
}

impl BoundGraph {
    /// The tensors it reads, sorted, each once, bodies of experts included.
    pub fn tensors(&self) -> Vec<u32> {
        let mut tensors = Vec::new();
        self.each_source(&mut |source| tensors.extend_from_slice(source.tensors()));
        tensors.sort_unstable();
        tensors.dedup();
        tensors
    }

    /// The type of a value, if it was inferred.
    pub fn value_type(&self, value: Value) -> Option<&ValueType> {
        self.types.get(value.node as usize)?.get(value.out as usize)
    }

    /// The bound body of the `experts` node with that index.
    pub fn body(&self, node: u32) -> Option<&BoundGraph> {
        self.experts
            .iter()
            .find(|expert| expert.0 == node)
            .map(|expert| &expert.1)
    }

    /// Hands every source of its parameters to `take`, those of bodies of experts included.
    pub fn each_source<'a>(&'a self, take: &mut dyn FnMut(&'a Source)) {
        self.params.iter().flat_map(BoundParam::sources).for_each(&mut *take);
        for (_, body) in &self.experts {
            body.each_source(take);
        }
    }
}

/// The tensors of one parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BoundParam {
    /// Optional and not there, or not needed.
    Absent,
    /// One tensor (also one that experts cut in parts).
    One(Source),
    /// The tensors of `{n}` or `{e}`, in order.
    Many(Vec<Source>),
}

impl BoundParam {
    /// Where its tensors come from.
    pub fn sources(&self) -> &[Source] {
        match self {
            BoundParam::Absent => &[],
            BoundParam::One(source) => std::slice::from_ref(source),
            BoundParam::Many(sources) => sources,
        }
    }
}

/// Binds a plan to the tensors of a checkpoint, given in checkpoint order with distinct names.
///
/// Linear in the number of tensors and parameters. Nothing is read: names, shapes and dtypes suffice.
pub fn bind(plan: &ModelPlan, tensors: &[TensorInfo]) -> BindResult {
    let mut binder = Binder::new(plan, tensors);
    let broken = structure_errors(plan);
    if !broken.is_empty() {
        binder.report.mismatched = broken;
        return BindResult {
            report: binder.report,
            binding: None,
        };
    }
    let stacks = (0..plan.stacks.len()).map(|k| binder.stack(k)).collect();
    let (head, heads) = binder.head();
    let mut binding = Binding {
        root: binder.report.root.clone(),
        stacks,
        head,
        heads,
        resident: vec![],
    };
    binding.resident = usage::resident(&binding, tensors.len());
    usage::account(&binding, tensors, &binder.resolver, &plan.names, &mut binder.report);
    binder.report.tied = binder.resolver.tied();
    binder.resolver.list_made(&mut binder.report);
    let report = binder.report;
    let binding = report.is_ok().then_some(binding);
    BindResult { report, binding }
}

fn structure_errors(plan: &ModelPlan) -> Vec<TypeError> {
    let stacks = plan.stacks.iter().flat_map(|stack| {
        let layers = stack.layers.iter().map(|layer| &layer.graph);
        std::iter::once(&stack.enter).chain(layers).chain(&stack.last)
    });
    stacks
        .chain([&plan.head])
        .filter_map(|graph| check_structure(graph).err())
        .collect()
}
