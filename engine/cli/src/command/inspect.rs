//! `sli-pipe inspect MODEL`.

mod contents;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sli_checkpoint::Checkpoint;
use sli_config::Diagnostic;
use sli_family::{Family, Registry};
use sli_model::ModelPlan;
use sli_model::bind::{BindReport, Binding};
use sli_runtime::{bind_checkpoint, root_hint};

use crate::args::InspectArgs;
use crate::failure::{Failure, Outcome};
use crate::format::{bytes, count, many};
use crate::group::group;
use crate::output::{fields, indented, print, print_json, show, table, table_text};
use contents::{dtypes, layers, summary};

/// A family applied to the model.
struct Applied {
    family: Arc<dyn Family>,
    plan: ModelPlan,
    report: BindReport,
    binding: Option<Binding>,
}

/// Shows what a model folder holds. What is wrong with it is said after that, so that everything that can be
/// known is known.
pub(crate) fn inspect(args: &InspectArgs) -> Outcome {
    let registry = crate::families::registry(&args.families)?;
    let checkpoint = Checkpoint::open_source(&args.model, Path::new(""))
        .map_err(|error| Failure::input(Diagnostic::error(error.to_string())))?;
    let applied = apply(&registry, args.family.as_deref(), &checkpoint);
    if args.plan {
        return print_json(&applied?.plan);
    }
    let diagnostics = problems(&applied, &checkpoint);
    if args.json {
        print_json(&to_json(args, &checkpoint, &applied, &diagnostics))?;
    } else {
        print(&to_text(args, &checkpoint, &applied))?;
    }
    show(&diagnostics);
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

fn apply(registry: &Registry, family: Option<&str>, checkpoint: &Checkpoint) -> Result<Applied, Vec<Diagnostic>> {
    let family = match family {
        Some(id) => registry.get(id)?,
        None => registry.detect(checkpoint.config())?,
    };
    let plan = registry.plan(&*family, checkpoint.config())?;
    let (report, binding) = bind_checkpoint(&plan, checkpoint);
    Ok(Applied {
        family,
        plan,
        report,
        binding,
    })
}

/// What keeps the model from being run.
fn problems(applied: &Result<Applied, Vec<Diagnostic>>, checkpoint: &Checkpoint) -> Vec<Diagnostic> {
    let applied = match applied {
        Ok(applied) => applied,
        Err(diagnostics) => return diagnostics.clone(),
    };
    let mut found = Vec::new();
    for tensor in checkpoint
        .unsupported()
        .iter()
        .filter(|tensor| !applied.plan.names.ignores(&tensor.name))
    {
        let message = format!(
            "the tensor `{}` has dtype `{}`, which cannot be read",
            tensor.name, tensor.dtype
        );
        found.push(Diagnostic::error(message));
    }
    let report = &applied.report;
    if !report.is_ok() {
        let count = report.errors();
        let message = format!(
            "the checkpoint does not fit the family `{}`: {}",
            applied.plan.family,
            many(count as u64, "problem")
        );
        found.push(
            Diagnostic::error(message)
                .help_opt(root_hint(report))
                .help("the bind report lists them"),
        );
    }
    found
}

fn to_text(args: &InspectArgs, checkpoint: &Checkpoint, applied: &Result<Applied, Vec<Diagnostic>>) -> String {
    let mut rows = vec![("folder".to_owned(), checkpoint.dir().display().to_string())];
    rows.push(match applied {
        Ok(applied) => (
            "family".into(),
            format!("{}, {}", applied.family.id(), applied.family.title()),
        ),
        Err(_) => ("family".into(), "none; see below".into()),
    });
    rows.extend(
        summary(checkpoint.config())
            .into_iter()
            .map(|(key, value)| (key.to_owned(), shown(&value))),
    );
    let tokenizer = if checkpoint.tokenizer_path().is_some() {
        "tokenizer.json"
    } else {
        "none"
    };
    rows.push(("tokenizer".into(), tokenizer.into()));
    let parameters: u64 = checkpoint
        .tensors()
        .iter()
        .map(|tensor| tensor.shape.iter().product::<u64>())
        .sum();
    rows.push(("parameters".into(), count(parameters)));
    let files = many(checkpoint.files().len() as u64, "file");
    rows.push((
        "weights".into(),
        format!("{} in {files}", bytes(checkpoint.total_bytes())),
    ));
    let mut text = fields(&rows);

    let mut types = table(&["DTYPE", "TENSORS", "ELEMENTS", "BYTES"], &[1, 2, 3]);
    for row in dtypes(checkpoint) {
        types.add_row([row.dtype, count(row.tensors), count(row.elements), bytes(row.bytes)]);
    }
    let _ = write!(text, "\n{}", indented(&table_text(&types)));
    if let Ok(applied) = applied {
        if let Some(binding) = &applied.binding {
            let mut parts = table(&["PART", "LAYERS", "TENSORS", "BYTES EACH"], &[1, 2, 3]);
            let layers = layers(&applied.plan, binding, checkpoint);
            for group in group(
                layers
                    .into_iter()
                    .map(|layer| (layer.name, (layer.class, layer.tensors, layer.bytes))),
            ) {
                let (_, tensors, each) = group.key;
                parts.add_row([group.name(), count(group.count), count(tensors), bytes(each)]);
            }
            let _ = write!(text, "\n{}", indented(&table_text(&parts)));
        }
        let _ = write!(text, "\n{}", indented(&applied.report.to_string()));
    }
    if args.tensors {
        let mut all = table(&["TENSOR", "DTYPE", "SHAPE", "BYTES"], &[3]);
        for tensor in checkpoint.tensors() {
            all.add_row([
                tensor.name.clone(),
                tensor.dtype.to_string(),
                format!("{:?}", tensor.shape),
                bytes(tensor.len),
            ]);
        }
        let _ = write!(text, "\n{}", indented(&table_text(&all)));
    }
    text
}

/// A value of config.json as people write it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn to_json(
    args: &InspectArgs,
    checkpoint: &Checkpoint,
    applied: &Result<Applied, Vec<Diagnostic>>,
    diagnostics: &[Diagnostic],
) -> Value {
    let applied = applied.as_ref().ok();
    let binding = applied.and_then(|applied| Some((applied, applied.binding.as_ref()?)));
    let files = checkpoint
        .files()
        .iter()
        .map(|file| json!({ "path": file.path, "bytes": file.len }));
    let tensors = checkpoint.tensors().iter().map(|tensor| {
        let file = &checkpoint.file(tensor.file).path;
        json!({ "name": tensor.name, "dtype": tensor.dtype.name(), "shape": tensor.shape, "bytes": tensor.len, "file": file })
    });
    json!({
        "dir": checkpoint.dir(),
        "config": checkpoint.config(),
        "family": applied.map(|applied| json!({ "id": applied.family.id(), "title": applied.family.title() })),
        "tokenizer": checkpoint.tokenizer_path(),
        "bytes": checkpoint.total_bytes(),
        "files": files.collect::<Vec<_>>(),
        "dtypes": dtypes(checkpoint),
        "layers": binding.map(|(applied, binding)| layers(&applied.plan, binding, checkpoint)),
        "bind": applied.map(|applied| &applied.report),
        "tensors": args.tensors.then(|| tensors.collect::<Vec<_>>()),
        "diagnostics": diagnostics,
    })
}
