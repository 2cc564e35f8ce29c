//! `sli-pipe plan PIPELINE`.

mod estimate;

use std::path::Path;

use serde_json::json;
use sli_runtime::Plan;
use sli_runtime::plan::UnitPlan;

use crate::args::PipelineArgs;
use crate::failure::Outcome;
use crate::format::{bytes, count, many, rate, seconds};
use crate::group::group;
use crate::output::{fields, indented, print, print_json, show, table, table_text};
use crate::prepare::{Prepared, prepare};
use crate::progress::Progress;

/// Says what running the pipeline would do. Reads and tokenises the documents; reads no weights, writes nothing.
pub(crate) fn plan(args: &PipelineArgs, logs: bool) -> Outcome {
    let progress = Progress::new(logs);
    let prepared = prepare(args, &progress);
    progress.end();
    let Prepared { run, name, dir, .. } = prepared?;
    show(run.warnings());
    let plan = run.plan();
    let estimate = estimate::seconds(plan, &dir);
    if args.json {
        let fingerprint = run.fingerprint();
        return print_json(
            &json!({ "name": name, "dir": dir, "plan": plan, "estimated_seconds": estimate, "fingerprint": fingerprint }),
        );
    }
    let mut rows = what(plan, &name);
    rows.push((
        "writes",
        format!(
            "{} of tensors, and tables, to `{}`",
            bytes(plan.write_bytes),
            dir.display()
        ),
    ));
    rows.push(("time", time(plan, estimate, &dir)));
    let text = [fields(&rows), choices(plan), memory(plan), units(plan)];
    print(&text.join("\n"))
}

/// How long it will take: by an earlier run of the same model if there is one, else by the machine's rates.
fn time(plan: &Plan, earlier: Option<f64>, dir: &Path) -> String {
    let (prediction, rates) = (&plan.prediction, &plan.rates);
    let parts = format!(
        "{} of disk at {}, {} of computing at {:.0} GFLOP/s",
        seconds(prediction.disk_seconds),
        rate(rates.read as u64, 1.0),
        seconds(prediction.compute_seconds),
        rates.flops / 1e9
    );
    match earlier {
        Some(earlier) => format!(
            "about {}, judging by the last run in `{}`; predicted: {parts}",
            seconds(earlier),
            dir.display()
        ),
        None if rates.measured => format!("about {}: {parts}", seconds(prediction.seconds)),
        None => format!(
            "about {}, if this machine is like most: {parts}",
            seconds(prediction.seconds)
        ),
    }
}

/// What the planner decided, and why.
fn choices(plan: &Plan) -> String {
    let mut parts = table(&["DECISION", "CHOSEN", "WHY"], &[]);
    for choice in &plan.choices {
        parts.add_row([&choice.what, &choice.chosen, &choice.because]);
    }
    indented(&table_text(&parts))
}

fn what(plan: &Plan, name: &str) -> Vec<(&'static str, String)> {
    let sweeps = if plan.sweeps == 1 {
        format!("1 sweep of {}", many(plan.sweep_tokens, "token"))
    } else {
        format!(
            "{} of at most {}",
            many(plan.sweeps, "sweep"),
            many(plan.sweep_tokens, "token")
        )
    };
    let batches = many(plan.micro_batches, "batch");
    vec![
        ("pipeline", name.to_owned()),
        ("family", format!("{}, computed in {}", plan.family, plan.compute)),
        (
            "data",
            format!(
                "{}, {}, the longest has {}",
                many(plan.documents, "document"),
                many(plan.tokens, "token"),
                count(plan.longest)
            ),
        ),
        (
            "sweeps",
            format!(
                "{sweeps}, in {batches} of at most {}",
                many(plan.micro_batch_tokens, "token")
            ),
        ),
        ("reads", reads(plan)),
    ]
}

fn reads(plan: &Plan) -> String {
    let experts = match plan.experts.as_str() {
        "hit" => ", if experts are chosen evenly",
        _ => "",
    };
    let spill = match plan.prediction.spill_bytes {
        0 => String::new(),
        bytes_spilled => format!("; {} of hidden state to disk and back", bytes(bytes_spilled)),
    };
    format!(
        "{} of weights, {} in all{experts}{spill}",
        bytes(plan.sweep_bytes),
        bytes(plan.read_bytes)
    )
}

/// The budget and what it is spent on.
fn memory(plan: &Plan) -> String {
    let memory = &plan.memory;
    let mut parts = table(&["MEMORY", "BYTES"], &[1]);
    let weights = match plan.arenas {
        1 => "weights, one unit".to_owned(),
        units => format!("weights, {units} units"),
    };
    for (name, part) in [
        ("program, libraries, token ids", memory.process),
        ("slack for the allocator", memory.slack),
        (weights.as_str(), memory.arenas),
        ("weights that stay", memory.resident),
        ("hidden state of a sweep", memory.state),
        ("values while a unit is computed", memory.working),
        ("buffers of stages", memory.stages),
        ("all together", memory.peak),
    ] {
        if part > 0 {
            parts.add_row([name.to_owned(), bytes(part)]);
        }
    }
    let promise = bytes(memory.budget + memory.overhead);
    let (budget, overhead, least) = (
        bytes(memory.budget),
        bytes(memory.overhead),
        bytes(memory.smallest_budget),
    );
    let promised =
        format!("at most {promise} ({budget} budget + {overhead}); the smallest budget that works is {least}");
    format!("{}  promised: {promised}\n", indented(&table_text(&parts)))
}

fn units(plan: &Plan) -> String {
    let apart = plan.units.iter().any(|unit| unit.expert_bytes > 0);
    let mut parts = match apart {
        true => table(
            &["UNIT", "UNITS", "TENSORS", "BYTES EACH", "EXPERTS EACH"],
            &[1, 2, 3, 4],
        ),
        false => table(&["UNIT", "UNITS", "TENSORS", "BYTES EACH"], &[1, 2, 3]),
    };
    let sizes = |unit: &UnitPlan| (unit.name.clone(), (unit.tensors, unit.bytes, unit.expert_bytes));
    for group in group(plan.units.iter().map(sizes)) {
        let (tensors, each, experts) = group.key;
        let mut row = vec![group.name(), count(group.count), count(tensors), bytes(each)];
        row.extend(apart.then(|| bytes(experts)));
        parts.add_row(row);
    }
    indented(&table_text(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::testing;

    #[test]
    fn a_plan_is_told_in_words() {
        let plan = testing::plan();
        let rows = what(&plan, "p");
        let row = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1.as_str());
        assert_eq!(
            row("sweeps"),
            Some("2 sweeps of at most 60 tokens, in 4 batches of at most 30 tokens")
        );
        assert_eq!(row("data"), Some("4 documents, 100 tokens, the longest has 50"));
        assert_eq!(row("reads"), Some("40 B of weights, 80 B in all"));
        assert!(units(&plan).contains("decoder.0"), "{}", units(&plan));
    }
}
