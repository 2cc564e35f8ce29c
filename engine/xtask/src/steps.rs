//! Commands that are a row of steps: each announced, timed, and the first failure ends the row.

use std::{process::Command, time::Instant};

use crate::{editor, failure::Failure, guests, interrupt, libtorch, models, say, workspace::Workspace};

/// `cargo xtask demo`: from a fresh clone to a model streaming over text.
pub(crate) fn demo(workspace: &Workspace) -> Result<(), Failure> {
    libtorch::ensure(workspace)?;
    let mut build = workspace.cargo();
    run(
        "build sli-pipe",
        // the whole workspace decides the features, as in `test`: else heavy crates would be compiled twice
        build.args(["build", "--release", "--workspace", "--bin", "sli-pipe"]),
    )?;
    let mut pipe = workspace.command(workspace.target().join("release/sli-pipe"));
    run("run the quickstart", pipe.args(["run", "pipelines/quickstart.toml"]))
}

/// `cargo xtask test`: what must pass before a change is taken.
///
/// Everything is built in release, so that the heavy dependencies are compiled once for this
/// command and for [`demo`].
pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    let started = Instant::now();
    libtorch::ensure(workspace)?;
    models::ensure(workspace)?;
    run("check the format", workspace.cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = workspace.cargo();
    clippy.args([
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    run("lint", &mut clippy)?;
    editor::check(workspace)?;
    let built = guests::check_all(workspace)?;
    plugins(workspace)?;
    let mut tests = workspace.cargo();
    tests.args(["test", "--release", "--workspace"]);
    run("test", tests.env("SLI_PIPE_GUESTS", built))?;
    say::line(format!("All passed in {}.", say::seconds(started.elapsed())));
    Ok(())
}

/// Format, lints and tests of the workspace in `plugins/`, compiled for this machine.
fn plugins(workspace: &Workspace) -> Result<(), Failure> {
    let cargo = |arguments: &[&str]| {
        let mut cargo = workspace.cargo();
        cargo
            .args(arguments)
            .current_dir(workspace.root().join("plugins"))
            .env("CARGO_TARGET_DIR", workspace.target().join("plugins"));
        cargo
    };
    let all = ["--locked", "--workspace", "--all-features"];
    run(
        "check the format of the plugins",
        &mut cargo(&["fmt", "--all", "--check"]),
    )?;
    let mut clippy = cargo(&["clippy"]);
    clippy.args(all).args(["--all-targets", "--", "-D", "warnings"]);
    run("lint the plugins", &mut clippy)?;
    run("test the plugins", cargo(&["test"]).args(all))
}

/// Runs one step, named `what`, with the terminal as its own.
///
/// # Errors
/// [`Failure::Step`] where it ends with an error, [`Failure::ProgramMissing`] where it is not there.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    say::line(format!("==> {what}: {line}"));
    let started = Instant::now();
    let mut child = command.spawn().map_err(|_| Failure::ProgramMissing {
        program: command.get_program().to_string_lossy().into_owned(),
        needed_for: "this step runs it",
        remedy: "Install it or put it on the `PATH`, and run the command again.",
    })?;
    let status = interrupt::wait(&mut child, || ())?;
    if !status.success() {
        return Err(Failure::Step {
            command: line,
            status: status.to_string(),
        });
    }
    say::line(format!("==> {what}: done in {}", say::seconds(started.elapsed())));
    Ok(())
}

/// A command as one would type it; the program without its folder.
fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_with_its_command() {
        let failure = run("fail", Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        let message = failure.to_string();
        assert!(message.contains("`sh -c exit 3`") && message.contains('3'), "{message}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = run("start", &mut Command::new("no-such-program-of-ours")).unwrap_err();
        assert!(failure.to_string().contains("`no-such-program-of-ours` was not found"));
    }
}
