//! JSON schemas of the user's files, for editors: completion, descriptions and checks while typing.
//!
//! They are derived from the checked types of [`pipeline`](crate::pipeline), [`family`](crate::family) and
//! [`plugin`](crate::plugin), so a key has one description. What no schema can say (two stages of one name, an id that
//! is not the file's name) is left to the parser; what a schema refuses, the parser refuses too.

mod families;
mod generate;
mod pipelines;
mod plugins;
mod values;

use serde_json::{Value, json};

use crate::family::FamilyFile;
use crate::pipeline::Pipeline;
use crate::plugin::PluginManifest;

pub(crate) use families::{
    block_names, defaults, equations, inputs_of_family, joined, layers, matches, needs_match, part, rename, tied,
    values,
};
pub(crate) use pipelines::{FILE_NAME, data_format, device, grants, stages};
pub(crate) use plugins::{functions, inputs, options, outputs, plugin_kinds};
pub(crate) use values::{auto_or_integer, auto_or_size, sizes};

/// The schema of pipeline files, `schemas/pipeline.schema.json`.
pub fn pipeline() -> Value {
    generate::root::<Pipeline>("sli-pipe pipeline")
}

/// The schema of family files, `schemas/family.schema.json`.
pub fn family() -> Value {
    generate::root::<FamilyFile>("sli-pipe family")
}

/// The schema of std files, `schemas/family-std.schema.json`: the tables of a family that can be included.
pub fn family_std() -> Value {
    families::shared_part(generate::root::<FamilyFile>("sli-pipe family, shared part"))
}

/// The schema of plugins' manifests, `schemas/plugin.schema.json`.
pub fn plugin() -> Value {
    let mut schema = generate::root::<PluginManifest>("sli-pipe plugin");
    plugins::add_version(&mut schema);
    schema
}

/// The schema of the user's grants to plugins, `schemas/grants.schema.json`.
pub fn grants_file() -> Value {
    generate::root::<pipelines::Grants>("sli-pipe grants to plugins")
}

/// The schema of plans as JSON, `schemas/plan.schema.json`: what a family gives, whether a file or a plugin.
pub fn plan() -> Value {
    let mut schema = generate::root_json::<sli_model::ModelPlan>("sli-pipe plan");
    generate::all_described(&mut schema);
    schema
}

/// Every schema with the name of its file in `schemas/`.
pub fn files() -> [(&'static str, Value); 6] {
    [
        ("family-std.schema.json", family_std()),
        ("family.schema.json", family()),
        ("grants.schema.json", grants_file()),
        ("pipeline.schema.json", pipeline()),
        ("plan.schema.json", plan()),
        ("plugin.schema.json", plugin()),
    ]
}

/// The text of a schema file: indented, with a newline at the end.
pub fn to_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

/// A word with what it means, as one choice of several.
fn word(word: &str, description: &str) -> Value {
    json!({ "const": word, "description": description })
}
