//! `sli-pipe`: runs datasets through language models that are larger than memory.
//!
//! The only crate that prints. Results go to standard output; progress, logs and errors to standard error.
//! Exit codes: 0 well done, 1 the run failed, 2 the input is wrong.

mod args;
mod command;
mod environment;
mod failure;
mod families;
mod format;
mod group;
mod interrupt;
mod logs;
mod output;
mod plugins;
mod prepare;
mod progress;
mod summary;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and usage errors; that nobody reads them changes nothing.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    logs::start(cli.verbose);
    let code = match dispatch(&cli) {
        Ok(()) => 0,
        Err(failure) => report(failure, cli.command.json()),
    };
    environment::leave(code)
}

fn dispatch(cli: &Cli) -> Outcome {
    match &cli.command {
        Command::Run(args) => command::run::run(args, cli.verbose > 0),
        Command::Dev(args) => command::dev::dev(args),
        Command::Plan(args) => command::plan::plan(args, cli.verbose > 0),
        Command::Check(args) => command::check::check(args),
        Command::Inspect(args) => command::inspect::inspect(args),
        Command::Verify(args) => command::verify::verify(args, cli.verbose > 0),
        Command::Families(args) => command::families::families(args),
        Command::Plugins(args) => command::plugins::plugins(args),
        Command::Schema(args) => command::schema::schema(args),
        Command::Report(args) => command::report::report(args),
        Command::Completions(args) => command::completions::completions(args),
    }
}

/// Says what went wrong, for people and, where asked for, for programs; returns the exit code.
fn report(failure: Failure, json: bool) -> u8 {
    let code = failure.code();
    let diagnostics = failure.into_diagnostics();
    output::show(&diagnostics);
    if json && !diagnostics.is_empty() {
        // The exit code says it already if this cannot be written.
        let _ = output::print_json(&serde_json::json!({ "diagnostics": diagnostics }));
    }
    code
}
