//! The manifest of a plugin file: a custom section at the top level of the component.

use std::ops::Range;

use wasm_encoder::{CustomSection, Encode as _, Section as _};
use wasmparser::{BinaryReaderError, Parser, Payload};

/// The name of the section.
const NAME: &str = "sli-pipe:manifest";

/// True if these bytes begin as a component does.
pub fn is_component(wasm: &[u8]) -> bool {
    Parser::is_component(wasm)
}

/// The bytes of the manifest that a component carries; of several, the last.
///
/// # Errors
/// Bytes that are no component.
pub fn manifest(wasm: &[u8]) -> Result<Option<&[u8]>, BinaryReaderError> {
    Ok(manifests(wasm)?.pop().map(|carried| carried.text))
}

/// A component without its manifest.
///
/// # Errors
/// Bytes that are no component.
pub(crate) fn without_manifest(wasm: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut out = Vec::with_capacity(wasm.len());
    let mut kept = 0;
    for Carried { place, .. } in manifests(wasm)? {
        out.extend_from_slice(&wasm[kept..place.start]);
        kept = place.end;
    }
    out.extend_from_slice(&wasm[kept..]);
    Ok(out)
}

/// Appends a manifest.
pub(crate) fn with_manifest(mut component: Vec<u8>, text: &str) -> Vec<u8> {
    let section = CustomSection {
        name: NAME.into(),
        data: text.as_bytes().into(),
    };
    component.push(section.id());
    section.encode(&mut component);
    component
}

/// A section with a manifest.
struct Carried<'a> {
    /// Where it lies, with its header.
    place: Range<usize>,
    text: &'a [u8],
}

fn manifests(wasm: &[u8]) -> Result<Vec<Carried<'_>>, BinaryReaderError> {
    let mut found = Vec::new();
    // a section begins where what is before it ended
    let (mut depth, mut at) = (0usize, 0usize);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        match &payload {
            Payload::Version { range, .. } => {
                depth += 1;
                at = range.end;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => at = body.range().end,
            Payload::CustomSection(section) if depth == 1 && section.name() == NAME => {
                let place = at..section.range().end;
                let text = section.data();
                found.push(Carried { place, text });
            }
            _ => {}
        }
        if let Some((_, range)) = payload.as_section() {
            at = range.end;
        }
    }
    Ok(found)
}
