//! The summary of a finished run, for people.

use std::path::Path;

use serde_json::Value;
use sli_runtime::report::{Report, UnitTimes};
use sli_runtime::rundir::Output;

use crate::format::{bytes, count, many, rate, seconds, share};
use crate::group::stack;
use crate::output::fields;

/// Most output files that are listed.
const FILES: usize = 12;

/// What came out, where the time went, and where the files are.
pub(crate) fn summary(report: &Report, outputs: &[Output], dir: &Path) -> String {
    let (documents, tokens) = (
        many(report.data.documents, "document"),
        many(report.data.tokens, "token"),
    );
    let speed = count(report.tokens_per_second.round() as u64);
    let mut text = format!(
        "{}: {documents}, {tokens} in {} ({speed} tokens/s)\n",
        report.name,
        seconds(report.time.total_seconds)
    );
    let mut rows = stages(report);
    rows.extend(rows_of_data(report));
    rows.extend(layers(report));
    rows.push(("read".into(), disk(report)));
    rows.extend(experts(report));
    rows.extend(spill(report));
    rows.push(("time".into(), time(report)));
    rows.push(("memory".into(), memory(report)));
    rows.push(("files".into(), dir.display().to_string()));
    text += &fields(&rows);
    text + &files(outputs)
}

type Row = (String, String);

/// One row for each stage that came to a number.
fn stages(report: &Report) -> Vec<Row> {
    let row = |(name, found): (&String, &Value)| Some((name.clone(), stage(found)?));
    report.stages.iter().filter_map(row).collect()
}

/// What a stage found, in a line.
pub(crate) fn stage(found: &Value) -> Option<String> {
    let number = |key: &str| found.get(key).and_then(Value::as_f64);
    let named = |key: &str, value: &str| {
        let entry = found.get(key)?;
        Some((entry.get("point")?.as_str()?.to_owned(), entry.get(value)?.as_f64()?))
    };
    if let (Some(perplexity), Some(scored)) = (number("perplexity"), number("scored_tokens")) {
        let bits = number("bits_per_token").map_or_else(String::new, |bits| format!(", {bits:.3} bits a token"));
        return Some(format!(
            "perplexity {perplexity:.4} over {} scored{bits}",
            many(scored as u64, "token")
        ));
    }
    if let Some(text) = plugin(found) {
        return Some(text);
    }
    let (most, least) = (
        named("most_influential", "influence")?,
        named("least_influential", "influence")?,
    );
    Some(format!(
        "{} changes its input most ({:.3}), {} least ({:.3})",
        most.0, most.1, least.0, least.1
    ))
}

/// What a stage that is a plugin did: a filter, a reducer, a formatter.
fn plugin(found: &Value) -> Option<String> {
    let number = |key: &str| found.get(key).and_then(Value::as_u64);
    if let (Some(seen), Some(dropped), Some(changed), Some(split)) = (
        number("documents"),
        number("dropped"),
        number("changed"),
        number("split"),
    ) {
        let seen = many(seen, "document");
        return Some(format!(
            "{seen} seen, {dropped} dropped, {changed} changed, {split} split"
        ));
    }
    let rows = many(number("rows")?, "row");
    match (number("values_rows"), number("bytes")) {
        (Some(values), _) => Some(format!("{rows} from {} of values", many(values, "row"))),
        (_, Some(size)) => Some(format!("{rows}, {}", bytes(size))),
        _ => None,
    }
}

/// Rows of the source that did not become one document each.
fn rows_of_data(report: &Report) -> Option<Row> {
    let data = &report.data;
    let mut parts = Vec::new();
    if data.skipped > 0 {
        parts.push(format!("{} skipped", many(data.skipped, "empty row")));
    }
    if data.truncated > 0 {
        parts.push(format!(
            "{} cut by {}",
            many(data.truncated, "document"),
            many(data.tokens_cut, "token")
        ));
    }
    if data.split > 0 {
        parts.push(format!("{} split", many(data.split, "long row")));
    }
    (!parts.is_empty()).then(|| ("rows".to_owned(), parts.join(", ")))
}

/// The fastest and the slowest layer, in seconds a sweep.
fn layers(report: &Report) -> Option<Row> {
    let layers: Vec<&UnitTimes> = report.units.iter().filter(|unit| stack(&unit.unit).is_some()).collect();
    let by_time = |a: &&&UnitTimes, b: &&&UnitTimes| a.seconds().total_cmp(&b.seconds());
    let (fastest, slowest) = (layers.iter().min_by(by_time)?, layers.iter().max_by(by_time)?);
    let each = |unit: &UnitTimes| seconds(unit.seconds() / report.plan.sweeps.max(1) as f64);
    let sweep = many(report.plan.sweeps, "sweep");
    let text = format!(
        "fastest {} {}, slowest {} {} ({sweep})",
        fastest.unit,
        each(fastest),
        slowest.unit,
        each(slowest)
    );
    Some(("layers".to_owned(), text))
}

