//! What is known of a run while it goes on.

use std::time::Instant;

use sli_runtime::Event;

use crate::format::{count, many, rate};

/// The sum of all events so far.
#[derive(Debug)]
pub(super) struct State {
    /// Documents and tokens read from the source.
    read: (u64, u64),
    /// When the first sweep could begin.
    started: Instant,
    /// Bytes of the units of a sweep: how much of it each stands for.
    weights: Vec<u64>,
    /// Tokens of the run, of finished sweeps, and of this one.
    tokens: (u64, u64, u64),
    /// This sweep from 0, and all of them.
    sweep: (usize, usize),
    unit: String,
    /// Units of this sweep that are done.
    units_done: usize,
    /// The number of `unit` in its sweep, from 1.
    number: usize,
    /// Micro-batches of the unit: done, and all of them.
    batches: (usize, usize),
    /// Bytes of weights read.
    bytes: u64,
    /// Documents: done, and all of them.
    documents: (u64, u64),
}

impl State {
    pub(super) fn new() -> State {
        State {
            read: (0, 0),
            started: Instant::now(),
            weights: Vec::new(),
            tokens: (0, 0, 0),
            sweep: (0, 0),
            unit: String::new(),
            units_done: 0,
            number: 1,
            batches: (0, 0),
            bytes: 0,
            documents: (0, 0),
        }
    }

    pub(super) fn update(&mut self, event: &Event<'_>) {
        match event {
            Event::Reading { documents, tokens } => self.read = (*documents, *tokens),
            Event::Started(plan) => {
                self.started = Instant::now();
                self.weights = plan.units.iter().map(|unit| unit.bytes.max(1)).collect();
                self.tokens = (plan.tokens, 0, 0);
                self.sweep = (0, plan.sweeps as usize);
                self.documents = (0, plan.documents);
            }
            Event::SweepStarted { sweep, of, tokens, .. } => {
                self.tokens.1 += self.tokens.2;
                self.tokens.2 = *tokens;
                self.sweep = (*sweep, *of);
                self.units_done = 0;
                self.batches = (0, 0);
            }
            Event::UnitLoaded { unit, bytes } => {
                self.unit = (*unit).to_owned();
                self.number = self.units_done + 1;
                self.bytes += bytes;
                self.batches = (0, 0);
            }
            Event::Computed { done, of, .. } => self.batches = (*done, *of),
            Event::UnitDone { index, .. } => {
                self.units_done = index + 1;
                self.batches = (0, 0);
            }
            Event::DocumentsDone { done, of } => self.documents = (*done, *of),
            _ => {}
        }
    }

    /// The share of the work that is done, 0 to 1: sweeps count by their tokens, units by their bytes.
    pub(super) fn fraction(&self) -> f64 {
        let all: u64 = self.weights.iter().sum();
        let (tokens, before, now) = self.tokens;
        if all == 0 || tokens == 0 {
            return 0.0;
        }
        let done: u64 = self.weights.iter().take(self.units_done).sum();
        let unit = self.weights.get(self.units_done).copied().unwrap_or(0) as f64;
        let part = self.batches.0 as f64 / self.batches.1.max(1) as f64;
        let sweep = (done as f64 + unit * part) / all as f64;
        ((before as f64 + now as f64 * sweep) / tokens as f64).min(1.0)
    }

    /// Seconds since the run began.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// `reading: 1,024 documents, 350,123 tokens`.
    pub(super) fn reading(&self) -> String {
        format!(
            "reading: {}, {}",
            many(self.read.0, "document"),
            many(self.read.1, "token")
        )
    }

    /// `sweep 1/3, layer 5/24 (decoder.3), batch 7/56, 120/400 documents, 1.23 GB/s`.
    pub(super) fn place(&self) -> String {
        let sweep = match self.sweep.1 {
            0 | 1 => String::new(),
            of => format!("sweep {}/{of}, ", self.sweep.0 + 1),
        };
        let batch = match self.batches {
            (0, _) | (_, 1) => String::new(),
            (done, of) => format!(", batch {done}/{of}"),
        };
        let (done, of) = (count(self.documents.0), count(self.documents.1));
        let (unit, number) = (&self.unit, self.number);
        let rate = rate(self.bytes, self.seconds());
        format!(
            "{sweep}layer {number}/{} ({unit}){batch}, {done}/{of} documents, {rate}",
            self.weights.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::testing::plan;

    #[test]
    fn the_share_done_counts_tokens_and_bytes() {
        let mut state = State::new();
        assert_eq!(state.fraction(), 0.0);
        let plan = plan();
        state.update(&Event::Started(&plan));
        state.update(&Event::SweepStarted {
            sweep: 0,
            of: 2,
            documents: 3,
            tokens: 60,
        });
        state.update(&Event::UnitLoaded {
            unit: "embed",
            bytes: 10,
        });
        state.update(&Event::UnitDone {
            unit: "embed",
            index: 0,
            of: 3,
            seconds: 0.1,
        });
        state.update(&Event::UnitLoaded {
            unit: "decoder.0",
            bytes: 20,
        });
        state.update(&Event::Computed {
            unit: "decoder.0",
            done: 1,
            of: 2,
        });
        assert!((state.fraction() - 0.6 * 0.5).abs() < 1e-12, "{}", state.fraction());
        assert!(
            state
                .place()
                .starts_with("sweep 1/2, layer 2/3 (decoder.0), batch 1/2, 0/4 documents, "),
            "{}",
            state.place()
        );
        state.update(&Event::UnitDone {
            unit: "decoder.0",
            index: 1,
            of: 3,
            seconds: 0.1,
        });
        assert!(
            state.place().contains("layer 2/3 (decoder.0), 0/4"),
            "until the next one is loaded: {}",
            state.place()
        );
        state.update(&Event::UnitDone {
            unit: "head",
            index: 2,
            of: 3,
            seconds: 0.1,
        });
        state.update(&Event::DocumentsDone { done: 3, of: 4 });
        assert!((state.fraction() - 0.6).abs() < 1e-12);
        state.update(&Event::SweepStarted {
            sweep: 1,
            of: 2,
            documents: 1,
            tokens: 40,
        });
        assert!((state.fraction() - 0.6).abs() < 1e-12);
    }
}
