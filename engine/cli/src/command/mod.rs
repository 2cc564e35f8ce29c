//! One module a command.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod families;
mod families_new;
mod functions;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod plugins;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod verify;
