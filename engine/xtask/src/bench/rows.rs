//! The rows of the benchmark: what each runs, and against what it is held.

use clap::ValueEnum;

use super::{
    cgroup::Limit,
    generate,
    lab::{Documents, Lab, Task},
    measure::{Measure, Target},
    peers::{self, Peer},
    shapes::Shape,
    trial::Trial,
};
use crate::failure::Failure;

/// The shape of the rows where no other is named.
pub(super) const USUAL_SHAPE: &str = "tinyllama-1.1b";

/// Little memory for the usual shape: a cgroup of 1.2 GiB, and a budget that leaves room for code and page cache.
const SMALL: (u64, &str) = (1228 << 20, "900MiB");

/// What row c runs where nothing else is asked for: 2048 tokens.
pub(super) const PEER_DOCUMENTS: Documents = Documents { count: 16, tokens: 128 };

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Row {
    /// Few tokens: bytes a second ÷ the drive's
    A,
    /// Time ÷ the limit that binds, few and many tokens
    B,
    /// Against accelerate and AirLLM (with --peers)
    C,
    /// A model of 13.5 GB in 1.5 GiB (only when asked for)
    D,
    /// From the start of the process to the first layer
    E,
    /// Bytes read ÷ bytes of chosen experts
    F,
    /// Growth with layers and tokens
    G,
}

impl Row {
    /// The rows that are measured where none are named: all but the one that needs 13.5 GB of disk.
    pub(super) const USUAL: [Row; 6] = [Row::A, Row::B, Row::C, Row::E, Row::F, Row::G];

    /// What is typed to have it again, with the shape where it is not the usual one.
    pub(super) fn command(self, shape: &Shape) -> String {
        let letter = self
            .to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned());
        let other = matches!(self, Row::A | Row::B | Row::C | Row::E) && shape.name != USUAL_SHAPE;
        let shape = if other {
            format!(" --shape {}", shape.name)
        } else {
            String::new()
        };
        format!("cargo xtask bench --rows {letter}{shape}")
    }
}

/// What the rows are measured on, beside the programs.
pub(super) struct Rows<'a> {
    pub(super) lab: Lab<'a>,
    /// The shape of rows a, b, c and e.
    pub(super) shape: Shape,
    /// What the others of row c are given; `None` where they are not run.
    pub(super) peers: Option<Documents>,
    /// Rates of the drive that were met, 10⁹ bytes a second.
    pub(super) drive_rates: Vec<f64>,
}

impl Rows<'_> {
    /// Measures the rows `wanted`, in order.
    ///
    /// # Errors
    /// Those of the programs; a row that only lacks something gives a measure without values instead.
    pub(super) fn measure(&mut self, wanted: &[Row]) -> Result<Vec<Measure>, Failure> {
        let has = |row| wanted.contains(&row);
        let mut measures = Vec::new();
        if has(Row::A) || has(Row::B) {
            let few = Documents { count: 1, tokens: 128 };
            let trial = self.trial(&self.shape.clone(), few, SMALL)?;
            if has(Row::A) {
                measures.extend(rates(&trial, ["a", "a-process"], Row::A.command(&self.shape)));
            }
            if has(Row::B) {
                measures.push(over_limit(&trial, "b-128", "128 tokens", Row::B.command(&self.shape)));
                let many = Documents { count: 16, tokens: 512 };
                let trial = self.trial(&self.shape.clone(), many, SMALL)?;
                measures.push(over_limit(&trial, "b-8192", "8192 tokens", Row::B.command(&self.shape)));
            }
        }
        if has(Row::C) {
            measures.extend(self.peers()?);
        }
        if has(Row::D) {
            let shape = Shape::load(self.lab.workspace, "llama-2-7b")?;
            let trial = self.trial(&shape, Documents { count: 1, tokens: 128 }, (1536 << 20, "1100MiB"))?;
            measures.extend(rates(&trial, ["d", "d-process"], Row::D.command(&self.shape)));
            measures.push(over_limit(
                &trial,
                "d-limit",
                "13.5 GB, 128 tokens",
                Row::D.command(&self.shape),
            ));
        }
        for (row, of) in [(Row::E, Self::startup as fn(&Self) -> _), (Row::F, Self::experts)] {
            if has(row) {
                measures.push(of(self)?);
            }
        }
        if has(Row::G) {
            measures.extend(self.linearity()?);
        }
        Ok(measures)
    }

    fn trial(&mut self, shape: &Shape, documents: Documents, (limit, memory): (u64, &str)) -> Result<Trial, Failure> {
        let limit = Limit::of(limit);
        let model = generate::ensure(self.lab.workspace, shape, &self.lab.folder)?;
        let task = Task {
            model: &model,
            documents,
            memory,
            limit: &limit,
        };
        let trial = Trial::run(&self.lab, shape, task)?;
        self.drive_rates.extend(trial.drive_rates());
        Ok(trial)
    }

    fn peers(&self) -> Result<Vec<Measure>, Failure> {
        let other = self.peers.filter(|documents| *documents != PEER_DOCUMENTS);
        let given = other.map_or(String::new(), |documents| format!(" --peer-documents {documents}"));
        let measure = |peer: Peer, values, note| Measure {
            key: peer.key(),
            what: format!("time of {}, each document alone ÷ ours", peer.name()),
            target: Target::AtLeast(peer.target()),
            unit: " ×",
            values,
            note,
            command: format!("{} --peers{given}", Row::C.command(&self.shape)),
        };
        let Some(documents) = self.peers else {
            let blank = |peer| measure(peer, Vec::new(), "measured with --peers".into());
            return Ok(Peer::ALL.map(blank).into());
        };
        let limit = Limit::of(SMALL.0);
        let model = generate::ensure(self.lab.workspace, &self.shape, &self.lab.folder)?;
        let task = Task {
            model: &model,
            documents,
            memory: SMALL.1,
            limit: &limit,
        };
        let found = peers::compare(&self.lab, task)?;
        Ok(found
            .into_iter()
            .map(|found| {
                measure(
                    found.peer,
                    found.ratios,
                    format!("{documents} tokens, {limit}; {}", found.words),
                )
            })
            .collect())
    }
}

fn rates(trial: &Trial, keys: [&'static str; 2], command: String) -> [Measure; 2] {
    let measure = |key, what: &str, values| Measure {
        key,
        what: format!("bytes a second of {what} ÷ the drive's"),
        target: Target::AtLeast(0.9),
        unit: "",
        values,
        note: trial.note.clone(),
        command: command.clone(),
    };
    let [run, process] = keys;
    [
        measure(run, "the run", trial.run_rates()),
        measure(process, "the whole process", trial.process_rates()),
    ]
}

fn over_limit(trial: &Trial, key: &'static str, what: &str, command: String) -> Measure {
    Measure {
        key,
        what: format!("time ÷ the longer of disk and products, {what}"),
        target: Target::AtMost(1.1),
        unit: "",
        values: trial.over_limits(),
        note: trial.note.clone(),
        command,
    }
}
