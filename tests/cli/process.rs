//! Signals, pipes, and what goes to which stream.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sli_tests::binary::command;
use sli_tests::rundir::files;
use sli_tests::scene::{Scene, documents};

use crate::scene;

fn spawn(scene: &Scene, args: &[&str]) -> Child {
    let mut command = command(scene.dir(), args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// As `sli-pipe schema | head -1`: the reader goes away early.
#[test]
fn a_closed_pipe_is_no_error() {
    for args in [
        &["schema"][..],
        &["families", "functions"][..],
        &["completions", "zsh"][..],
        &["--help"][..],
    ] {
        let scene = Scene::empty();
        let mut child = spawn(&scene, args);
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// A run goes on and finishes when nobody reads what it says.
#[test]
fn a_run_does_not_need_a_reader() {
    let scene = scene();
    let mut child = spawn(&scene, &["run", "p.toml"]);
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    sli_tests::rundir::RunDir::open(&scene.path("out"));
}

#[test]
fn the_first_ctrl_c_stops_cleanly() {
    let scene = Scene::of(
        "llama",
        "[[stage]]\nuses   = \"capture\"\npoints = [\"decoder.*\"]\n\n[[stage]]\nuses = \"score\"\n",
    );
    scene.rows(&documents(20_000, 60, 128));
    let mut child = spawn(&scene, &["run", "p.toml"]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("llama: ") {
        line.clear();
        assert!(
            said.read_line(&mut line).unwrap() > 0,
            "the run ended before it started"
        );
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("stopping after the current batch"), "{rest}");
    assert!(
        rest.contains("the run was stopped; nothing was left in the output folder"),
        "{rest}"
    );
    assert!(!scene.path("out").exists(), "{:?}", files(&scene.path("out")));
}

#[test]
fn progress_is_plain_lines_on_standard_error() {
    let ended = scene().run(&["run", "p.toml"]).success();
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("llama: 2 documents, 19 tokens, 1 sweep over 5 layers, "),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("done in "), "{lines:?}");
    assert!(
        !ended.stderr.contains('\u{1b}') && !ended.stdout.contains('\u{1b}'),
        "no colours in a pipe"
    );
}

#[test]
fn logs_are_told_on_demand() {
    assert!(
        scene()
            .run(&["run", "p.toml", "-v"])
            .success()
            .stderr
            .contains("every tensor is bound")
    );
}
