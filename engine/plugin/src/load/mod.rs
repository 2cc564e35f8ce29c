//! What can be known of a plugin without running it: is it a component, its manifest, its version of the contract, what
//! it imports and exports.

mod bytes;
mod names;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sli_config::plugin::{PluginManifest, parse_plugin};
use sli_config::{Diagnostic, SourceFile};

use crate::api::Version;

/// A plugin that was read and checked.
pub(crate) struct Read {
    pub(crate) manifest: PluginManifest,
    pub(crate) version: Version,
    pub(crate) digest: String,
}

/// Reads a plugin; `beside` takes the place of the manifest in it.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn read_plugin(name: &str, wasm: &[u8], beside: Option<Arc<SourceFile>>) -> Result<Read, Vec<Diagnostic>> {
    let found = bytes::inspect(name, wasm).map_err(|error| vec![error])?;
    let own = bytes::manifest_text(name, wasm).map_err(|error| vec![error])?;
    let Some(file) = beside.or_else(|| own.map(|text| SourceFile::new(name, text))) else {
        return Err(vec![Diagnostic::error(format!("`{name}` has no manifest")).help(
            "`sli-pipe plugins pack` puts one into it; or write one to the file of the same name that ends in `.toml`",
        )]);
    };
    let text = file.text.clone();
    let manifest = parse_plugin(file)?;
    let version = names::check(name, &found, &manifest)?;
    let mut hash = Sha256::new();
    hash.update((wasm.len() as u64).to_le_bytes());
    hash.update(wasm);
    hash.update(text);
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Read {
        manifest,
        version,
        digest,
    })
}
