//! The host: one WebAssembly engine with its settings, and the way from a file to a plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sli_config::{Diagnostic, SourceFile};
use wasmtime::{Cache, CacheConfig, Config, Engine, WasmBacktraceDetails};

use crate::limits::{FILE_BYTES, FRAMES, Limits, MANIFEST_BYTES, STACK_BYTES, bytes};
use crate::load::read_plugin;
use crate::plugin::Plugin;
use crate::ticker::Ticker;

/// What runs plugins. Cheap to clone.
#[derive(Clone)]
pub struct Host(pub(crate) Arc<Shared>);

/// What all plugins of a host share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) limits: Limits,
}

impl Host {
    /// A host with the default limits, which keeps machine code in `$XDG_CACHE_HOME/sli-pipe/wasm` (or in
    /// `~/.cache/sli-pipe/wasm`) where that can be written.
    ///
    /// # Errors
    /// A machine that wasmtime has no code for.
    pub fn new() -> Result<Host, Diagnostic> {
        Host::with(Limits::default(), default_cache().as_deref())
    }

    /// A host with limits and a folder for machine code of one's own.
    ///
    /// # Errors
    /// A machine that wasmtime has no code for. A folder that cannot be written is no error: nothing is kept then.
    pub fn with(limits: Limits, cache: Option<&Path>) -> Result<Host, Diagnostic> {
        let mut config = settings();
        config.cache(cache.and_then(|folder| {
            let mut settings = CacheConfig::new();
            settings.with_directory(folder);
            Cache::new(settings).ok()
        }));
        let engine = Engine::new(&config)
            .map_err(|why| Diagnostic::error(format!("plugins cannot run on this machine: {why:#}")))?;
        let ticker = Ticker::new(&engine);
        Ok(Host(Arc::new(Shared { engine, ticker, limits })))
    }

    /// The plugin of a file. `x.toml` beside `x.wasm` takes the place of the manifest that the file carries.
    ///
    /// # Errors
    /// Everything about the file that can be known without running it: what it is, its manifest, the version of the
    /// contract, what it imports and exports.
    pub fn load(&self, path: &Path) -> Result<Plugin, Vec<Diagnostic>> {
        let name = path.display().to_string();
        let failed = |what: &Path, why: std::io::Error| {
            vec![Diagnostic::error(format!("`{}` cannot be read: {why}", what.display()))]
        };
        let wasm = read_at_most(path, FILE_BYTES).map_err(|why| failed(path, why))?;
        if wasm.len() as u64 > FILE_BYTES {
            let message = format!("`{name}` is larger than {}, the limit for plugins", bytes(FILE_BYTES));
            return Err(vec![
                Diagnostic::error(message).help("build it for size, and strip its debug information"),
            ]);
        }
        let beside = path.with_extension("toml");
        let manifest = match read_at_most(&beside, MANIFEST_BYTES as u64) {
            Ok(text) => {
                let text = String::from_utf8(text)
                    .map_err(|_| vec![Diagnostic::error(format!("`{}` is no UTF-8 text", beside.display()))])?;
                Some(SourceFile::new(beside.display().to_string(), text))
            }
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => None,
            Err(why) => return Err(failed(&beside, why)),
        };
        read_plugin(&name, &wasm, manifest).map(|read| Plugin::new(self.0.clone(), path, wasm, read))
    }

    /// The plugin of the bytes of a file; `name` is what messages call it. `manifest` takes the place of the one
    /// that it carries.
    ///
    /// # Errors
    /// As [`Host::load`].
    pub fn load_bytes(
        &self,
        name: &str,
        wasm: &[u8],
        manifest: Option<Arc<SourceFile>>,
    ) -> Result<Plugin, Vec<Diagnostic>> {
        read_plugin(name, wasm, manifest).map(|read| Plugin::new(self.0.clone(), Path::new(name), wasm.to_vec(), read))
    }
}

/// At most one byte more than `limit`, so that more can be told apart.
fn read_at_most(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Everything is counted, and everything gives the same result each time.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES))
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false);
    config
}

fn default_cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(base.join("sli-pipe/wasm"))
}
