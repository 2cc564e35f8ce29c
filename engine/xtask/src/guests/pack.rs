//! A core module as a plugin file: a component of its kind's world that carries its manifest.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::Guest;

/// Name of the custom section with the manifest.
const MANIFEST_SECTION: &str = "sli-pipe:manifest";

/// The plugin file of a core module; `wit` is the folder of the contract.
///
/// # Errors
/// In words: the module has not the exports of its kind, or imports what plugins do not get.
pub(crate) fn pack(module: &[u8], guest: &Guest, wit: &Path) -> Result<Vec<u8>, String> {
    let mut module = module.to_vec();
    // Bindings generators say which types a module means; plain C does not.
    if !holds(&module, b"component-type") {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(wit).map_err(|error| format!("{error:#}"))?;
        let world = resolve
            .select_world(&[package], Some(&guest.kind))
            .map_err(|error| format!("{error:#}"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .map_err(|error| format!("{error:#}"))?;
    }
    let mut component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))?;
    append_section(&mut component, MANIFEST_SECTION, guest.manifest.as_bytes());
    Ok(component)
}

fn holds(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Appends a custom section: id 0, size, length of the name, name, content.
fn append_section(wasm: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = leb128(name.len());
    body.extend(name.as_bytes());
    body.extend(content);
    wasm.push(0);
    wasm.extend(leb128(body.len()));
    wasm.extend(body);
}

/// An unsigned number, seven bits a byte, low ones first.
fn leb128(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (n & 0x7f) as u8;
        n >>= 7;
        bytes.push(if n == 0 { low } else { low | 0x80 });
        if n == 0 {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_seven_bits_a_byte() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [0x7f]);
        assert_eq!(leb128(128), [0x80, 1]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn a_section_states_its_sizes() {
        let mut wasm = Vec::new();
        append_section(&mut wasm, "ab", b"xyz");
        assert_eq!(wasm, [0, 6, 2, b'a', b'b', b'x', b'y', b'z']);
    }
}
