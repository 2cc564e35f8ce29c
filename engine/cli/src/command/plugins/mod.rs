//! `sli-pipe plugins list|check|new|pack`.

pub(crate) mod args;
mod check;
mod list;
mod new;
mod pack;

use args::{PluginsArgs, PluginsCommand};

use crate::failure::Outcome;

/// Does what the command line says.
pub(crate) fn plugins(args: &PluginsArgs) -> Outcome {
    match &args.command {
        PluginsCommand::List(args) => list::list(args),
        PluginsCommand::Check(args) => check::check(args),
        PluginsCommand::New(args) => new::new(args),
        PluginsCommand::Pack(args) => pack::pack(args),
    }
}
