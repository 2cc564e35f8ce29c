//! `sli-pipe verify MODEL --reference FILE`: compares a model's values with saved ones.

mod compare;
mod reference;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use sli_config::pipeline::Pipeline;
use sli_config::{Diagnostic, SourceFile, parse_pipeline};
use sli_runtime::Output;

use crate::args::VerifyArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{count, many};
use crate::output::{fields, print, print_json, table, table_text};
use crate::prepare::{Source, prepare_pipeline};
use crate::progress::Progress;
use compare::{Comparison, compare};
use reference::Reference;

/// Runs the reference's rows through the model, captures the points that the reference has, and says the first
/// one that differs.
pub(crate) fn verify(args: &VerifyArgs, logs: bool) -> Outcome {
    let reference = Reference::read(&args.reference)?;
    let work = tempfile::tempdir().map_err(|error| told("no temporary folder could be made", &error))?;
    let data = match &args.data {
        Some(path) => path.clone(),
        None => rows_of(&reference, args, work.path())?,
    };
    let pipeline = pipeline(args, &data, work.path(), &reference.points())?;
    let progress = Arc::new(Progress::new(logs));
    let source = Source {
        pipeline,
        base: Path::new(""),
        families: &args.families,
    };
    let prepared = prepare_pipeline(source, &*progress).inspect_err(|_| progress.end())?;
    let order = prepared.run.points_in_order();
    let shown = Arc::clone(&progress);
    let cancel = crate::interrupt::flag(move |text| shown.say(text));
    let finished = prepared.run.execute(&*progress, &cancel);
    progress.end();
    let finished = finished?;

    let found = captured(&finished.dir, &finished.outputs)?;
    let comparisons = compare(&reference, &found, &order)?;
    let first = comparisons.iter().find(|point| !point.agrees(args.tolerance));
    if args.json {
        let points: Vec<_> = comparisons.iter().map(|point| point.to_json(args.tolerance)).collect();
        print_json(&json!({
            "family": finished.report.plan.family, "tolerance": args.tolerance, "agrees": first.is_none(),
            "first_difference": first.map(|point| &point.name), "points": points,
        }))?;
    } else {
        print(&text(args, &finished.report.plan.family, &comparisons, first))?;
    }
    match first {
        None => Ok(()),
        Some(_) if args.json => Err(Failure::Run(Vec::new())),
        Some(point) => Err(Failure::Run(vec![differs(point, args.tolerance)])),
    }
}

/// The reference's own rows as a `.jsonl` file.
fn rows_of(reference: &Reference, args: &VerifyArgs, work: &Path) -> Outcome<PathBuf> {
    let rows = reference.rows();
    if rows.is_empty() {
        let message = format!("`{}` does not say what went into the model", args.reference.display());
        return Err(Failure::input(Diagnostic::error(message).help(
            "name the rows with `--data rows.jsonl`, or save their ids in the reference as integer tensors `<row id>/input_ids`",
        )));
    }
    let path = work.join("rows.jsonl");
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&path, lines).map_err(|error| told("a temporary file could not be written", &error))?;
    Ok(path)
}

/// A pipeline of one capture stage.
fn pipeline(args: &VerifyArgs, data: &Path, work: &Path, points: &[String]) -> Outcome<Pipeline> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let patterns: Vec<String> = points.iter().map(|point| quoted(point)).collect();
    let family = args.family.as_ref().map(|id| format!("family = {}\n", quoted(id)));
    let text = format!(
        "name = \"verify\"\n[model]\nsource = {}\n{}[data]\nsource = {}\n[engine]\ndevice = \"cpu\"\ndtype = {}\nmemory = {}\n\
         [output]\ndir = {}\n[[stage]]\nuses = \"capture\"\npoints = [{}]\ndtype = \"f32\"\n",
        quoted(&args.model),
        family.unwrap_or_default(),
        quoted(&data.to_string_lossy()),
        quoted(&args.dtype),
        quoted(&args.memory),
        quoted(&work.join("run").to_string_lossy()),
        patterns.join(", "),
    );
    Ok(parse_pipeline(SourceFile::new("the pipeline of `verify`", text), &[])?)
}

/// `<row id>/<point>` -> what the run computed.
fn captured(dir: &Path, outputs: &[Output]) -> Outcome<HashMap<String, reference::Array>> {
    let mut found = HashMap::new();
    for output in outputs.iter().filter(|output| output.file.ends_with(".safetensors")) {
        found.extend(reference::arrays(&dir.join(&output.file))?);
    }
    Ok(found)
}

fn text(args: &VerifyArgs, family: &str, comparisons: &[Comparison], first: Option<&Comparison>) -> String {
    let mut points = table(&["POINT", "ROWS", "RELATIVE ERROR", ""], &[1, 2]);
    for point in comparisons {
        let mark = match first {
            Some(first) if std::ptr::eq(first, point) => "the first that differs",
            _ if point.agrees(args.tolerance) => "",
            _ => "differs",
        };
        points.add_row([&point.name, &count(point.rows), &format!("{:.1e}", point.error), mark]);
    }
    let worst = comparisons.iter().map(|point| point.error).fold(0.0, f64::max);
    let verdict = match first {
        None => format!(
            "agrees within {:.0e}; the worst relative error is {worst:.1e}",
            args.tolerance
        ),
        Some(point) => format!("differs from `{}` on", point.name),
    };
    let mut text = table_text(&points);
    let _ = write!(
        text,
        "\n{}",
        fields(&[
            ("family", family),
            ("points", &many(comparisons.len() as u64, "point")),
            ("result", &verdict)
        ])
    );
    text
}

fn differs(point: &Comparison, tolerance: f64) -> Diagnostic {
    let at = &point.at;
    Diagnostic::error(format!(
        "`{}` differs by {:.1e} of its largest magnitude, more than {tolerance:.0e}",
        point.name, point.error
    ))
    .note(format!(
        "row `{}`, token {}, feature {}: expected {}, found {}",
        at.row, at.token, at.feature, at.expected, at.found
    ))
    .help("all values before it agree: look at the equations between them; capture their points on both sides to come closer")
}

fn told(what: &str, error: &std::io::Error) -> Failure {
    Failure::Run(vec![Diagnostic::error(format!("{what}: {error}"))])
}
