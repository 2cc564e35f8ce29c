//! The command line of `sli-pipe plugins`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

/// What `plugins` takes.
#[derive(Args, Debug)]
pub(crate) struct PluginsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: PluginsCommand,
}

/// The commands below `plugins`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// List the plugins that are found, with what they ask for
    List(ListArgs),
    /// Check plugins: manifest, version, imports, exports; start them, and let families make a plan twice
    Check(CheckPluginsArgs),
    /// Write the sources of a new plugin
    New(NewPluginArgs),
    /// Make a plugin of a core module and a manifest
    Pack(PackArgs),
}

/// What `plugins list` takes.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Look for plugins in this folder too; may be given several times, the last wins
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) plugins: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `plugins check` takes.
#[derive(Args, Debug)]
pub(crate) struct CheckPluginsArgs {
    /// Plugins, or folders of them
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// A config.json, of which families make a plan
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `plugins new` takes.
#[derive(Args, Debug)]
pub(crate) struct NewPluginArgs {
    /// Id of the plugin: small letters, digits, `-` and `_`
    pub(crate) id: String,
    /// What it is
    #[arg(long, value_enum)]
    pub(crate) kind: NewKind,
    /// The language it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub(crate) lang: Language,
    /// One line for lists; default: the id
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// The folder that the plugin's own folder is made in
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
}

/// Kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewKind {
    /// Plans of models
    Family,
    /// Functions of tensors
    Op,
    /// Documents in, documents out
    Filter,
    /// Values of the model in, a table out
    Reducer,
    /// Rows in, bytes out
    Formatter,
}

/// Languages that there are templates in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, with the SDK
    Rust,
    /// C, with clang
    C,
}

/// What `plugins pack` takes.
#[derive(Args, Debug)]
pub(crate) struct PackArgs {
    /// A core module for `wasm32-unknown-unknown`, or a component
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) module: PathBuf,
    /// The plugin's manifest
    #[arg(long, value_name = "FILE", default_value = "plugin.toml", value_hint = ValueHint::FilePath)]
    pub(crate) manifest: PathBuf,
    /// Where the plugin is written; default: `plugins/<id>.wasm`
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

impl PluginsCommand {
    /// Whether the result is to be JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            PluginsCommand::List(args) => args.json,
            PluginsCommand::Check(args) => args.json,
            PluginsCommand::New(_) | PluginsCommand::Pack(_) => false,
        }
    }
}
