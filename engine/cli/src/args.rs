//! The command line as data.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

/// Runs datasets through language models that are larger than memory, layer by layer.
#[derive(Debug, Parser)]
#[command(name = "sli-pipe", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log to standard error what happens inside: -v steps, -vv details, -vvv everything. `SLI_PIPE_LOG` takes a
    /// finer filter, as `sli_runtime=debug`
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline
    Run(RunArgs),
    /// Say what running a pipeline would do: bytes read, sweeps, memory, files
    Plan(PipelineArgs),
    /// Run a sample of a pipeline again whenever its files change, and say what changed
    Dev(DevArgs),
    /// Check pipelines and family descriptors, and report every error of every file
    Check(CheckArgs),
    /// Show what a model folder holds: configuration, family, tensors, layers
    Inspect(InspectArgs),
    /// Compare a model's values with saved reference activations, and say the first point that differs
    Verify(VerifyArgs),
    /// List the families that are known, or show one
    Families(FamiliesArgs),
    /// List, check, write and pack plugins
    Plugins(crate::command::plugins::args::PluginsArgs),
    /// Print the JSON schema of a kind of file
    Schema(SchemaArgs),
    /// Show the summary of a finished run
    Report(ReportArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Where families and plugins come from, beside those shipped with the program and in the usual folders.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FamilyDirs {
    /// Lay the descriptors of this folder over the known families; may be given several times, the last wins
    #[arg(long = "families", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dirs: Vec<PathBuf>,
    /// Lay the plugins of this folder over those that are found; may be given several times, the last wins
    #[arg(long = "plugins", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) plugins: Vec<PathBuf>,
}

/// What `run` and `plan` take.
#[derive(Args, Debug)]
pub(crate) struct PipelineArgs {
    /// The pipeline file
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: PathBuf,
    /// Override a key of the pipeline, as `engine.memory=2GiB` or `stage.0.per_token=true`; may be given several
    /// times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    pub(crate) overrides: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) families: FamilyDirs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `run` takes.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Watch the pipeline and the families while it runs: an edit that changes what is computed begins the run anew at
    /// the end of a sweep
    #[arg(long)]
    pub(crate) watch: bool,
}

/// What `dev` takes.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Documents of a sample, from the start of the data
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rows: u64,
    /// Most tokens of a document of a sample; longer ones are cut
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tokens: u64,
    /// Only check and plan
    #[arg(long)]
    pub(crate) no_run: bool,
}

/// What `check` takes.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Pipelines, descriptors, or folders of them
    #[arg(required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) families: FamilyDirs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `inspect` takes.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// The model's folder, with `config.json` and safetensors files
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) model: String,
    /// Use this family instead of the one that `config.json` is recognised as
    #[arg(long, value_name = "ID")]
    pub(crate) family: Option<String>,
    /// List every tensor too
    #[arg(long)]
    pub(crate) tensors: bool,
    /// Print the plan instead: what every layer computes, as JSON in the form of `sli-pipe schema plan`
    #[arg(long, conflicts_with = "tensors")]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) families: FamilyDirs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `verify` takes.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The model's folder, with `config.json` and safetensors files
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) model: String,
    /// A safetensors file of values `<row id>/<point>`, each `[tokens, width]`, and the ids that went in as
    /// `<row id>/input_ids` (with `decoder_input_ids`, `token_type_ids` where the model reads them)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) reference: PathBuf,
    /// The rows that went in, as a `.jsonl` file, if the reference does not hold them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) data: Option<PathBuf>,
    /// The largest difference that still agrees, as a share of the value's largest magnitude
    #[arg(long, value_name = "SHARE", default_value_t = 2e-4, value_parser = share)]
    pub(crate) tolerance: f64,
    /// What to compute in
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = ["f32", "bf16", "f16"])]
    pub(crate) dtype: String,
    /// Memory budget
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    pub(crate) memory: String,
    /// Use this family instead of the one that `config.json` is recognised as
    #[arg(long, value_name = "ID")]
    pub(crate) family: Option<String>,
    #[command(flatten)]
    pub(crate) families: FamilyDirs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `families` takes.
