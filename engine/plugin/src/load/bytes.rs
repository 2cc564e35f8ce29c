//! The bytes of a plugin file: its encoding, the names it imports and exports, its manifest.

use sli_config::Diagnostic;
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::limits::{CODE_BYTES, FILE_BYTES, FUNCTION_BYTES, MANIFEST_BYTES, bytes};

/// What a component says of itself.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// What guests of Rust and C are made of; the same as the engine is set to.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::WASM2 | WasmFeatures::RELAXED_SIMD | WasmFeatures::EXTENDED_CONST;
    features |= WasmFeatures::COMPONENT_MODEL;
    features
}

/// Validates a component and finds its names.
pub(super) fn inspect(name: &str, wasm: &[u8]) -> Result<Found, Diagnostic> {
    if wasm.len() as u64 > FILE_BYTES {
        let message = format!("`{name}` is larger than {}, the limit for plugins", bytes(FILE_BYTES));
        return Err(Diagnostic::error(message).help("build it for size, and strip its debug information"));
    }
    if Parser::is_core_wasm(wasm) {
        return Err(Diagnostic::error(format!("`{name}` is a core module, not a component"))
            .help("`sli-pipe plugins pack` makes a plugin of it"));
    }
    if !sli_pack::is_component(wasm) {
        return Err(Diagnostic::error(format!("`{name}` is no WebAssembly component"))
            .help("a plugin is made with `sli-pipe plugins pack`"));
    }
    let broken = |why| broken(name, &why);
    names(wasm, &mut |length, all| too_long(name, length, all))
        .map_err(|fault| match fault {
            Fault::Broken(why) => broken(why),
            Fault::Refused(error) => *error,
        })
        .and_then(|found| {
            Validator::new_with_features(features())
                .validate_all(wasm)
                .map_err(broken)?;
            Ok(found)
        })
}

fn broken(name: &str, why: &wasmparser::BinaryReaderError) -> Diagnostic {
    let (message, offset) = (why.message(), why.offset());
    Diagnostic::error(format!("`{name}` is broken: {message} (at byte {offset})"))
        .help("build it again; a file that was cut off or changed does not validate")
}

enum Fault {
    Broken(wasmparser::BinaryReaderError),
    Refused(Box<Diagnostic>),
}

impl From<wasmparser::BinaryReaderError> for Fault {
    fn from(why: wasmparser::BinaryReaderError) -> Fault {
        Fault::Broken(why)
    }
}

/// What is wrong with a function of `length` bytes, `all` with those before it.
fn too_long(name: &str, length: usize, all: usize) -> Option<Box<Diagnostic>> {
    let (what, size, limit) = match () {
        () if length > FUNCTION_BYTES => ("a function", length, FUNCTION_BYTES),
        () if all > CODE_BYTES => ("functions", all, CODE_BYTES),
        () => return None,
    };
    let (size, limit) = (bytes(size as u64), bytes(limit as u64));
    let error = Diagnostic::error(format!("`{name}` has {what} of {size}; the limit is {limit}"));
    Some(Box::new(error.help("build it for size, with less inlining")))
}

/// Walks the whole file; only the top level has names.
fn names(wasm: &[u8], function: &mut dyn FnMut(usize, usize) -> Option<Box<Diagnostic>>) -> Result<Found, Fault> {
    let mut found = Found::default();
    let (mut depth, mut code) = (0usize, 0usize);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::Version { encoding, .. } => {
                // the first header is the file's own
                depth += 1;
                if depth == 1 && encoding != Encoding::Component {
                    return Err(Fault::Refused(Box::new(Diagnostic::error("a plugin is a component"))));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => {
                code += body.range().len();
                if let Some(error) = function(body.range().len(), code) {
                    return Err(Fault::Refused(error));
                }
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    found.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    found.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The text of the manifest that a component carries, if it has one.
pub(super) fn manifest_text<'a>(name: &str, wasm: &'a [u8]) -> Result<Option<&'a str>, Diagnostic> {
    let Some(data) = sli_pack::manifest(wasm).map_err(|why| broken(name, &why))? else {
        return Ok(None);
    };
    if data.len() > MANIFEST_BYTES {
        let limit = bytes(MANIFEST_BYTES as u64);
        return Err(Diagnostic::error(format!(
            "the manifest of `{name}` is larger than {limit}"
        )));
    }
    let text = std::str::from_utf8(data)
        .map_err(|why| Diagnostic::error(format!("the manifest of `{name}` is no UTF-8 text: {why}")))?;
    Ok(Some(text))
}
