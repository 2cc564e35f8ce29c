//! The rows that hold sli-pipe against itself, not against a limit: its start, the experts it reads, how it grows.

use super::{
    cgroup::Limit,
    drive, generate,
    lab::{Documents, Ran, Task},
    measure::{Measure, Target},
    rows::{Row, Rows},
    shapes::Shape,
    statistics,
};
use crate::{failure::Failure, say};

impl Rows<'_> {
    /// Row e: the files are in the page cache, as for somebody who tries things out.
    pub(super) fn startup(&self) -> Result<Measure, Failure> {
        let model = generate::ensure(self.lab.workspace, &self.shape, &self.lab.folder)?;
        let task = Task {
            model: &model,
            documents: Documents { count: 1, tokens: 128 },
            memory: "4GiB",
            limit: &Limit::None,
        };
        drive::warm(&model)?;
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
            command: Row::E.command(&self.shape),
        })
    }

    /// Row f: bytes do not vary, so one run does.
    pub(super) fn experts(&self) -> Result<Measure, Failure> {
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
            command: Row::F.command(&shape),
        })
    }

    /// Row g: one width, 4 to 16 layers and 1 k to 16 k tokens; all of them in every round.
    pub(super) fn linearity(&self) -> Result<[Measure; 2], Failure> {
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
        let command = Row::G.command(&self.shape);
        Ok([
            straight("g-layers", "4 to 16 layers (4096 tokens)", layers, command.clone()),
            straight("g-tokens", "1 k to 16 k tokens (4 layers)", tokens, command),
        ])
    }
}

fn straight(key: &'static str, what: &str, points: Vec<(f64, f64)>, command: String) -> Measure {
    let line = statistics::fit(&points);
    let times: Vec<String> = points.iter().map(|(n, t)| format!("{n}: {t:.2} s")).collect();
    Measure {
        key,
        what: format!("deviation from a straight line, {what}"),
        target: Target::AtMost(5.0),
        unit: " %",
        values: vec![100.0 * statistics::deviation(&points)],
        note: format!("{}; line {:.2} s + {:.2e} s each", times.join(", "), line.a, line.b),
        command,
    }
}
