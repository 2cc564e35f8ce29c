//! Which known families come near a model, by its config and the names of its tensors.

use serde_json::{Value as Json, json};
use sli_checkpoint::Checkpoint;
use sli_family::{Descriptor, Family, Registry};
use sli_model::bind::{BindReport, Missing};
use sli_runtime::bind_checkpoint;

use crate::failure::Outcome;

/// A family applied to the model, whatever is left over.
pub(super) struct Candidate {
    /// Its id.
    pub(super) id: String,
    /// Keys of config.json that it does nothing with.
    pub(super) unhandled: Vec<String>,
    /// Tensors that it needs and the model does not have.
    pub(super) missing: Vec<Missing>,
    /// Tensors of the model that it does not use.
    pub(super) unused: Vec<String>,
    /// Shapes that do not fit.
    pub(super) mismatched: Vec<String>,
    bound: usize,
}

impl Candidate {
    fn new(family: &Descriptor, checkpoint: &Checkpoint) -> Option<Candidate> {
        let config = checkpoint.config();
        let unhandled = family.unhandled(config);
        let mut known = config.clone();
        known.as_object_mut()?.retain(|key, _| !unhandled.contains(key));
        let plan = family.plan(&known).ok()?;
        let (report, _) = bind_checkpoint(&plan, checkpoint);
        let BindReport {
            bound,
            missing,
            unused,
            mismatched,
            ..
        } = report;
        let mismatched = mismatched.iter().map(ToString::to_string).collect();
        let id = family.id().to_owned();
        Some(Candidate {
            id,
            unhandled,
            missing,
            unused,
            mismatched,
            bound,
        })
    }

    /// Tensors bound, of all that the family or the model has.
    fn score(&self) -> f64 {
        let all = self.bound + self.missing.len() + self.unused.len();
        self.bound as f64 / all.max(1) as f64
    }

    /// The score for people.
    pub(super) fn share(&self) -> String {
        format!("{:.0} %", 100.0 * self.score())
    }

    /// For `--json`.
    pub(super) fn to_json(&self) -> Json {
        let missing: Vec<&String> = self.missing.iter().map(|tensor| &tensor.name).collect();
        json!({
            "id": self.id, "share": self.score(), "unhandled_keys": self.unhandled,
            "missing": missing, "unused": self.unused, "mismatched": self.mismatched,
        })
    }
}

/// The families that can be applied at all, the nearest first; only `parent` if one is named.
///
/// # Errors
/// A parent that does not exist or cannot be applied, with its reasons.
pub(super) fn candidates(
    registry: &Registry,
    checkpoint: &Checkpoint,
    parent: Option<&str>,
) -> Outcome<Vec<Candidate>> {
    if let Some(parent) = parent {
        let family = registry.descriptor(parent)?;
        if let Some(candidate) = Candidate::new(&family, checkpoint) {
            return Ok(vec![candidate]);
        }
        let errors = family.plan(checkpoint.config()).err().unwrap_or_default();
        return Err(errors.into());
    }
    let families = registry.ids().into_iter().filter_map(|id| registry.descriptor(id).ok());
    let mut found: Vec<Candidate> = families
        .filter_map(|family| Candidate::new(&family, checkpoint))
        .collect();
    found.retain(|candidate| candidate.bound > 0);
    // Of equals the one that leaves fewer shapes and keys open, then the one that others are made from.
    found.sort_by(|a, b| {
        let rank = |c: &Candidate| (c.mismatched.len(), c.unhandled.len(), c.id.len());
        b.score().total_cmp(&a.score()).then_with(|| rank(a).cmp(&rank(b)))
    });
    Ok(found)
}
