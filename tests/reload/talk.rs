//! Programs that talk in lines while they run.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sli_tests::binary::command;
use sli_tests::scene::Scene;

/// How long anything may take that should take a fraction of a second; other tests run beside.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program whose lines are read as they come.
pub(crate) struct Talk {
    child: Child,
    lines: Receiver<String>,
    /// What has been said so far, for messages.
    said: Vec<String>,
}

/// Sends the lines of a stream.
fn follow(stream: impl Read + Send + 'static, to: std::sync::mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

impl Talk {
    /// Starts `sli-pipe` in a scene; lines of both streams are heard.
    pub(crate) fn start(scene: &Scene, args: &[&str]) -> Talk {
        let mut command = command(scene.dir(), args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, lines) = channel();
        follow(child.stdout.take().unwrap(), to.clone());
        follow(child.stderr.take().unwrap(), to);
        Talk {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// The next line that `wanted` wants; others are skipped.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{what} was not said:\n{}", self.said.join("\n"));
            };
            self.said.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The next JSON object whose `event` is this one; no other than those of `between` may come before.
    #[track_caller]
    pub(crate) fn event(&mut self, event: &str, between: &[&str]) -> Value {
        loop {
            let line = self.until(event, |line| line.starts_with('{'));
            let value: Value = serde_json::from_str(&line).unwrap();
            let found = value["event"].as_str().unwrap();
            if found == event {
                return value;
            }
            assert!(
                between.contains(&found),
                "{event} is awaited:\n{}",
                self.said.join("\n")
            );
        }
    }

    /// Whether nothing is said for a while.
    pub(crate) fn is_silent(&self) -> bool {
        self.lines.recv_timeout(Duration::from_millis(700)).is_err()
    }

    /// Resident bytes.
    pub(crate) fn rss(&self) -> u64 {
        rss(self.child.id())
    }

    /// Presses Ctrl-C and waits; the exit code.
    #[track_caller]
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.wait()
    }

    /// The exit code of a program that ends by itself, and all it said.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (Option<i32>, String) {
        let code = self.wait();
        self.said.extend(self.lines.iter());
        (code, self.said.join("\n"))
    }

    #[track_caller]
    fn wait(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                started.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.said.join("\n")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It has ended already, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident bytes of a process.
pub(crate) fn rss(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}
