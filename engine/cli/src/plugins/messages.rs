//! What plugins write to their log, said between the lines of the progress.

use std::sync::Arc;

use sli_plugin::{Level, Plugin};
use sli_runtime::{Event, Observer};

use crate::progress::Progress;

/// A progress that also says what plugins write.
pub(crate) struct Tapped {
    progress: Arc<Progress>,
    plugins: Vec<Plugin>,
}

impl Tapped {
    /// `progress` with the messages of these plugins.
    pub(crate) fn new(progress: &Arc<Progress>, plugins: Vec<Plugin>) -> Tapped {
        Tapped {
            progress: Arc::clone(progress),
            plugins,
        }
    }

    /// Says what has been written since the last time.
    pub(crate) fn drain(&self) {
        for message in messages(&self.plugins) {
            self.progress.say(&(message + "\n"));
        }
    }
}

/// What plugins have written since the last time, a line each.
pub(crate) fn messages(plugins: &[Plugin]) -> Vec<String> {
    let mut lines = Vec::new();
    for plugin in plugins {
        for message in plugin.messages() {
            let level = match message.level {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Warning => "warning",
            };
            lines.push(format!("{level}: plugin `{}`: {}", plugin.id(), message.text));
        }
    }
    lines
}

impl Observer for Tapped {
    fn event(&self, event: &Event<'_>) {
        self.drain();
        self.progress.event(event);
    }
}
