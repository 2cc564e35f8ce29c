//! The rows of the benchmark: what each runs, and against what it is held.

use clap::ValueEnum;

use super::{
    cgroup::Limit,
    drive, generate,
    lab::{Documents, Lab, Ran, Task},
    measure::{Measure, Target},
    peers::{self, Peer},
    shapes::Shape,
    statistics,
    trial::Trial,
};
use crate::{failure::Failure, say};

/// The shape of the rows where no other is named.
pub(super) const USUAL_SHAPE: &str = "tinyllama-1.1b";

/// Little memory for the usual shape: a cgroup of 1.2 GiB, and a budget that leaves room for code and page cache.
const SMALL: (u64, &str) = (1228 << 20, "900MiB");

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

    fn command(self) -> String {
        let letter = self
            .to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned());
        format!("cargo xtask bench --rows {letter}")
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
                measures.extend(rates(&trial, ["a", "a-process"], Row::A));
            }
            if has(Row::B) {
                measures.push(over_limit(&trial, "b-128", "128 tokens", Row::B));
                let many = Documents { count: 16, tokens: 512 };
                let trial = self.trial(&self.shape.clone(), many, SMALL)?;
                measures.push(over_limit(&trial, "b-8192", "8192 tokens", Row::B));
            }
        }
        if has(Row::C) {
            measures.extend(self.peers()?);
        }
        if has(Row::D) {
            let shape = Shape::load(self.lab.workspace, "llama-2-7b")?;
            let trial = self.trial(&shape, Documents { count: 1, tokens: 128 }, (1536 << 20, "1100MiB"))?;
            measures.extend(rates(&trial, ["d", "d-process"], Row::D));
            measures.push(over_limit(&trial, "d-limit", "128 tokens, 13.5 GB", Row::D));
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
        let measure = |peer: Peer, values, note| Measure {
            key: peer.key(),
            what: format!("time of {}, each document alone ÷ ours", peer.name()),
            target: Target::AtLeast(peer.target()),
            unit: " ×",
            values,
            note,
            command: format!("{} --peers", Row::C.command()),
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
                    format!("{documents}, {limit}; {}", found.words),
                )
            })
            .collect())
    }

    /// Row e: the files are in the page cache, as for somebody who tries things out.
    fn startup(&self) -> Result<Measure, Failure> {
        let model = generate::ensure(self.lab.workspace, &self.shape, &self.lab.folder)?;
        let task = Task {
            model: &model,
            documents: Documents { count: 1, tokens: 128 },
            memory: "4GiB",
            limit: &Limit::None,
        };
        self.lab.run(task)?;
        let rans: Vec<Ran> = (0..2 * self.lab.rounds)
            .map(|_| self.lab.run(task))
            .collect::<Result<_, _>>()?;
        let outside: Vec<f64> = (rans.iter())
            .map(|ran| ran.wall - ran.report.time.total_seconds)
            .collect();
        let values: Vec<f64> = rans.iter().filter_map(|ran| ran.report.time.startup_seconds).collect();
        let told = if values.is_empty() {
            "the report has no `time.startup_seconds`; "
        } else {
            ""
        };
        Ok(Measure {
            key: "e",
            what: "start of the process to the first layer computing, warm".into(),
            target: Target::AtMost(0.6),
            unit: " s",
            values,
            note: format!(
                "{told}{:.2} s of the process lie outside the run itself",
                statistics::median(&outside)
            ),
            command: Row::E.command(),
        })
    }

    /// Row f: bytes do not vary, so one run does.
    fn experts(&self) -> Result<Measure, Failure> {
        let shape = Shape::load(self.lab.workspace, "mixtral-32")?;
        let model = generate::ensure(self.lab.workspace, &shape, &self.lab.folder)?;
        drive::forget(&model)?;
        let ran = self.lab.run(Task {
            model: &model,
            documents: Documents { count: 1, tokens: 64 },
            memory: "1GiB",
            limit: &Limit::None,
        })?;
        let read = format!("64 tokens, {:.2} GB read in all", ran.report.disk.bytes as f64 / 1e9);
        let (values, note) = match ran.report.experts {
            Some(experts) if experts.hit_bytes > 0 => {
                (vec![experts.read_bytes as f64 / experts.hit_bytes as f64], read)
            }
            _ => (Vec::new(), format!("{read}; the report has no `experts.hit_bytes`")),
        };
        Ok(Measure {
            key: "f",
            what: "bytes read ÷ bytes of the experts hit, 32 experts, top 2".into(),
            target: Target::AtMost(1.02),
            unit: "",
            values,
            note,
            command: Row::F.command(),
        })
    }

    /// Row g: one width, 4 to 16 layers and 1 k to 16 k tokens; all of them in every round.
    fn linearity(&self) -> Result<[Measure; 2], Failure> {
        let points = [(4, 2), (4, 4), (4, 8), (4, 16), (4, 32), (8, 8), (16, 8)];
        let mut times = vec![Vec::new(); points.len()];
        for round in 1..=self.lab.rounds {
            for (times, (layers, count)) in times.iter_mut().zip(points) {
                let shape = Shape::load(self.lab.workspace, &format!("llama-{layers}l"))?;
                let model = generate::ensure(self.lab.workspace, &shape, &self.lab.folder)?;
                drive::forget(&model)?;
                let documents = Documents { count, tokens: 512 };
                let ran = self.lab.run(Task {
                    model: &model,
                    documents,
                    memory: "2GiB",
                    limit: &Limit::None,
                })?;
                let tokens = documents.total();
                say::line(format!(
                    "  round {round}: {layers} layers, {tokens} tokens: {:.2} s",
                    ran.wall
                ));
                times.push(ran.wall);
            }
        }
        let medians = || {
            points
                .iter()
                .zip(&times)
                .map(|(point, times)| (*point, statistics::median(times)))
        };
        let layers = medians().filter(|((_, count), _)| *count == 8);
        let layers = layers.map(|((layers, _), time)| (layers as f64, time)).collect();
        let tokens = medians().filter(|((layers, _), _)| *layers == 4);
        let tokens = tokens.map(|((_, count), time)| (512.0 * count as f64, time)).collect();
        Ok([
            straight("g-layers", "from 4 to 16 layers (4096 tokens)", layers),
            straight("g-tokens", "from 1 k to 16 k tokens (4 layers)", tokens),
        ])
    }
}

