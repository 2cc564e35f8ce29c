//! What a row of the benchmark finds, what it should find, and the table of all.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::statistics::{self, Summary};

/// What a value should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Target {
    /// Whether `value` is good enough.
    pub(super) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// How much of the target `value` reaches: 1 where it is just met, more where it is better than asked for.
    pub(super) fn reached(self, value: f64) -> f64 {
        match self {
            Self::AtLeast(least) => value / least,
            Self::AtMost(most) => most / value,
        }
    }
}

/// One number of the benchmark, of every round.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    /// Short name, the same for ever: the column of the history.
    pub(super) key: &'static str,
    /// What it is.
    pub(super) what: String,
    /// What it should be.
    pub(super) target: Target,
    /// What follows the number: nothing, ` ×`, ` s`, ` %`.
    pub(super) unit: &'static str,
    /// One value of each round; empty where it could not be measured.
    pub(super) values: Vec<f64>,
    /// Circumstances, or why there is no value.
    pub(super) note: String,
    /// What repeats it.
    pub(super) command: String,
}

impl Measure {
    /// Median and range, if it was measured.
    pub(super) fn summary(&self) -> Option<Summary> {
        statistics::summary(&self.values)
    }

    /// The median in words, or a dash.
    pub(super) fn median(&self) -> String {
        self.summary()
            .map_or("–".into(), |summary| format!("{:.2}{}", summary.median, self.unit))
    }

    /// The target in words.
    pub(super) fn wanted(&self) -> String {
        match self.target {
            Target::AtLeast(least) => format!("≥ {least}{}", self.unit),
            Target::AtMost(most) => format!("≤ {most}{}", self.unit),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.summary() {
            None => "–",
            Some(summary) if self.target.is_met(summary.median) => "met",
            Some(_) => "missed",
        }
    }

    fn range(&self) -> String {
        match self.summary() {
            Some(summary) if self.values.len() > 1 => format!("{:.2}–{:.2}", summary.least, summary.most),
            _ => String::new(),
        }
    }
}

/// The table of all measures, and below it what is to be known about each.
pub(super) fn table(measures: &[Measure]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["", "what", "target", "median", "range", "", "again with"]);
    for measure in measures {
        table.add_row([
            measure.key.to_owned(),
            measure.what.clone(),
            measure.wanted(),
            measure.median(),
            measure.range(),
            measure.verdict().to_owned(),
            measure.command.clone(),
        ]);
    }
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let notes = measures.chunk_by(|a, b| a.note == b.note).map(|alike| {
        let keys: Vec<&str> = alike.iter().map(|measure| measure.key).collect();
        format!("{}: {}\n", keys.join(", "), alike[0].note)
    });
    format!("{table}\n\n{}", notes.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(target: Target, values: &[f64]) -> Measure {
        Measure {
            key: "a",
            what: "bytes a second ÷ the drive's".into(),
            target,
            unit: "",
            values: values.to_vec(),
            note: "128 tokens".into(),
            command: "cargo xtask bench --rows a".into(),
        }
    }

    #[test]
    fn targets_from_both_sides() {
        assert!(Target::AtLeast(0.9).is_met(0.9) && !Target::AtLeast(0.9).is_met(0.89));
        assert!(Target::AtMost(1.1).is_met(1.1) && !Target::AtMost(1.1).is_met(1.2));
        assert_eq!(Target::AtLeast(5.0).reached(10.0), 2.0);
        assert_eq!(Target::AtMost(1.0).reached(2.0), 0.5);
    }

    #[test]
    fn a_row_shows_target_median_range_verdict_and_command() {
        let text = table(&[measure(Target::AtLeast(0.9), &[0.7, 0.8, 0.75])]);
        for part in [
            "≥ 0.9",
            "0.75",
            "0.70–0.80",
            "missed",
            "cargo xtask bench --rows a",
            "a: 128 tokens",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let blank = measure(Target::AtMost(1.0), &[]);
        assert_eq!((blank.median().as_str(), blank.verdict()), ("–", "–"));
    }
}
