//! `cargo xtask`: everything a developer of sli-pipe does more than once.
//!
//! The crate depends on nothing heavy, so that `cargo xtask setup` runs seconds after a fresh clone.
//! Each command is one module; [`bundle`] holds the one way in which foreign files come into the
//! project (download, verify, unpack aside, rename).

#[cfg(target_os = "linux")]
mod bench;
mod bundle;
mod editor;
mod failure;
mod fetch;
mod generated;
mod guests;
mod interrupt;
mod libtorch;
mod models;
mod pip;
mod python;
mod say;
mod stamp;
mod steps;
mod unpack;
mod wheel;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{failure::Failure, workspace::Workspace};

/// Developer commands of sli-pipe.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch libtorch into `.deps/`, or check the one that `LIBTORCH` names
    Setup,
    /// Set up if needed, build in release, run `pipelines/quickstart.toml`
    Demo,
    /// Set up if needed, then check the format, lint, build the plugins and run all tests
    Test,
    /// Fetch the real models that tests use into `.deps/models/`
    Models,
    /// Check families, pipelines and manifests with their schemas, as an editor does
    Editor,
    /// Write the files that the code states: the JSON schemas in `schemas/`, `docs/functions.md`
    Generate {
        /// Write nothing; fail where a committed file is not what the code says now
        #[arg(long)]
        check: bool,
    },
    /// Build the plugins of `plugins/guests/` and write the `.wasm` files beside their sources
    Guests(guests::Arguments),
    /// Measure how near runs come to the limits of drive and arithmetic
    #[cfg(target_os = "linux")]
    Bench(bench::Arguments),
    /// Make the Python environment of the reference scripts in `.deps/venv`
    Python,
    /// Make the parity fixtures again, with transformers
    Parity {
        /// Passed on to `tests/parity/generate.py`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Train the bundled quickstart model again
    QuickstartModel {
        /// Passed on to `pipelines/quickstart/train.py`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn run(command: &Command, workspace: &Workspace) -> Result<(), Failure> {
    match command {
        Command::Setup => libtorch::ensure(workspace),
        Command::Demo => steps::demo(workspace),
        Command::Test => steps::test(workspace),
        Command::Models => models::ensure(workspace),
        Command::Editor => editor::check(workspace),
        Command::Generate { check: false } => generated::write(workspace),
        Command::Generate { check: true } => generated::check(workspace),
        Command::Guests(arguments) => guests::run(workspace, arguments),
        #[cfg(target_os = "linux")]
        Command::Bench(arguments) => bench::run(workspace, arguments),
        Command::Python => python::ensure(workspace).map(drop),
        Command::Parity { arguments } => python::script(workspace, "tests/parity/generate.py", arguments),
        Command::QuickstartModel { arguments } => python::script(workspace, "pipelines/quickstart/train.py", arguments),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = interrupt::listen().and_then(|()| run(&arguments.command, &Workspace::find()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
