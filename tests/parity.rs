//! Every fixture, at every layer, through the binary and the contract of pipelines and captures.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use sli_tests::binary::run;
use sli_tests::checkpoint::Kind;
use sli_tests::compare::worst;
use sli_tests::fixture::{Array, Fixture, all, captured, named};
use sli_tests::status::{Status, record};

/// The promise: f32, relative to the largest magnitude of the value.
const TOLERANCE: f64 = 2e-5;

/// Captures `points` of the given rows into `<dir>/<name>` and returns them. `SLI_PIPE_TEST_DEVICE` names another
/// device than the processor.
fn capture(dir: &Path, name: &str, rows: &[Value], points: &[String], extra: &str) -> BTreeMap<String, Array> {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(dir.join(format!("{name}.jsonl")), lines).unwrap();
    let list = points.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>().join(", ");
    let device = std::env::var("SLI_PIPE_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let pipeline = format!(
        "name = \"{name}\"\n[model]\nsource = \"model\"\n[data]\nsource = \"{name}.jsonl\"\n[engine]\ndevice = \"{device}\"\ndtype = \"f32\"\n{extra}\n\
         [output]\ndir = \"{name}\"\n[[stage]]\nuses = \"capture\"\npoints = [{list}]\ndtype = \"f32\"\n"
    );
    std::fs::write(dir.join(format!("{name}.toml")), pipeline).unwrap();
    run(dir, &["run", &format!("{name}.toml")]).success();
    captured(&dir.join(name))
}

/// The points of the reference, without row ids.
fn points(reference: &BTreeMap<String, Array>) -> Vec<String> {
    let mut points: Vec<String> = reference
        .keys()
        .filter_map(|key| Some(key.split_once('/')?.1.to_owned()))
        .collect();
    points.sort();
    points.dedup();
    points
}

/// The worst error of a fixture and where it is, and the family that ran it.
fn check(fixture: &Fixture) -> Result<(f64, String, String), String> {
    let dir = tempfile::tempdir().unwrap();
    fixture.materialize(&dir.path().join("model"), Kind::F32, 1);
    let reference = fixture.reference();
    let found = capture(dir.path(), "run", &fixture.rows(), &points(&reference), "");
    let report = std::fs::read_to_string(dir.path().join("run/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let (error, place) = worst(&found, &reference)?;
    Ok((error, place, report["plan"]["family"].as_str().unwrap().to_owned()))
}

/// Checks all fixtures, several at once.
fn check_all(fixtures: &[Fixture]) -> Vec<Result<(f64, String, String), String>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![Err("not run".to_owned()); fixtures.len()]);
    std::thread::scope(|scope| {
        // Twice the cores: half of the time a run waits for the disk.
        for _ in 0..2 * std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let mine = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fixture) = fixtures.get(mine) else { break };
                    let result = std::panic::catch_unwind(|| check(fixture));
                    let result = result.unwrap_or_else(|_| Err("the run failed; its messages are above".into()));
                    results.lock().unwrap()[mine] = result;
                }
            });
        }
    });
    results.into_inner().unwrap()
}

#[test]
fn every_layer_agrees_with_the_reference() {
    let fixtures = all();
    let (mut wrong, mut statuses) = (Vec::new(), Vec::new());
    for (fixture, result) in fixtures.iter().zip(check_all(&fixtures)) {
        match result {
            Ok((error, _, family)) if error <= TOLERANCE => statuses.push(Status::of(fixture, &family, error)),
            Ok((error, place, _)) => wrong.push(format!("{}: {error:.1e} at {place}", fixture.name)),
            Err(message) => wrong.push(format!("{}: {message}", fixture.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    record(&statuses);
}

#[test]
fn a_document_does_not_depend_on_its_company() {
    for name in ["mistral", "mixtral_many", "bert", "llama_dynamic"] {
        let fixture = named(name);
        let dir = tempfile::tempdir().unwrap();
        fixture.materialize(&dir.path().join("model"), Kind::F32, 1);
        let points = points(&fixture.reference());
        let rows = fixture.rows();
        let together = capture(dir.path(), "together", &rows, &points, "");
        let again = capture(dir.path(), "again", &rows, &points, "");
        assert_eq!(
            together, again,
            "{name}: the same company in the same order is bit-identical"
        );
        let mut alone = BTreeMap::new();
        for (k, row) in rows.iter().enumerate() {
            alone.extend(capture(
                dir.path(),
                &format!("alone{k}"),
                std::slice::from_ref(row),
                &points,
                "",
            ));
        }
        let (error, place) = worst(&alone, &together).unwrap();
        assert!(error <= 1e-5, "{name}: {error:.1e} at {place}");
    }
}

#[test]
fn shards_halves_and_names_without_prefix_read_the_same() {
    let fixture = named("llama_gqa_bias");
    let dir = tempfile::tempdir().unwrap();
    let points = points(&fixture.reference());
    fixture.materialize(&dir.path().join("model"), Kind::F32, 3);
    let sharded = capture(dir.path(), "sharded", &fixture.rows(), &points, "");
    assert!(worst(&sharded, &fixture.reference()).unwrap().0 <= TOLERANCE);
    for (kind, tolerance) in [(Kind::Bf16, 0.05), (Kind::F16, 0.01)] {
        std::fs::remove_dir_all(dir.path().join("model")).unwrap();
        fixture.materialize(&dir.path().join("model"), kind, 2);
        let halves = capture(dir.path(), &format!("{kind:?}"), &fixture.rows(), &points, "");
        let (error, place) = worst(&halves, &fixture.reference()).unwrap();
        assert!(error <= tolerance, "{kind:?}: {error:.1e} at {place}");
        assert!(error > 1e-6, "{kind:?} weights cannot give the f32 result");
    }
}
