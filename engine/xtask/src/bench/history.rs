//! The history in `docs/performance.md`: a table with one row a recorded run, the newest first.

use std::{env, fs};

use super::{measure::Measure, statistics};
use crate::{failure::Failure, workspace::Workspace};

/// The document.
pub(super) const DOCUMENT: &str = "docs/performance.md";

/// The table starts behind this line.
const MARK: &str = "<!-- `cargo xtask bench --record` writes below: newest first -->";

/// Columns of a row before the measures.
const FIRST: [&str; 3] = ["date", "commit", "machine"];

/// Every measure there is, in the order of the columns.
const KEYS: [&str; 14] = [
    "a",
    "a-process",
    "b-128",
    "b-8192",
    "c-accelerate",
    "c-airllm",
    "d",
    "d-process",
    "d-limit",
    "e",
    "f",
    "g-layers",
    "g-tokens",
    "rounds",
];

/// Adds a row for `measures` to the document.
///
/// # Errors
/// [`Failure::Io`]; [`Failure::Answer`] where the document has no place for it.
pub(super) fn record(workspace: &Workspace, measures: &[Measure], machine: &str, rounds: usize) -> Result<(), Failure> {
    let path = workspace.root().join(DOCUMENT);
    let text = fs::read_to_string(&path).map_err(Failure::io("read", &path))?;
    let said = |program: &str, arguments: &[&str]| {
        let output = workspace.command(program).args(arguments).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "–".into())
    };
    let (date, commit) = (
        said("date", &["-u", "+%F"]),
        said("git", &["describe", "--always", "--dirty=+"]),
    );
    let values = KEYS.map(|key| match key {
        "rounds" => rounds.to_string(),
        _ => (measures.iter().find(|measure| measure.key == key)).map_or("–".into(), Measure::median),
    });
    let cells: Vec<String> = [date, commit, machine.to_owned()].into_iter().chain(values).collect();
    let new = insert(&text, &cells).ok_or_else(|| Failure::Answer {
        program: path.display().to_string(),
        problem: format!("it has no line `{MARK}`"),
    })?;
    fs::write(&path, new).map_err(Failure::io("write", &path))
}

/// `document` with a row of `cells` on top of the table, which is made where there is none yet.
fn insert(document: &str, cells: &[String]) -> Option<String> {
    let (before, after) = document.split_once(MARK)?;
    let columns: Vec<&str> = FIRST.into_iter().chain(KEYS).collect();
    let head = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    let after = after.trim_start_matches('\n');
    // an older table with other columns stays below, as it was
    let (rows, gap) = match after.strip_prefix(&head) {
        Some(rows) => (rows, ""),
        None if after.is_empty() => ("", ""),
        None => (after, "\n"),
    };
    Some(format!(
        "{before}{MARK}\n\n{head}| {} |\n{gap}{rows}",
        cells.join(" | ")
    ))
}

/// The machine in a few words: cores, processor, what it multiplies bf16 with, the drive, and how busy others kept it.
pub(super) fn machine(threads: usize, drive_rates: &[f64], others: f64) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("", |(_, value)| value.trim())
    };
    let model = [field("model name"), env::consts::ARCH]
        .into_iter()
        .find(|name| !name.is_empty());
    let drive = match drive_rates.is_empty() {
        true => String::new(),
        false => format!(", drive {:.2} GB/s", statistics::median(drive_rates)),
    };
    let (model, units) = (model.unwrap_or_default(), units(field("flags")));
    format!("{threads} threads of {model} ({units}){drive}; others used {others:.1} cores meanwhile")
}

/// The best units for bf16 products that a processor with these `flags` has.
fn units(flags: &str) -> &'static str {
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    let classes = [
        ("amx_bf16", "AMX"),
        ("avx512_bf16", "AVX512-BF16"),
        ("avx512f", "AVX512"),
        ("avx2", "AVX2"),
    ];
    let best = classes.into_iter().find(|(flag, _)| has(flag));
    best.map_or("no wide vectors known", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(first: &str) -> Vec<String> {
        let rest = (FIRST.len() + KEYS.len()) - 1;
        [vec![first.to_owned()], vec!["–".to_owned(); rest]].concat()
    }

    #[test]
    fn the_newest_row_stands_on_top_of_one_table() {
        let empty = format!("# Performance\n\n{MARK}\n");
        let one = insert(&empty, &cells("2026-01-01")).unwrap();
        let two = insert(&one, &cells("2026-02-02")).unwrap();
        assert_eq!(two.matches("| date |").count(), 1, "{two}");
        let place = |date| two.find(date).unwrap();
        assert!(place("2026-02-02") < place("2026-01-01"), "{two}");
        assert!(two.starts_with("# Performance\n"));
        assert!(two.ends_with("|\n"));
    }

    #[test]
    fn a_table_with_other_columns_is_kept_below() {
        let old = format!("{MARK}\n\n| date | speed |\n|---|---|\n| 2025-05-05 | 7 |\n");
        let new = insert(&old, &cells("2026-01-01")).unwrap();
        assert!(
            new.contains("| – |\n\n| date | speed |\n|---|---|\n| 2025-05-05 | 7 |\n"),
            "{new}"
        );
    }

    #[test]
    fn a_document_without_the_mark_has_no_place() {
        assert_eq!(insert("# Performance\n", &cells("2026-01-01")), None);
    }

    #[test]
    fn the_document_has_its_mark() {
        let text = fs::read_to_string(Workspace::find().root().join(DOCUMENT)).unwrap();
        assert!(insert(&text, &cells("2026-01-01")).is_some());
    }

    #[test]
    fn the_class_of_a_processor_is_its_best() {
        assert_eq!(units("sse avx2 avx512f avx512_bf16"), "AVX512-BF16");
        assert_eq!(units("sse avx2"), "AVX2");
    }
}
