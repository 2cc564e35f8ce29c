//! Stages that are plugins: from a `[[stage]]` with `uses = "plugin:…"` and its code to a stage.

mod filter;
mod formatter;
mod reducer;

use sli_config::Diagnostic;
use sli_config::pipeline::PluginStage;
use sli_config::pipeline::Stage as StageSection;

use super::{Model, Stage};
use crate::error::RunError;
use crate::plugins::{StageCode, StagePlugins};
use filter::FilterRun;
pub(crate) use filter::SharedFilter;
use formatter::Formatting;
pub(crate) use formatter::SharedFormatting;
use reducer::Reducer;

/// A stage that is a plugin.
pub(super) enum Made {
    /// A filter, and the stage that reports of it.
    Filter(SharedFilter, Box<dyn Stage>),
    /// A stage like any other.
    Stage(Box<dyn Stage>),
    /// A form for the rows of the stage of that name.
    Formatter(String, SharedFormatting, Box<dyn Stage>),
}

/// The stage, or what is wrong with its keys and points.
pub(super) fn make(
    section: &StageSection,
    options: &PluginStage,
    model: &Model<'_>,
    plugins: &mut StagePlugins,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Made, Vec<Diagnostic>> {
    let name = section.name.value.clone();
    let Some(plugin) = plugins.remove(&name) else {
        let message = format!("the plugin `{}` is not loaded", options.plugin.value);
        return Err(vec![Diagnostic::error(message).primary(options.plugin.label(""))]);
    };
    match plugin.code {
        StageCode::Filter(code) => {
            refuse_keys(options, "filter", &["points", "of", "format"])?;
            let run = FilterRun::shared(name, code);
            let stage = filter::FilterStage::new(&run);
            Ok(Made::Filter(run, Box::new(stage)))
        }
        StageCode::Reducer(code) => {
            refuse_keys(options, "reducer", &["of"])?;
            let stage = Reducer::new(name, code, options, model, warnings)?;
            Ok(Made::Stage(Box::new(stage)))
        }
        StageCode::Formatter(code) => {
            refuse_keys(options, "formatter", &["points", "format"])?;
            let Some(of) = &options.of else {
                let message = format!("the formatter `{}` must say whose rows it writes", options.plugin.value);
                return Err(vec![
                    Diagnostic::error(message)
                        .primary(options.plugin.label(""))
                        .help("add `of = \"score\"`, the name of a stage before it"),
                ]);
            };
            let formatting = Formatting::shared(name, code);
            let stage = formatter::FormatterStage::new(&formatting);
            Ok(Made::Formatter(of.value.clone(), formatting, Box::new(stage)))
        }
    }
}

/// Errors for keys that this kind of plugin does not have.
fn refuse_keys(options: &PluginStage, kind: &str, keys: &[&str]) -> Result<(), Vec<Diagnostic>> {
    let label = |key: &str| match key {
        "points" => options
            .points
            .as_ref()
            .and_then(|points| points.first())
            .map(|p| p.label("")),
        "of" => options.of.as_ref().map(|of| of.label("")),
        _ => options.format.as_ref().map(|format| format.label("")),
    };
    let found: Vec<Diagnostic> = (keys.iter())
        .filter_map(|key| {
            let message = format!(
                "the plugin `{}` is a {kind}, which has no key `{key}`",
                options.plugin.value
            );
            Some(Diagnostic::error(message).primary(label(key)?).help("remove it"))
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// A plugin's error, with the stage that it ended.
fn failed(stage: &str, why: Diagnostic) -> RunError {
    RunError::run(why.note(format!("in the stage `{stage}`")))
}
