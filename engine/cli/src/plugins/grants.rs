//! What the user grants to plugins: `[plugin.<id>]` of the pipeline, before `plugins.toml` in the configuration folder.

use std::collections::HashMap;
use std::path::Path;

use sli_config::Pipeline;
use sli_config::plugin::GrantSection;
use sli_config::{SourceFile, parse_grants};
use sli_plugin::Grants;

use crate::command::check::read;
use crate::failure::{Failure, Outcome};

/// Grants by the id of the plugin.
#[derive(Debug, Default)]
pub(crate) struct Granted(HashMap<String, Grants>);

impl Granted {
    /// What the user's settings grant.
    ///
    /// # Errors
    /// A file of settings that is broken.
    pub(crate) fn by_user() -> Outcome<Granted> {
        let mut granted = Granted::default();
        let Some(file) = crate::families::user_folder("plugins.toml").filter(|file| file.is_file()) else {
            return Ok(granted);
        };
        let source: std::sync::Arc<SourceFile> = read(&file).map_err(Failure::input)?;
        let base = file.parent().unwrap_or(Path::new(""));
        for (id, section) in parse_grants(source)? {
            granted.lay(&id, &section, base);
        }
        Ok(granted)
    }

    /// What the user's settings and a pipeline grant; key by key the pipeline wins. `base` is its folder.
    ///
    /// # Errors
    /// A file of settings that is broken.
    pub(crate) fn by_pipeline(pipeline: &Pipeline, base: &Path) -> Outcome<Granted> {
        let mut granted = Granted::by_user()?;
        for (id, section) in &pipeline.plugins {
            granted.lay(id, section, base);
        }
        Ok(granted)
    }

    /// The grants of one plugin.
    pub(crate) fn of(&self, id: &str) -> Grants {
        self.0.get(id).cloned().unwrap_or_default()
    }

    fn lay(&mut self, id: &str, section: &GrantSection, base: &Path) {
        let grants = self.0.entry(id.to_owned()).or_default();
        if let Some(log) = &section.log {
            grants.log = log.value;
        }
        if let Some(folder) = &section.folder {
            grants.folder = Some(base.join(&folder.value));
        }
        if let Some(memory) = &section.memory {
            grants.memory = Some(memory.value.0);
        }
        if let Some(seconds) = &section.seconds {
            grants.seconds = Some(seconds.value);
        }
    }
}
