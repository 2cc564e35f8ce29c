//! `sli-pipe families new --from MODEL`: a first descriptor for a model that no family describes.

mod candidates;
mod draft;
mod names;

use std::path::Path;

use serde_json::json;
use sli_checkpoint::Checkpoint;
use sli_config::{Diagnostic, SourceFile};
use sli_family::Registry;

use crate::args::NewFamilyArgs;
use crate::failure::{Failure, Outcome};
use crate::format::many;
use crate::output::{fields, print, print_json};
use candidates::{Candidate, candidates};
use draft::draft;

/// How many candidates are shown.
const SHOWN: usize = 5;

/// Finds the known family whose tensors and keys come nearest, and writes a child of it that says what differs.
pub(crate) fn new(args: &NewFamilyArgs, json: bool) -> Outcome {
    let registry = crate::families::registry(&args.families)?;
    let checkpoint = Checkpoint::open_source(&args.from, Path::new(""))
        .map_err(|error| Failure::input(Diagnostic::error(error.to_string())))?;
    let id = id(args, &checkpoint)?;
    let path = args.out.join(format!("{id}.toml"));
    if registry.file(&id).is_some() || path.exists() {
        let message = format!("there is a family `{id}` already");
        return Err(Failure::input(
            Diagnostic::error(message).help("choose another id with `--id`"),
        ));
    }
    let found = candidates(&registry, &checkpoint, args.parent.as_deref())?;
    let Some(best) = found.first() else {
        let message = "no known family can be applied to this config.json, so there is nothing to start from";
        return Err(Failure::input(Diagnostic::error(message).help(
            "name the nearest family with `--parent ID`; its error then says which key or equation is in the way",
        )));
    };
    let text = draft(&id, best, &checkpoint);
    write(&path, &text)?;
    let works = works(&registry, &id, &path, &text, &checkpoint);
    if json {
        let others = found.iter().take(SHOWN).map(Candidate::to_json);
        return print_json(&json!({
            "file": path, "id": id, "parent": best.id, "binds": works, "candidates": others.collect::<Vec<_>>(),
        }));
    }
    print(&report(&path, args, &found, works))
}

/// The id asked for, else the model type with what no file name should have replaced.
fn id(args: &NewFamilyArgs, checkpoint: &Checkpoint) -> Outcome<String> {
    if let Some(id) = &args.id {
        return Ok(id.clone());
    }
    let stated = checkpoint
        .config()
        .get("model_type")
        .and_then(serde_json::Value::as_str);
    let name = stated.map(|name| name.replace(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c), "_"));
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Failure::input(
            Diagnostic::error("config.json has no `model_type` to name the family after")
                .help("give it a name with `--id`"),
        )
    })
}

fn write(path: &Path, text: &str) -> Outcome {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| {
        Failure::Run(vec![Diagnostic::error(format!(
            "`{}` cannot be written: {error}",
            path.display()
        ))])
    })
}

/// Whether the written descriptor, as it stands, fits the model.
fn works(registry: &Registry, id: &str, path: &Path, text: &str, checkpoint: &Checkpoint) -> bool {
    let mut registry = registry.clone();
    registry.add(&format!("{id}.toml"), SourceFile::new(path.display().to_string(), text));
    let plan = registry
        .get(id)
        .and_then(|family| registry.plan(&*family, checkpoint.config()));
    plan.is_ok_and(|plan| sli_runtime::bind_checkpoint(&plan, checkpoint).1.is_some())
}

fn report(path: &Path, args: &NewFamilyArgs, found: &[Candidate], works: bool) -> String {
    let best = &found[0];
    let others: Vec<String> = found
        .iter()
        .skip(1)
        .take(SHOWN - 1)
        .map(|c| format!("{} ({})", c.id, c.share()))
        .collect();
    let differs = [
        (best.unhandled.len(), "key", "to handle"),
        (best.missing.len(), "tensor", "missing"),
        (best.unused.len(), "tensor", "unused"),
        (best.mismatched.len(), "shape", "that differ"),
    ];
    let differs: Vec<String> = (differs.iter().filter(|row| row.0 > 0))
        .map(|(count, what, how)| format!("{} {how}", many(*count as u64, what)))
        .collect();
    let next = if works {
        format!(
            "it binds; now compare: sli-pipe verify {} --reference reference.safetensors",
            args.from
        )
    } else {
        format!(
            "answer the comments in the file, then: sli-pipe inspect {} --families {}",
            args.from,
            args.out.display()
        )
    };
    let mut rows = vec![
        ("written", path.display().to_string()),
        ("extends", format!("{} ({} of the tensors)", best.id, best.share())),
    ];
    if !others.is_empty() {
        rows.push(("also near", others.join(", ")));
    }
    rows.push((
        "differs",
        if differs.is_empty() {
            "in no name; perhaps in its arithmetic".to_owned()
        } else {
            differs.join(", ")
        },
    ));
    rows.push(("next", next));
    fields(&rows)
}
