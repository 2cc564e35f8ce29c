//! Each stage against values computed here from what transformers gave, or from what `capture` wrote in the same sweep;
//! the same results whatever the budget, the company of a document and the form of the source.

mod capture;
mod embed;
mod engine;
mod logits;
mod profile;
mod report;
mod score;
mod sources;
mod sweeps;

use std::collections::BTreeMap;

use serde_json::Value;

/// The ids of the tokens of each row, by row id.
fn tokens(rows: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let ids = |row: &Value| {
        row["input_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap())
            .collect()
    };
    rows.iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), ids(row)))
        .collect()
}