#[derive(Args, Debug)]
pub(crate) struct FamiliesArgs {
    /// What to show; without it, the list.
    #[command(subcommand)]
    pub(crate) command: Option<FamiliesCommand>,
    #[command(flatten)]
    pub(crate) families: FamilyDirs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// The commands below `families`.
#[derive(Debug, Subcommand)]
pub(crate) enum FamiliesCommand {
    /// Print a family as one descriptor, parents and includes followed, each entry with the file that states it
    Show {
        /// The family's id
        id: String,
        #[command(flatten)]
        families: FamilyDirs,
    },
    /// Write a first descriptor for a model, by comparing its config and tensor names with the known families
    New(NewFamilyArgs),
    /// Explain the functions that equations may call: shapes, formulas, options with their defaults
    Functions {
        /// Only this one
        name: Option<String>,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
    },
}

/// What `families new` takes.
#[derive(Args, Debug)]
pub(crate) struct NewFamilyArgs {
    /// The model's folder, with `config.json` and safetensors files
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::DirPath)]
    pub(crate) from: String,
    /// Id of the new family; default: the `model_type` of config.json
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Start from this family instead of the nearest one
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// The folder that the file is written into
    #[arg(long, value_name = "DIR", default_value = "families", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) families: FamilyDirs,
}

/// What `schema` takes.
#[derive(Args, Debug)]
pub(crate) struct SchemaArgs {
    /// The kind of file
    #[arg(value_enum, default_value_t = SchemaKind::Pipeline)]
    pub(crate) kind: SchemaKind,
}

/// Kinds of files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// Pipelines
    Pipeline,
    /// Family descriptors, `families/<id>.toml`
    Family,
    /// Shared parts of descriptors, `families/std/<name>.toml`
    FamilyStd,
    /// Manifests of plugins, `plugin.toml`
    Plugin,
    /// What is granted to plugins, `plugins.toml` of the settings
    Grants,
    /// Plans as JSON, which plugins of kind `family` give
    Plan,
}

/// What `report` takes.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// The run directory: `[output] dir` of the pipeline
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) run: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `completions` takes.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

impl Command {
    /// Whether the result is to be JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Command::Run(args) => args.pipeline.json,
            Command::Plan(args) => args.json,
            Command::Check(args) => args.json,
            Command::Inspect(args) => args.json,
            Command::Verify(args) => args.json,
            Command::Families(args) => args.json,
            Command::Plugins(args) => args.command.json(),
            Command::Report(args) => args.json,
            // What `dev` says as JSON is one object a line, errors too.
            Command::Dev(_) | Command::Schema(_) | Command::Completions(_) => false,
        }
    }
}

/// A share, from 0.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("write a number between 0 and 1, as `2e-4`".to_owned()),
    }
}

/// `key=value` in two parts; the value may hold more `=`.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write `section.key=value`, as `engine.memory=2GiB`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn overrides_are_split_at_the_first_equals_sign() {
        let cli =
            Cli::try_parse_from(["sli-pipe", "run", "p.toml", "--set", "a.b=c=d", "--set", "data.limit=3"]).unwrap();
        let Command::Run(args) = cli.command else {
            panic!("{cli:?}")
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert!(!args.watch);
        assert_eq!(args.pipeline.overrides, [pair("a.b", "c=d"), pair("data.limit", "3")]);
    }

    #[test]
    fn an_override_without_a_key_or_a_value_is_a_usage_error() {
        for bad in ["engine.memory", "=3", " =3"] {
            let error = Cli::try_parse_from(["sli-pipe", "run", "p.toml", "--set", bad]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("write `section.key=value`"), "{error}");
        }
    }

    #[test]
    fn options_may_stand_after_the_subcommand() {
        let cli = Cli::try_parse_from(["sli-pipe", "families", "show", "llama", "--families", "mine", "-vv"]).unwrap();
        assert_eq!(cli.verbose, 2);
        let Command::Families(FamiliesArgs {
            command: Some(FamiliesCommand::Show { id, families }),
            ..
        }) = cli.command
        else {
            panic!("not `families show`")
        };
        assert_eq!((id.as_str(), families.dirs), ("llama", vec![PathBuf::from("mine")]));
    }

    #[test]
    fn what_is_not_there_yet_is_not_offered() {
        assert!(Cli::try_parse_from(["sli-pipe", "serve", "p.toml"]).is_err());
        assert!(Cli::try_parse_from(["sli-pipe", "dev", "p.toml", "--rows", "0"]).is_err());
        assert_eq!(Cli::try_parse_from(["sli-pipe"]).unwrap_err().exit_code(), 2);
        assert_eq!(Cli::try_parse_from(["sli-pipe", "--help"]).unwrap_err().exit_code(), 0);
    }
}
