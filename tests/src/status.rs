//! The record of what parity proved: `families/parity.json`, which `sli-pipe families` shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::fixture::Fixture;

/// What one fixture showed.
#[derive(Clone, Debug)]
pub struct Status {
    /// Family that ran it.
    pub family: String,
    /// `model_type` of its config, `-` if there is none.
    pub model_type: String,
    /// What made the reference.
    pub reference: String,
    /// The worst relative error of any value.
    pub error: f64,
}

impl Status {
    /// The status of a fixture.
    pub fn of(fixture: &Fixture, family: &str, error: f64) -> Status {
        Status {
            family: family.to_owned(),
            model_type: fixture.config()["model_type"].as_str().unwrap_or("-").to_owned(),
            reference: fixture.made_with(),
            error,
        }
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../families/parity.json")
}

/// Family -> model type -> number of fixtures, worst error, references.
fn summary(statuses: &[Status]) -> BTreeMap<(String, String), (u64, f64, Vec<String>)> {
    let mut all: BTreeMap<(String, String), (u64, f64, Vec<String>)> = BTreeMap::new();
    for status in statuses {
        let entry = all
            .entry((status.family.clone(), status.model_type.clone()))
            .or_default();
        entry.0 += 1;
        entry.1 = entry.1.max(status.error);
        if !entry.2.contains(&status.reference) {
            entry.2.push(status.reference.clone());
            entry.2.sort();
        }
    }
    all
}

/// One type a line, so that a change can be read in a diff.
fn text(statuses: &[Status]) -> String {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((family, model_type), (fixtures, worst, references)) in summary(statuses) {
        let worst: f64 = format!("{worst:.1e}").parse().unwrap();
        let entry = json!({ "fixtures": fixtures, "worst": worst, "references": references });
        families
            .entry(family)
            .or_default()
            .push(format!("    {}: {entry}", json!(model_type)));
    }
    let families: Vec<String> = (families.iter())
        .map(|(family, types)| format!("  {}: {{\n{}\n  }}", json!(family), types.join(",\n")))
        .collect();
    format!("{{\n{}\n}}\n", families.join(",\n"))
}

/// Writes the record if `UPDATE_GOLDEN` is set; else fails if it claims other fixtures, other references, or an error
/// of which the measured one is far from.
pub fn record(statuses: &[Status]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(), text(statuses)).unwrap();
        return;
    }
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap();
    let measured: Value = serde_json::from_str(&text(statuses)).unwrap();
    let types = |value: &Value| -> BTreeMap<String, Value> {
        let families = value.as_object().unwrap().iter();
        families
            .flat_map(|(id, types)| {
                types
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(move |(t, s)| (format!("{id}/{t}"), s.clone()))
            })
            .collect()
    };
    let (stored, measured) = (types(&stored), types(&measured));
    let hint =
        "families/parity.json is out of date: run `UPDATE_GOLDEN=1 cargo test --release --workspace --test parity`";
    assert_eq!(
        stored.keys().collect::<Vec<_>>(),
        measured.keys().collect::<Vec<_>>(),
        "{hint}"
    );
    for (name, now) in &measured {
        let then = &stored[name];
        assert_eq!(
            (&then["fixtures"], &then["references"]),
            (&now["fixtures"], &now["references"]),
            "{name}: {hint}"
        );
        // Machines differ in the order of sums.
        let (then, now) = (then["worst"].as_f64().unwrap(), now["worst"].as_f64().unwrap());
        assert!(
            now <= 5.0 * then + 1e-6,
            "{name}: the worst error is {now}, the record says {then}; {hint}"
        );
    }
}
