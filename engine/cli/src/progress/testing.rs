//! A small plan for tests.

use sli_runtime::Plan;
use sli_runtime::plan::UnitPlan;

/// Two sweeps of three units.
pub(crate) fn plan() -> Plan {
    let unit = |name: &str, bytes: u64| UnitPlan {
        name: name.into(),
        bytes,
        ..UnitPlan::default()
    };
    Plan {
        family: "llama".into(),
        compute: "f32".into(),
        documents: 4,
        tokens: 100,
        longest: 50,
        sweeps: 2,
        sweep_tokens: 60,
        micro_batch_tokens: 30,
        micro_batches: 4,
        chunk_tokens: 10,
        arenas: 2,
        sweep_bytes: 40,
        read_bytes: 80,
        units: vec![unit("embed", 10), unit("decoder.0", 20), unit("head", 10)],
        ..Plan::default()
    }
}
