//! Binding a plan to a checkpoint.

use std::collections::HashSet;

use sli_checkpoint::Checkpoint;
use sli_config::Diagnostic;
use sli_model::ModelPlan;
use sli_model::bind::{BindReport, Binding, TensorInfo, bind};

use crate::error::{Result, RunError};

/// Binds `plan` to the tensors of `checkpoint`; the binding is there if the report has no errors.
pub fn bind_checkpoint(plan: &ModelPlan, checkpoint: &Checkpoint) -> (BindReport, Option<Binding>) {
    let info = |tensor: &sli_checkpoint::TensorEntry| TensorInfo {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype: tensor.dtype,
    };
    let tensors: Vec<TensorInfo> = checkpoint.tensors().iter().map(info).collect();
    let result = bind(plan, &tensors);
    (result.report, result.binding)
}

/// What to say if the names are right and only what stands before them is not.
pub fn root_hint(report: &BindReport) -> Option<String> {
    let bare = |name: &str| name.strip_prefix(&report.root).unwrap_or(name).to_owned();
    let first = bare(&report.missing.first()?.name);
    let prefix = report
        .unused
        .iter()
        .find_map(|name| name.strip_suffix(&first).filter(|prefix| !prefix.is_empty()))?;
    let below: HashSet<&str> = (report.unused.iter())
        .filter_map(|name| name.strip_prefix(prefix))
        .collect();
    let names = report.missing.iter().map(|missing| bare(&missing.name));
    let count = names.filter(|name| below.contains(name.as_str())).count();
    let most = 2 * count > report.missing.len();
    most.then(|| format!("{count} of the missing tensors are there below `{prefix}`: add it to `[names] root`"))
}

/// The binding, or everything that stands in its way.
///
/// # Errors
/// Tensors missing, unused, of the wrong shape, or of a type that this program does not know.
pub fn require_binding(plan: &ModelPlan, checkpoint: &Checkpoint) -> Result<(BindReport, Binding)> {
    let (report, binding) = bind_checkpoint(plan, checkpoint);
    let mut errors: Vec<Diagnostic> = checkpoint
        .unsupported()
        .iter()
        .filter(|tensor| !plan.names.ignores(&tensor.name))
        .map(|tensor| {
            let message = format!(
                "the tensor `{}` has the element type `{}`, which cannot be read",
                tensor.name, tensor.dtype
            );
            Diagnostic::error(message).help("use a checkpoint in f32, f16 or bf16")
        })
        .take(8)
        .collect();
    match binding {
        Some(binding) if errors.is_empty() => Ok((report, binding)),
        _ => {
            if !report.is_ok() {
                let message = format!("the checkpoint does not fit the family `{}`", plan.family);
                let lines = report.to_string();
                let error = lines
                    .lines()
                    .fold(Diagnostic::error(message), |error, line| error.note(line))
                    .help_opt(root_hint(&report));
                errors.insert(
                    0,
                    error
                        .help("`sli-pipe inspect` shows every tensor; perhaps `[model] family` names the wrong family"),
                );
            }
            Err(RunError::inputs(errors))
        }
    }
}
