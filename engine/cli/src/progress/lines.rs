//! Plain lines, few enough for a log file.

use std::time::{Duration, Instant};

use sli_runtime::Event;

use super::state::State;
use crate::format::{bytes, many, seconds};

/// Least time between two lines of the same kind.
const PAUSE: Duration = Duration::from_secs(2);

/// When the last line was written.
pub(super) struct Lines {
    last: Instant,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines { last: Instant::now() }
    }

    /// The line to write now, if any.
    pub(super) fn update(&mut self, state: &State, event: &Event<'_>) -> Option<String> {
        match event {
            Event::Reading { .. } if self.due() => Some(state.reading()),
            Event::Started(plan) => {
                let (documents, tokens) = (many(plan.documents, "document"), many(plan.tokens, "token"));
                let (sweeps, layers) = (many(plan.sweeps, "sweep"), many(plan.units.len() as u64, "layer"));
                let read = bytes(plan.read_bytes);
                Some(format!(
                    "{}: {documents}, {tokens}, {sweeps} over {layers}, {read} to read",
                    plan.family
                ))
            }
            Event::Computed { .. } | Event::UnitDone { .. } if self.due() => Some(place(state)),
            Event::Finished => Some(format!("done in {}", seconds(state.seconds()))),
            _ => None,
        }
    }

    fn due(&mut self) -> bool {
        let due = self.last.elapsed() >= PAUSE;
        if due {
            self.last = Instant::now();
        }
        due
    }
}

fn place(state: &State) -> String {
    let (fraction, elapsed) = (state.fraction(), state.seconds());
    // The first moments say too little about the rest.
    let left = if fraction < 0.02 {
        String::new()
    } else {
        format!(", about {} left", seconds(elapsed * (1.0 - fraction) / fraction))
    };
    format!("{}, {:.0}% done{left}", state.place(), 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_rare() {
        let (mut lines, state) = (Lines::new(), State::new());
        let event = Event::Reading {
            documents: 1,
            tokens: 2,
        };
        assert_eq!(lines.update(&state, &event), None);
        lines.last = Instant::now() - PAUSE;
        assert_eq!(
            lines.update(&state, &event).as_deref(),
            Some("reading: 0 documents, 0 tokens")
        );
        assert_eq!(lines.update(&state, &event), None);
        assert!(
            lines
                .update(&state, &Event::Finished)
                .is_some_and(|line| line.starts_with("done in "))
        );
    }
}
