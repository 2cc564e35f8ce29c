//! A schedule in words and numbers: what `sli-pipe plan` prints.

use sli_model::ModelPlan;

use crate::memory::{OVERHEAD, SLACK, show};
use crate::options::EngineOptions;
use crate::plan::{Choice, Layout, MemoryPlan, Plan, Schedule, Shape, smallest, taken};

/// What is described.
pub(crate) struct Described<'a> {
    /// The model.
    pub(crate) model: &'a ModelPlan,
    /// `[engine]`, decided.
    pub(crate) options: &'a EngineOptions,
    /// What was planned for.
    pub(crate) shape: &'a Shape<'a>,
    /// How units are read.
    pub(crate) layout: &'a Layout,
    /// What was chosen.
    pub(crate) schedule: &'a Schedule,
    /// Bytes of tensors that stages write.
    pub(crate) written: u64,
}

/// What a run will do.
pub(crate) fn describe(of: &Described<'_>) -> Plan {
    let (dataset, schedule, costs) = (of.shape.dataset, of.schedule, &of.layout.costs);
    let sweeps = schedule.sweeps.len() as u64;
    let process = taken(of.shape.process) - SLACK;
    let (stages, resident) = (costs.stages.fixed, costs.resident);
    let peak = process + SLACK + schedule.arena_bytes + resident + schedule.state + schedule.working + stages;
    Plan {
        family: of.model.family.clone(),
        compute: of.options.compute.name().to_lowercase(),
        documents: dataset.len() as u64,
        tokens: dataset.total_tokens(),
        longest: (0..dataset.len())
            .map(|document| dataset.tokens(document))
            .max()
            .unwrap_or(0),
        sweeps,
        sweep_tokens: schedule.sweep_tokens,
        micro_batch_tokens: schedule.micro_tokens,
        micro_batches: schedule.micro_batches.len() as u64,
        chunk_tokens: schedule.chunk.min(schedule.micro_tokens),
        arenas: schedule.slots as u64,
        sweep_bytes: costs
            .units
            .iter()
            .map(|unit| unit.plan.bytes + unit.plan.expert_bytes)
            .sum(),
        read_bytes: schedule.prediction.read_bytes,
        write_bytes: of.written,
        rates: of.shape.rates,
        prediction: schedule.prediction,
        activations: if schedule.spill { "disk" } else { "memory" }.into(),
        experts: experts(of).into(),
        staying_units: schedule.stays.iter().filter(|stays| **stays).count() as u64,
        choices: choices(of),
        memory: MemoryPlan {
            budget: of.options.budget,
            overhead: OVERHEAD,
            smallest_budget: smallest(costs, of.shape),
            peak,
            process,
            slack: SLACK,
            arenas: schedule.arena_bytes - schedule.stay_bytes,
            resident: resident + schedule.stay_bytes,
            state: schedule.state,
            working: schedule.working,
            stages,
        },
        units: costs.units.iter().map(|unit| unit.plan.clone()).collect(),
    }
}

fn experts(of: &Described<'_>) -> &'static str {
    let apart: Vec<bool> = (of.layout.mixtures.iter().zip(&of.schedule.all_experts))
        .filter(|(mixtures, _)| !mixtures.is_empty())
        .map(|(_, all)| *all)
        .collect();
    match &apart[..] {
        [] => "with their layer",
        all if all.iter().all(|all| *all) => "all",
        _ => "hit",
    }
}

/// What was decided, and why.
fn choices(of: &Described<'_>) -> Vec<Choice> {
    let all = [sweeps(of), arenas(of), staying(of), activations(of), expert_choice(of)];
    all.into_iter().flatten().collect()
}

fn choice(what: &str, chosen: String, because: String) -> Option<Choice> {
    Some(Choice {
        what: what.into(),
        chosen,
        because,
    })
}

fn sweeps(of: &Described<'_>) -> Option<Choice> {
    let (schedule, memory) = (of.schedule, show(of.schedule.state));
    let chosen = format!("{} of at most {} tokens", schedule.sweeps.len(), schedule.sweep_tokens);
    let because = match schedule.sweeps.len() {
        _ if schedule.spill => "hidden state is on disk, so all documents go together".into(),
        0 | 1 => format!("the hidden state of all documents takes {memory}"),
        _ => format!("{memory} of hidden state is what fits; all weights are read again for each"),
    };
    choice("sweeps", chosen, because)
}

fn arenas(of: &Described<'_>) -> Option<Choice> {
    let schedule = of.schedule;
    let (chosen, because) = match schedule.slots {
        0 | 1 => (
            "none",
            "the budget holds the weights of one unit only, so nothing is read while it computes",
        ),
        _ => ("on", "the next weights are read while these compute"),
    };
    choice("read-ahead", chosen.into(), because.into())
}

fn staying(of: &Described<'_>) -> Option<Choice> {
    let (count, units) = (
        of.schedule.stays.iter().filter(|stays| **stays).count(),
        of.layout.planned.len(),
    );
    let bytes = show(of.schedule.stay_bytes);
    match count {
        0 if of.schedule.sweeps.len() < 2 => None,
        0 => choice(
            "weights that stay",
            "none".into(),
            "memory for tokens saves more than memory for weights".into(),
        ),
        all if all == units => choice(
            "weights that stay",
            "all".into(),
            format!("the model fits in {bytes}, so it is read once"),
        ),
        some => choice(
            "weights that stay",
            format!("{some} of {units} units"),
            format!("{bytes} of them are read once instead of every sweep"),
        ),
    }
}

fn activations(of: &Described<'_>) -> Option<Choice> {
    if of.schedule.spill {
        let bytes = show(of.schedule.prediction.spill_bytes);
        let because = match of.options.spill {
            [true] => format!("asked for; writes {bytes} and reads it again"),
            _ => format!(
                "reading all weights for every sweep would take longer than writing {bytes} and reading it again"
            ),
        };
        return choice("hidden state", "on disk".into(), because);
    }
    let because = match of.options.spill {
        [false] => "asked for",
        _ if of.schedule.sweeps.len() < 2 => "all of it fits",
        _ => "writing it after every layer would take longer",
    };
    choice("hidden state", "in memory".into(), because.into())
}

fn expert_choice(of: &Described<'_>) -> Option<Choice> {
    of.layout.costs.units.iter().find(|unit| unit.plan.has_experts)?;
    let asked = of.options.all_experts.is_some();
    let (chosen, because) = match experts(of) {
        "hit" => (
            "those that are hit",
            "some experts of a layer are likely not to be chosen by any token",
        ),
        "all" => ("all, in groups", "nearly every expert is chosen by some token"),
        _ => (
            "with their layer",
            "they fit in memory with it, and nothing is gained by reading them apart",
        ),
    };
    choice(
        "experts",
        chosen.into(),
        if asked { "asked for".into() } else { because.to_owned() },
    )
}
