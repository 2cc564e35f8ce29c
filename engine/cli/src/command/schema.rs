//! `sli-pipe schema [KIND]`.

use sli_config::schema::{family, family_std, grants_file, pipeline, plan, plugin, to_text};

use crate::args::{SchemaArgs, SchemaKind};
use crate::failure::Outcome;
use crate::output::print;

/// Prints the schema, byte for byte as in `schemas/`.
pub(crate) fn schema(args: &SchemaArgs) -> Outcome {
    let schema = match args.kind {
        SchemaKind::Pipeline => pipeline(),
        SchemaKind::Family => family(),
        SchemaKind::FamilyStd => family_std(),
        SchemaKind::Plugin => plugin(),
        SchemaKind::Grants => grants_file(),
        SchemaKind::Plan => plan(),
    };
    print(&to_text(&schema))
}
