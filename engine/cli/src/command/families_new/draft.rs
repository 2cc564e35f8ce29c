//! The text of a first descriptor.

use std::fmt::Write as _;

use serde_json::Value as Json;
use sli_checkpoint::Checkpoint;

use super::candidates::Candidate;
use super::names::{grouped, renames};

/// A child of the nearest family: `[match]` from config.json, and comments on everything that differs.
pub(super) fn draft(id: &str, parent: &Candidate, checkpoint: &Checkpoint) -> String {
    let config = checkpoint.config();
    let missing = grouped(parent.missing.iter().map(|tensor| tensor.name.as_str()));
    let unused = grouped(parent.unused.iter().map(String::as_str));
    let mut text = format!(
        "# A first draft, made by comparing names; docs/families.md of sli-pipe says how to go on. It proves nothing about\n\
         # the arithmetic: compare with `sli-pipe verify` before you use it.\n\
         schema  = 1\nid      = {}\ntitle   = {}\nextends = {}\n\n[match]\n",
        quoted(id),
        quoted(&format!("{}, after {}", title(config, id), parent.id)),
        quoted(&parent.id),
    );
    let names: Vec<&str> = config
        .get("architectures")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    if let Some(model_type) = config.get("model_type").and_then(Json::as_str) {
        let _ = writeln!(text, "model_types   = [{}]", quoted(model_type));
    }
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(text, "architectures = [{}]", names.join(", "));
    }
    keys(&mut text, parent, config);
    guesses(&mut text, &renames(&missing, &unused));
    missing_tensors(&mut text, parent);
    let unused = unused.iter().map(|(pattern, (count, first))| {
        let shape = checkpoint
            .tensors()
            .iter()
            .find(|tensor| tensor.name == *first)
            .map(|tensor| format!("{:?}", tensor.shape));
        format!("{pattern}  {}{}", shape.unwrap_or_default(), times(*count))
    });
    comment(
        &mut text,
        "Tensors of this model that the parent does not use: write equations for them, or `[names] ignore` those that are no weights.",
        unused,
    );
    let shapes = parent
        .mismatched
        .iter()
        .map(|error| error.lines().next().unwrap_or_default().to_owned());
    comment(&mut text, "Shapes that the parent's equations do not expect:", shapes);
    text
}

fn title(config: &Json, id: &str) -> String {
    let first = config
        .get("architectures")
        .and_then(|names| names.get(0))
        .and_then(Json::as_str);
    first.unwrap_or(id).to_owned()
}

fn keys(text: &mut String, parent: &Candidate, config: &Json) {
    if parent.unhandled.is_empty() {
        return;
    }
    text.push_str("\n# Keys of config.json that the parent does nothing with. Use each in an equation, refuse the values that matter\n");
    text.push_str("# (`[[refuse]]`), or say here why ignoring it is safe.\n[ignore_config]\n");
    for key in &parent.unhandled {
        let _ = writeln!(
            text,
            "# {key} = \"…\"   # in this file: {}",
            short(&config[key.as_str()])
        );
    }
}

fn guesses(text: &mut String, renames: &[(String, String)]) {
    if renames.is_empty() {
        return;
    }
    text.push_str("\n# Guesses: what the parent's equations call the left side, this model's files seem to call the right side.\n[names.rename]\n");
    for (left, right) in renames {
        let _ = writeln!(text, "{} = {}", quoted(left), quoted(right));
    }
}

fn missing_tensors(text: &mut String, parent: &Candidate) {
    let groups = grouped(parent.missing.iter().map(|tensor| tensor.name.as_str()));
    let lines = groups.iter().map(|(pattern, (count, first))| {
        let origin = parent
            .missing
            .iter()
            .find(|tensor| tensor.name == *first)
            .map(|tensor| tensor.origin.trail());
        format!("{pattern}{}{}", times(*count), origin.unwrap_or_default())
    });
    comment(
        text,
        "Tensors that the parent's equations need and this model does not have: replace the blocks that read them.",
        lines,
    );
}

fn comment(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = write!(text, "\n# {title}\n");
    }
    for line in lines {
        let _ = writeln!(text, "#   {}", line.replace('\n', " "));
    }
}

fn times(count: usize) -> String {
    if count > 1 {
        format!("  x {count}")
    } else {
        String::new()
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A value of config.json on one line.
fn short(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() > 80 {
        text.chars().take(77).chain("...".chars()).collect()
    } else {
        text
    }
}
