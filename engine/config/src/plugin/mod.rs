//! Plugins as files: the manifest that a plugin carries ([`parse_plugin`]) and what users grant ([`parse_grants`]).

mod functions;
mod grants;
mod id;
mod options;
mod parse;
mod types;

pub use grants::{GrantSection, parse_grants};
pub(crate) use grants::{not_an_id, read_grants};
pub(crate) use id::{EXTENSION_PATTERN, ID_PATTERN, is_plugin_id};
pub(crate) use options::KEYWORDS;
pub use parse::parse_plugin;
pub use types::{Asks, FunctionDef, PluginKind, PluginManifest};
