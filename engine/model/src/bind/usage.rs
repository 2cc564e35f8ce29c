//! Which tensors are used, by whom, and what to make of the others.

use super::resolve::Resolver;
use super::{BindReport, Binding, TensorInfo, coverage};
use crate::NameRules;

/// Tensors that more than one layer reads, or both an `enter` graph and a layer.
pub(super) fn resident(binding: &Binding, count: usize) -> Vec<u32> {
    let mut readers = vec![0u32; count];
    let mut entered = vec![false; count];
    for stack in &binding.stacks {
        stack
            .enter
            .tensors()
            .iter()
            .for_each(|tensor| entered[*tensor as usize] = true);
        for layer in &stack.layers {
            layer.tensors().iter().for_each(|tensor| readers[*tensor as usize] += 1);
        }
    }
    let stays = |tensor: &u32| {
        let tensor = *tensor as usize;
        readers[tensor] > 1 || (entered[tensor] && readers[tensor] == 1)
    };
    (0..count as u32).filter(stays).collect()
}

/// Sorts the tensors of the checkpoint into used ones, copies, ignored and unused ones.
pub(super) fn account(
    binding: &Binding,
    tensors: &[TensorInfo],
    resolver: &Resolver<'_>,
    rules: &NameRules,
    report: &mut BindReport,
) {
    let mut used = vec![false; tensors.len()];
    let mut mark = |tensors: Vec<u32>| tensors.iter().for_each(|tensor| used[*tensor as usize] = true);
    for stack in &binding.stacks {
        mark(stack.enter.tensors());
        stack.layers.iter().for_each(|layer| mark(layer.tensors()));
        stack.last.iter().for_each(|last| mark(last.tensors()));
    }
    mark(binding.head.tensors());
    report.partial = coverage::partly_used(binding, tensors);
    report.bound = used.iter().filter(|used| **used).count();
    for tensor in tensors
        .iter()
        .zip(&used)
        .filter(|(_, used)| !**used)
        .map(|(tensor, _)| tensor)
    {
        if resolver.is_copy(&tensor.name) {
            report.copies.push(tensor.name.clone());
        } else if rules.ignores(&tensor.name) {
            report.ignored.push(tensor.name.clone());
        } else {
            report.unused.push(tensor.name.clone());
        }
    }
}
