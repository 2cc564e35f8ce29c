//! Plugin files: components of the contract in `plugins/wit` that carry their manifest in a custom section.
//!
//! Nothing runs here; `sli-plugin` loads and runs what this crate makes.

mod component;
mod section;
mod text;

use std::sync::Arc;

use sli_config::plugin::{PluginManifest, parse_plugin};
use sli_config::{Diagnostic, SourceFile};

pub use component::wit;
pub use section::{is_component, manifest};
pub use text::clean;

/// The bytes of a plugin file. `wasm` is a core module that exports what the world of the manifest's kind says, or a
/// component, which is taken as it is; a manifest that it carries is replaced. `name` is what messages call it.
///
/// The same input gives the same bytes.
///
/// # Errors
/// All that is wrong with the manifest; a module whose imports and exports do not fit.
pub fn pack(name: &str, wasm: &[u8], manifest: Arc<SourceFile>) -> Result<(Vec<u8>, PluginManifest), Vec<Diagnostic>> {
    let text = manifest.text.clone();
    let read = parse_plugin(manifest)?;
    let component = if is_component(wasm) {
        section::without_manifest(wasm).map_err(|why| why.to_string())
    } else {
        component::component_of(wasm, read.kind)
    };
    let component = component.map_err(|why| {
        let kind = read.kind.as_str();
        let error = Diagnostic::error(format!("`{name}` cannot be made a plugin of kind `{kind}`: {why}"));
        vec![error.help("its exports are those of the WIT world of its kind; see docs/plugins.md")]
    })?;
    Ok((section::with_manifest(component, &text), read))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_filter(title: &str) -> Arc<SourceFile> {
        let text = format!("schema = 1\nid = \"f\"\nversion = \"0.1.0\"\ntitle = \"{title}\"\nkind = \"filter\"\n");
        SourceFile::new("plugin.toml", text)
    }

    #[test]
    fn a_module_without_the_exports_of_its_kind_is_refused_by_name() {
        let module = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
        let errors = pack("x.wasm", &module, a_filter("Nothing")).unwrap_err();
        let words = sli_config::render(&errors, false);
        assert!(
            words.contains("`x.wasm` cannot be made a plugin of kind `filter`"),
            "{words}"
        );
        assert!(words.contains("sli-pipe:plugin/"), "{words}");
    }

    #[test]
    fn packing_again_replaces_the_manifest_and_nothing_else() {
        let bare = wat::parse_str("(component (core module) (@custom \"other\" \"kept\"))").unwrap();
        let (first, _) = pack("x.wasm", &bare, a_filter("First")).unwrap();
        let (second, read) = pack("x.wasm", &first, a_filter("Second")).unwrap();
        assert_eq!(read.title, "Second");
        assert_eq!(manifest(&first).unwrap(), Some(a_filter("First").text.as_bytes()));
        assert_eq!(manifest(&second).unwrap(), Some(a_filter("Second").text.as_bytes()));
        assert!(second.starts_with(&bare));
        assert_eq!(second, pack("x.wasm", &bare, a_filter("Second")).unwrap().0);
    }
}
