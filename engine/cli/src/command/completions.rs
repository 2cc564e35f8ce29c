//! `sli-pipe completions SHELL`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Outcome;
use crate::output::print;

/// Prints the script.
pub(crate) fn completions(args: &CompletionsArgs) -> Outcome {
    // Into a buffer first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sli-pipe", &mut script);
    print(&String::from_utf8_lossy(&script))
}
