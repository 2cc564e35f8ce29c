//! Bindings of hand-built plans: what binds, and each error with its exact words.

mod experts;
mod flow;
mod names;
mod pieces;

use super::{BindReport, BindResult, Binding, TensorInfo, bind};
use crate::ModelPlan;

fn must_bind(plan: &ModelPlan, tensors: &[TensorInfo]) -> (BindReport, Binding) {
    let BindResult { report, binding } = bind(plan, tensors);
    let Some(binding) = binding else { panic!("{report}") };
    assert!(report.is_ok());
    (report, binding)
}

fn must_fail(plan: &ModelPlan, tensors: &[TensorInfo]) -> BindReport {
    let BindResult { report, binding } = bind(plan, tensors);
    assert!(binding.is_none() && !report.is_ok(), "{report}");
    report
}

/// The only mismatch, as text.
fn mismatch(plan: &ModelPlan, tensors: &[TensorInfo]) -> String {
    let report = must_fail(plan, tensors);
    assert_eq!(report.mismatched.len(), 1, "{report}");
    report.mismatched[0].to_string()
}

fn without(mut tensors: Vec<TensorInfo>, name: &str) -> Vec<TensorInfo> {
    let before = tensors.len();
    tensors.retain(|tensor| tensor.name != name);
    assert_eq!(tensors.len() + 1, before, "{name}");
    tensors
}

fn renamed(mut tensors: Vec<TensorInfo>, change: impl Fn(&str) -> String) -> Vec<TensorInfo> {
    tensors.iter_mut().for_each(|tensor| tensor.name = change(&tensor.name));
    tensors
}
