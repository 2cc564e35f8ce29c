//! Core modules as components of the contract with plugins.

use sli_config::plugin::PluginKind;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, WorldId};

use crate::text::clean;

/// Longest text of an error, in bytes: it holds names of the module.
const ERROR_BYTES: usize = 2000;

/// The newest version of the contract: (name, text).
const WIT: [(&str, &str); 5] = [
    ("about.wit", include_str!("../../../plugins/wit/0.1.0/about.wit")),
    ("family.wit", include_str!("../../../plugins/wit/0.1.0/family.wit")),
    (
        "capabilities.wit",
        include_str!("../../../plugins/wit/0.1.0/capabilities.wit"),
    ),
    ("op.wit", include_str!("../../../plugins/wit/0.1.0/op.wit")),
    ("stage.wit", include_str!("../../../plugins/wit/0.1.0/stage.wit")),
];

/// The files of the contract with plugins, of the newest version: (name, text).
pub fn wit() -> &'static [(&'static str, &'static str)] {
    &WIT
}

/// A core module as a component of the world of a kind.
///
/// # Errors
/// In words: what is wrong with its imports and exports.
pub(crate) fn component_of(module: &[u8], kind: PluginKind) -> Result<Vec<u8>, String> {
    let words = |why: &dyn std::fmt::Display| clean(&why.to_string(), ERROR_BYTES);
    let mut module = module.to_vec();
    if !has_types(&module).map_err(|why| words(&why))? {
        let (resolve, world) = world(kind).map_err(|why| words(&format!("{why:#}")))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .map_err(|why| words(&format!("{why:#}")))?;
    }
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|why| words(&format!("{why:#}")))
}

/// True if the module says what its types are, as the bindings of most languages do.
fn has_types(module: &[u8]) -> Result<bool, wasmparser::BinaryReaderError> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload?
            && section.name().starts_with("component-type")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn world(kind: PluginKind) -> Result<(Resolve, WorldId), String> {
    let text = |why: &dyn std::fmt::Display| why.to_string();
    let mut files = SourceMap::default();
    for (name, content) in WIT {
        files.push_str(name, content);
    }
    let group = files.parse().map_err(|(_, why)| text(&why))?;
    let mut resolve = Resolve::default();
    let id = resolve.push_group(group).map_err(|why| text(&why))?;
    let world = resolve
        .select_world(&[id], Some(kind.as_str()))
        .map_err(|why| text(&why))?;
    Ok((resolve, world))
}
