//! From a core module to a plugin file: the module becomes a component and carries its manifest.

use std::sync::Arc;

use sli_config::plugin::{PluginKind, PluginManifest, parse_plugin};
use sli_config::{Diagnostic, SourceFile};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, WorldId};

use crate::api::WIT;
use crate::load::{MANIFEST_SECTION, is_component, read_plugin, without_manifest};

/// The files of the contract with plugins, of the newest version: (name, text).
pub fn wit() -> &'static [(&'static str, &'static str)] {
    &WIT
}

/// The bytes of a plugin file. `wasm` is a core module that exports what the world of the manifest's kind says, or a
/// component, which is taken as it is; a manifest that it carries is replaced. `name` is what messages call it.
///
/// # Errors
/// All that is wrong with the manifest; a module whose imports and exports do not fit; a plugin that would not load.
pub fn pack(name: &str, wasm: &[u8], manifest: Arc<SourceFile>) -> Result<(Vec<u8>, PluginManifest), Vec<Diagnostic>> {
    let text = manifest.text.clone();
    let read = parse_plugin(manifest)?;
    let failed = |why: String| {
        let error = Diagnostic::error(format!(
            "`{name}` cannot be made a plugin of kind `{}`: {why}",
            read.kind.as_str()
        ));
        vec![error.help("its exports are those of the WIT world of its kind; see docs/plugins.md")]
    };
    let component = if is_component(wasm) {
        without_manifest(wasm).map_err(|why| failed(why.to_string()))?
    } else {
        component_of(wasm, read.kind).map_err(failed)?
    };
    let packed = with_manifest(component, &text);
    let proof = SourceFile::new(read.file.name.clone(), text);
    read_plugin(name, &packed, Some(proof))?;
    Ok((packed, read))
}

/// A core module as a component of the world of a kind.
fn component_of(module: &[u8], kind: PluginKind) -> Result<Vec<u8>, String> {
    let words = |why: &dyn std::fmt::Display| crate::text::clean(&why.to_string(), crate::limits::ERROR_BYTES);
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

/// Appends a manifest as a custom section.
fn with_manifest(mut component: Vec<u8>, text: &str) -> Vec<u8> {
    use wasm_encoder::{CustomSection, Encode as _, Section as _};
    let section = CustomSection {
        name: MANIFEST_SECTION.into(),
        data: text.as_bytes().into(),
    };
    component.push(section.id());
    section.encode(&mut component);
    component
}
