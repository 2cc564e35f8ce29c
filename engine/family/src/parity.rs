//! What was proved of the shipped families: `families/parity.json`, which the parity test writes and checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::registry::SHIPPED;

/// How one model type of a family compares with its reference, over all its fixtures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parity {
    /// Small models that were compared at every layer and head, in f32.
    pub fixtures: u64,
    /// The largest difference of any value, as a share of the value's largest magnitude.
    pub worst: f64,
    /// What the references were made with: `transformers 5.23.0`, `transcription`.
    pub references: Vec<String>,
}

/// Family id -> model type -> what was proved.
pub fn parity() -> BTreeMap<String, BTreeMap<String, Parity>> {
    let text = SHIPPED.get_file("parity.json").and_then(|file| file.contents_utf8());
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    #[test]
    fn the_shipped_record_can_be_read_and_names_shipped_families() {
        let registry = Registry::shipped();
        let record = parity();
        assert!(!record.is_empty());
        for (id, types) in &record {
            assert!(registry.file(id).is_some(), "{id}");
            assert!(
                types.values().all(|status| status.fixtures > 0 && status.worst < 1e-3),
                "{id}"
            );
        }
    }
}
