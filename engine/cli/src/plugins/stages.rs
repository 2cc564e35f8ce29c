//! The stages of a pipeline that are plugins, from `uses = "plugin:…"` to code that is ready to run.

use sli_config::pipeline::{PluginStage, StageKind};
use sli_config::plugin::PluginKind;
use sli_config::{Diagnostic, Pipeline, suggest};
use sli_plugin::{Plugin, validate_options};
use sli_runtime::plugins::{StageCode, StagePlugin, StagePlugins};

use super::adapt::{Filtering, Formatting, Reducing};
use super::{Granted, Plugins};

impl Plugins {
    /// The code of every stage that is a plugin, by the name of the stage; and the plugins as granted.
    ///
    /// # Errors
    /// Plugins that are not there, cannot be used, are no stages, or whose options do not fit: all of them.
    pub(super) fn stages(
        &self,
        pipeline: &Pipeline,
        granted: &Granted,
    ) -> Result<(StagePlugins, Vec<Plugin>), Vec<Diagnostic>> {
        let (mut stages, mut used, mut errors) = (StagePlugins::new(), Vec::new(), Vec::new());
        for stage in &pipeline.stages {
            let StageKind::Plugin(options) = &stage.kind else {
                continue;
            };
            match self.stage(options, granted) {
                Ok((code, plugin)) => {
                    let digest = plugin.digest().to_owned();
                    stages.insert(stage.name.value.clone(), StagePlugin { digest, code });
                    used.push(plugin);
                }
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            Ok((stages, used))
        } else {
            Err(errors)
        }
    }

    fn stage(&self, options: &PluginStage, granted: &Granted) -> Result<(StageCode, Plugin), Vec<Diagnostic>> {
        let id = &options.plugin;
        let here = |error: Diagnostic| match error.primary {
            Some(_) => error.secondary(id.label("used here")),
            None => error.primary(id.label("")),
        };
        let place = |errors: Vec<Diagnostic>| errors.into_iter().map(here).collect::<Vec<_>>();
        let plugin = self.get(id).map_err(place)?;
        let wrong = wrong_options(plugin, options)?;
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let grants = granted.of(id);
        plugin.prepare().map_err(|error| vec![here(error)])?;
        let made = match plugin.manifest().kind {
            PluginKind::Filter => plugin.filter(&options.with, &grants).map(|filter| {
                let plugin = filter.plugin().clone();
                (StageCode::Filter(Box::new(Filtering(filter))), plugin)
            }),
            PluginKind::Reducer => plugin.reducer(&options.with, &grants).map(|reducer| {
                let plugin = reducer.plugin().clone();
                (StageCode::Reducer(Box::new(Reducing(reducer))), plugin)
            }),
            PluginKind::Formatter => plugin.formatter(&options.with, &grants).map(|formatter| {
                let plugin = formatter.plugin().clone();
                (StageCode::Formatter(Box::new(Formatting(formatter))), plugin)
            }),
            other => {
                let kind = other.as_str();
                let message = format!("the plugin `{}` is of kind `{kind}`, which is no stage", id.value);
                let help = match other {
                    PluginKind::Family => {
                        "it describes models: it is found by their config.json, or by `[model] family`"
                    }
                    _ => "its functions are called in the equations of descriptors",
                };
                Err(Diagnostic::error(message).help(help))
            }
        };
        made.map_err(|error| vec![here(error)])
    }
}

/// What the plugin's own schema says against the `with` table, each at its place.
fn wrong_options(plugin: &Plugin, options: &PluginStage) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    if !plugin.manifest().kind.is_stage() {
        return Ok(Vec::new());
    }
    let schema = plugin.manifest().options.as_ref();
    let found = validate_options(schema, &options.with).map_err(|error| vec![error])?;
    let known: Vec<&str> = (schema.and_then(|schema| schema.get("properties")?.as_object()))
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let diagnostic = |error: &sli_plugin::OptionError| {
        let message = format!(
            "the options of the plugin `{}` do not fit: {}",
            plugin.id(),
            error.message
        );
        // The schema validator puts a name that is not known between quotes.
        let unknown = error
            .message
            .split('\'')
            .nth(1)
            .filter(|name| options.with.get(name).is_some());
        let (label, near) = match unknown {
            Some(name) if error.pointer.is_empty() => {
                let near = suggest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                (options.key_place(&format!("/{name}")), near)
            }
            _ => (options.place(&error.pointer), None),
        };
        Diagnostic::error(message).primary(label).help_opt(near)
    };
    Ok(found.iter().map(diagnostic).collect())
}