fn disk(report: &Report) -> String {
    let disk = &report.disk;
    let reading = rate(disk.bytes, disk.read_seconds);
    let run = rate(disk.bytes, report.time.total_seconds);
    let drive = disk
        .probed_gb_per_second
        .map_or_else(String::new, |gb| format!(" (the drive gives {gb:.2} GB/s)"));
    format!(
        "{} at {reading} while reading{drive}, {run} over the whole run",
        bytes(disk.bytes)
    )
}

/// What was read of experts that are read apart from their layer.
fn experts(report: &Report) -> Option<Row> {
    let experts = report.experts?;
    let text = format!(
        "{} of {} read, {} of them chosen by some token",
        bytes(experts.read_bytes),
        bytes(experts.all_bytes),
        bytes(experts.hit_bytes)
    );
    Some(("experts".to_owned(), text))
}

/// Hidden state that was on disk.
fn spill(report: &Report) -> Option<Row> {
    let spill = report.spill?;
    let text = format!(
        "{} of hidden state written and read again, {} waiting for it",
        bytes(spill.bytes_written),
        seconds(spill.wait_seconds)
    );
    Some(("spill".to_owned(), text))
}

fn time(report: &Report) -> String {
    let time = &report.time;
    let part = |part: f64| share(part, time.total_seconds);
    let predicted = match report.plan.prediction.measured {
        true => format!("; {} were predicted", seconds(report.accuracy.seconds.predicted)),
        false => String::new(),
    };
    format!(
        "{} waiting for the disk, {} converting, {} computing, {} in stages ({} writing){predicted}",
        part(time.wait_seconds),
        part(time.convert_seconds),
        part(time.compute_seconds),
        part(time.stage_seconds),
        part(time.write_seconds)
    )
}

fn memory(report: &Report) -> String {
    let memory = &report.memory;
    format!(
        "{} at the peak, {} planned, {} promised",
        bytes(memory.peak),
        bytes(memory.planned),
        bytes(memory.promised)
    )
}

/// The largest outputs, indented below the row of the folder.
fn files(outputs: &[Output]) -> String {
    let mut sorted: Vec<&Output> = outputs.iter().collect();
    sorted.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.file.cmp(&b.file)));
    let width = sorted
        .iter()
        .take(FILES)
        .map(|output| output.file.len())
        .max()
        .unwrap_or(0);
    let line = |output: &&Output| {
        format!(
            "    {:width$}  {:>10}  {}\n",
            output.file,
            bytes(output.bytes),
            output.stage
        )
    };
    let mut text: String = sorted.iter().take(FILES).map(line).collect();
    if sorted.len() > FILES {
        text += &format!(
            "    and {} more, listed in manifest.json\n",
            count((sorted.len() - FILES) as u64)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_score_says_its_perplexity_and_a_profile_its_extremes() {
        let score = json!({"perplexity": 12.34567, "scored_tokens": 1234, "bits_per_token": 3.62593});
        assert_eq!(
            stage(&score).as_deref(),
            Some("perplexity 12.3457 over 1,234 tokens scored, 3.626 bits a token")
        );
        let extreme = |point: &str, influence: f64| json!({"point": point, "influence": influence});
        let profile =
            json!({"most_influential": extreme("decoder.0", 0.5), "least_influential": extreme("decoder.3", 0.01)});
        assert_eq!(
            stage(&profile).as_deref(),
            Some("decoder.0 changes its input most (0.500), decoder.3 least (0.010)")
        );
        assert_eq!(stage(&json!({"documents": 3})), None);
        assert_eq!(stage(&json!({"perplexity": null, "scored_tokens": 0})), None);
    }

    #[test]
    fn the_largest_files_come_first_and_the_rest_are_counted() {
        let output = |index: u64| Output {
            file: format!("capture-{index:05}.safetensors"),
            stage: "capture".into(),
            kind: "tensors".into(),
            bytes: index,
            sha256: String::new(),
        };
        let text = files(&(0..20).map(output).collect::<Vec<_>>());
        assert!(
            text.starts_with("    capture-00019.safetensors        19 B  capture\n"),
            "{text}"
        );
        assert!(text.ends_with("    and 8 more, listed in manifest.json\n"), "{text}");
    }
}
