//! What can be wrong with the place where results go: before a run, during it, and after one that was killed.

use std::process::Command;

use serde_json::json;
use sli_tests::binary::{self, Ended, ended};
use sli_tests::rundir::{RunDir, files};
use sli_tests::scene::{Scene, documents};

use crate::{INPUT, RUN, SCORE, message};

const CAPTURE: &str = "[[stage]]\nuses   = \"capture\"\npoints = [\"embed\", \"decoder.*\"]\n";

#[test]
fn the_folder_holds_something() {
    let scene = Scene::of("llama", SCORE);
    scene.write("out/thesis.tex", "years of work");
    message(&scene, "output_not_empty", INPUT, &scene.run(&["run", "p.toml"]));
    // Not even a run that may replace an earlier one touches what no run wrote.
    let forced = scene.run(&["run", "p.toml", "--set", "output.overwrite=true"]);
    message(&scene, "output_of_somebody_else", INPUT, &forced);
    assert_eq!(files(&scene.path("out")), ["thesis.tex"]);
}

#[test]
fn the_folder_holds_an_earlier_run() {
    let scene = Scene::of("llama", SCORE);
    let first = scene.finish(&[]);
    message(&scene, "output_of_a_run", INPUT, &scene.run(&["run", "p.toml"]));
    assert_eq!(
        RunDir::open(&scene.path("out")).manifest,
        first.manifest,
        "the first run is still whole"
    );
    scene.finish(&["--set", "output.overwrite=true", "--set", "stage.0.format=jsonl"]);
    assert_eq!(
        files(&scene.path("out")),
        ["manifest.json", "report.json", "score.jsonl", "score.summary.json"]
    );
}

#[test]
fn the_folder_is_a_file() {
    let scene = Scene::of("llama", SCORE);
    scene.write("out", "");
    message(&scene, "output_is_a_file", INPUT, &scene.run(&["run", "p.toml"]));
    assert_eq!(std::fs::read(scene.path("out")).unwrap(), b"");
}

/// A shell command around `sli-pipe run p.toml`, which it calls as `"$@"`.
fn shell(scene: &Scene, wrapper: &[&str], script: &str) -> Ended {
    let [program, args @ ..] = wrapper else {
        panic!("no program")
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .args(["sh", "-c", script, "sh"])
        .arg(binary::path())
        .args(["run", "p.toml"]);
    command
        .current_dir(scene.dir())
        .env("XDG_CONFIG_HOME", scene.path(".config"))
        .env("NO_COLOR", "1");
    ended(command.output().expect("a shell"))
}

/// Root may write where it may not, unless it gives that up.
#[test]
fn the_folder_may_not_be_written() {
    let scene = Scene::of("llama", SCORE);
    scene.write("locked/keep", "");
    scene.edit("p.toml", "dir = \"out\"", "dir = \"locked/out\"");
    let lock = |mode: &str| {
        assert!(
            Command::new("chmod")
                .args([mode, "locked"])
                .current_dir(scene.dir())
                .status()
                .unwrap()
                .success()
        )
    };
    lock("555");
    let ended = if rustix::process::geteuid().is_root() {
        shell(
            &scene,
            &["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"],
            "exec \"$@\"",
        )
    } else {
        scene.run(&["run", "p.toml"])
    };
    lock("755");
    message(&scene, "output_not_writable", RUN, &ended);
    assert_eq!(files(&scene.path("locked")), ["keep"]);
}

/// A disk of 64 KiB, mounted where only the child sees it.
#[test]
fn the_disk_is_full() {
    let scene = Scene::of("llama", CAPTURE);
    scene.rows(&documents(20, 60, 128));
    std::fs::create_dir(scene.path("out")).unwrap();
    let namespace = ["unshare", "--map-root-user", "--mount"];
    let disk = "mount -t tmpfs -o size=64k tmpfs out";
    let probe = shell(&scene, &namespace, disk);
    assert_eq!(
        probe.code, 0,
        "this test mounts a small disk for a child of its own, which needs user namespaces \
         (`sysctl kernel.unprivileged_userns_clone=1`) or root: {}",
        probe.stderr
    );
    let script = format!("{disk} && {{ \"$@\"; code=$?; ls -A out; exit $code; }}");
    let ended = shell(&scene, &namespace, &script);
    message(&scene, "disk_full", RUN, &ended);
}

/// The system refuses to let a file grow: as a full disk, without the right to mount one.
#[test]
fn a_file_may_not_grow() {
    let scene = Scene::of("llama", CAPTURE);
    scene.rows(&documents(20, 60, 128));
    // Blocks of 512 bytes; the signal that comes with the limit would end the process.
    let ended = shell(&scene, &["env"], "trap '' XFSZ; ulimit -f 64; exec \"$@\"");
    message(&scene, "file_too_large", RUN, &ended);
    assert!(!scene.path("out").exists());
}

/// A killed run leaves nothing that looks whole, and the next one clears it away.
#[test]
fn a_killed_run_leaves_nothing_that_looks_whole() {
    let scene = Scene::of("llama", CAPTURE);
    scene.rows(&documents(20_000, 60, 128));
    let mut child = binary::command(scene.dir(), &["run", "p.toml"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while files(&scene.path("out")).is_empty() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before it could be killed"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = files(&scene.path("out"));
    assert!(
        !left.is_empty() && left.iter().all(|name| name.ends_with(".partial")),
        "{left:?}"
    );
    assert_eq!(scene.run(&["report", "out"]).code, INPUT);

    scene.rows(&[json!({ "id": "a", "input_ids": [1, 2, 3] })]);
    let run = scene.finish(&[]);
    assert_eq!(run.outputs_of("capture"), ["capture.safetensors"]);
}
