//! Bad input and bad luck: each ends with the right exit code and the message in `ui/faults/<case>.err`, which names
//! the place and the remedy, and leaves nothing behind that looks like a result.

mod data;
mod model;
mod output;
mod pipeline;
mod resources;
mod weights;

use sli_tests::binary::Ended;
use sli_tests::golden;
use sli_tests::rundir::files;
use sli_tests::scene::Scene;

/// The stage of scenes whose stages do not matter.
const SCORE: &str = "[[stage]]\nuses = \"score\"\n";

/// Exit code for wrong input.
const INPUT: i32 = 2;
/// Exit code for a run that failed.
const RUN: i32 = 1;

/// Runs `p.toml`, which must fail with `code`, the golden message `case` and no file in `out`.
#[track_caller]
fn fault(scene: &Scene, case: &str, code: i32) {
    fault_with(scene, case, code, &[]);
}

/// As [`fault`], with more arguments.
#[track_caller]
fn fault_with(scene: &Scene, case: &str, code: i32, args: &[&str]) {
    let ended = scene.run(&[&["run", "p.toml"], args].concat());
    message(scene, case, code, &ended);
    assert_eq!(
        files(&scene.path("out")),
        Vec::<String>::new(),
        "{case} left files behind"
    );
    assert!(!scene.path("out").exists(), "{case} left its folder behind");
}

/// Compares exit code and message.
#[track_caller]
fn message(scene: &Scene, case: &str, code: i32, ended: &Ended) {
    assert_eq!(ended.code, code, "{case}: {}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "", "{case}: messages go to standard error");
    golden::check(
        &format!("faults/{case}.err"),
        &golden::normalise(&ended.stderr, scene.dir()),
    );
}

/// No message is kept of a case that is gone.
#[test]
fn every_message_belongs_to_a_case() {
    let sources = [
        include_str!("data.rs"),
        include_str!("model.rs"),
        include_str!("output.rs"),
        include_str!("pipeline.rs"),
        include_str!("resources.rs"),
        include_str!("weights.rs"),
    ]
    .concat();
    let messages = files(&golden::folder().join("faults"));
    assert!(messages.len() > 40, "{messages:?}");
    for message in messages {
        let case = message.strip_suffix(".err").expect("messages end in .err");
        assert!(sources.contains(case), "{message} belongs to no case");
    }
}
