//! Plugin files from core modules, proven by the loader.

use std::sync::Arc;

use sli_config::plugin::PluginManifest;
use sli_config::{Diagnostic, SourceFile};

use crate::load::read_plugin;

pub use sli_pack::wit;

/// As [`sli_pack::pack`], for a file that this program can load.
///
/// # Errors
/// As [`sli_pack::pack`]; a plugin that would not load.
pub fn pack(name: &str, wasm: &[u8], manifest: Arc<SourceFile>) -> Result<(Vec<u8>, PluginManifest), Vec<Diagnostic>> {
    let (packed, read) = sli_pack::pack(name, wasm, manifest)?;
    let beside = SourceFile::new(read.file.name.clone(), read.file.text.clone());
    read_plugin(name, &packed, Some(beside))?;
    Ok((packed, read))
}