fn rates(trial: &Trial, keys: [&'static str; 2], row: Row) -> [Measure; 2] {
    let measure = |key, what: &str, values| Measure {
        key,
        what: format!("bytes a second of {what} ÷ the drive's"),
        target: Target::AtLeast(0.9),
        unit: "",
        values,
        note: trial.note.clone(),
        command: row.command(),
    };
    let [run, process] = keys;
    [
        measure(run, "the run", trial.run_rates()),
        measure(process, "the whole process", trial.process_rates()),
    ]
}

fn over_limit(trial: &Trial, key: &'static str, what: &str, row: Row) -> Measure {
    Measure {
        key,
        what: format!("time of the process ÷ the longer of disk and products, {what}"),
        target: Target::AtMost(1.1),
        unit: "",
        values: trial.over_limits(),
        note: trial.note.clone(),
        command: row.command(),
    }
}

fn straight(key: &'static str, what: &str, points: Vec<(f64, f64)>) -> Measure {
    let line = statistics::fit(&points);
    let times: Vec<String> = points.iter().map(|(n, t)| format!("{n}: {t:.2} s")).collect();
    Measure {
        key,
        what: format!("largest deviation from a straight line, {what}"),
        target: Target::AtMost(5.0),
        unit: " %",
        values: vec![100.0 * statistics::deviation(&points)],
        note: format!("{}; line {:.2} s + {:.2e} s each", times.join(", "), line.a, line.b),
        command: Row::G.command(),
    }
}
