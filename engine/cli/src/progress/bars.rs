//! A bar that moves, for people.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sli_runtime::Event;

use super::state::State;
use crate::output::colour;

/// Steps of the bar: finer than any terminal is wide.
const STEPS: u64 = 10_000;

/// One bar with a line that says where the run is.
pub(super) struct Bars {
    bar: ProgressBar,
}

impl Bars {
    pub(super) fn new() -> Bars {
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {wide_msg}"));
        bar.set_message("opening the model");
        bar.enable_steady_tick(Duration::from_millis(150));
        Bars { bar }
    }

    pub(super) fn update(&mut self, state: &State, event: &Event<'_>) {
        match event {
            Event::Reading { .. } => self.bar.set_message(state.reading()),
            Event::Started(_) => {
                let coloured = if colour() { ".cyan/dim" } else { "" };
                self.bar.set_style(style(&format!(
                    "{{bar:40{coloured}}} {{percent:>3}}%  {{elapsed}}, {{eta}} left\n{{wide_msg}}"
                )));
                // Reading is not part of the estimate.
                self.bar.reset();
            }
            Event::Finished => self.clear(),
            _ => {
                self.bar.set_position((state.fraction() * STEPS as f64) as u64);
                self.bar.set_message(state.place());
            }
        }
    }

    /// Says something above the bar.
    pub(super) fn beside(&mut self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    /// Takes it off the screen.
    pub(super) fn clear(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A style; the templates are of this file, and a wrong one would show the default instead.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━━─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_well_formed() {
        for coloured in ["", ".cyan/dim"] {
            let template = format!("{{bar:40{coloured}}} {{percent:>3}}%  {{elapsed}}, {{eta}} left\n{{wide_msg}}");
            assert!(ProgressStyle::with_template(&template).is_ok());
        }
    }
}
