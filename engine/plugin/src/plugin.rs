//! A plugin: its manifest, its code, and what it is made into.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_config::plugin::{PluginKind, PluginManifest};
use sli_model::TensorFunction;
use wasmtime::component::Component;

use crate::api::{self, Guest, Version};
use crate::call::Call;
use crate::data::{Grants, Message};
use crate::family::PluginFamily;
use crate::function::PluginFunction;
use crate::host::Shared;
use crate::limits::Budget;
use crate::load::Read;
use crate::stage::{Filter, Formatter, Reducer, Stage};
use crate::state::Messages;

/// A plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    core: Arc<Core>,
    grants: Arc<Grants>,
    pub(crate) messages: Messages,
}

/// What all clones of a plugin share.
struct Core {
    host: Arc<Shared>,
    path: PathBuf,
    wasm: Vec<u8>,
    manifest: PluginManifest,
    version: Version,
    digest: String,
    code: OnceLock<Result<Box<dyn Guest>, Diagnostic>>,
}

impl Plugin {
    pub(crate) fn new(host: Arc<Shared>, path: &Path, wasm: Vec<u8>, read: Read) -> Plugin {
        let core = Core {
            host,
            path: path.to_owned(),
            wasm,
            manifest: read.manifest,
            version: read.version,
            digest: read.digest,
            code: OnceLock::new(),
        };
        Plugin {
            core: Arc::new(core),
            grants: Arc::default(),
            messages: Messages::default(),
        }
    }

    /// This plugin with what the user grants it; the code is shared. Stages are given their grants when they are made.
    #[must_use]
    pub fn granted(&self, grants: Grants) -> Plugin {
        Plugin {
            core: Arc::clone(&self.core),
            grants: Arc::new(grants),
            messages: Messages::default(),
        }
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &PluginManifest {
        &self.core.manifest
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.core.manifest.id.value
    }

    /// Hex sha256 of the code and the manifest.
    pub fn digest(&self) -> &str {
        &self.core.digest
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.core.path
    }

    /// Version of the contract that it was made for, as `0.1.0`.
    pub fn api_version(&self) -> String {
        self.core.version.to_string()
    }

    /// What it wrote to its log since this was last asked, by its family and its functions.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.take()
    }

    /// Makes its machine code now, or takes it from the cache.
    ///
    /// # Errors
    /// Code that cannot be translated, or exports whose types are not those of the contract.
    pub fn prepare(&self) -> Result<(), Diagnostic> {
        self.code().map(|_| ())
    }

    /// Starts it and asks what it is, which must agree with its manifest.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check(&self) -> Result<(), Vec<Diagnostic>> {
        let about = self
            .call("describe", self.core.host.limits.light)
            .run(0, crate::limits::RESULT_SLACK, |guest, store| guest.describe(store))
            .map_err(|error| vec![error])?;
        let manifest = self.manifest();
        let said = [
            ("id", &about.id, &manifest.id.value),
            ("version", &about.version, &manifest.version),
        ];
        let wrong = said.iter().filter(|(_, code, manifest)| code != manifest);
        let errors: Vec<Diagnostic> = wrong
            .map(|(what, code, stated)| {
                let code = sli_pack::clean(code, 100);
                let file = self.path().display();
                Diagnostic::error(format!(
                    "`{file}` says that its {what} is `{code}`, and its manifest `{stated}`"
                ))
                .primary(manifest.id.label("this manifest"))
                .help("make them agree, and build and pack the plugin again")
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// It as a family; its plans are those of the plugin.
    pub fn family(&self) -> PluginFamily {
        PluginFamily::new(self.clone())
    }

    /// One of its functions of tensors; `None` if the manifest has none of that name.
    pub fn function(&self, name: &str) -> Option<Arc<dyn TensorFunction>> {
        let def = self.manifest().functions.get(name)?;
        Some(Arc::new(PluginFunction::new(self.clone(), name, def)))
    }

    /// It as a filter of documents.
    ///
    /// # Errors
    /// A plugin of another kind, options that do not fit its schema, a folder that cannot be opened.
    pub fn filter(&self, options: &Json, grants: &Grants) -> Result<Filter, Diagnostic> {
        Stage::new(self, PluginKind::Filter, options, grants).map(Filter)
    }

    /// It as a reducer of values.
    ///
    /// # Errors
    /// As [`Plugin::filter`].
    pub fn reducer(&self, options: &Json, grants: &Grants) -> Result<Reducer, Diagnostic> {
        Stage::new(self, PluginKind::Reducer, options, grants).map(Reducer)
    }

    /// It as a formatter of rows.
    ///
    /// # Errors
    /// As [`Plugin::filter`].
    pub fn formatter(&self, options: &Json, grants: &Grants) -> Result<Formatter, Diagnostic> {
        Stage::new(self, PluginKind::Formatter, options, grants).map(Formatter)
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(crate) fn host(&self) -> &Shared {
        &self.core.host
    }

    /// A call of one of its own functions, with the budget of its kind.
    pub(crate) fn own_call<'a>(&'a self, function: &'a str) -> Call<'a> {
        self.call(function, self.core.host.limits.of(self.manifest().kind))
    }

    fn call<'a>(&'a self, function: &'a str, budget: Budget) -> Call<'a> {
        Call {
            plugin: self,
            function,
            budget,
            folder: None,
        }
    }

    pub(crate) fn code(&self) -> Result<&dyn Guest, Diagnostic> {
        let code = self.core.code.get_or_init(|| self.translate());
        code.as_deref().map_err(Clone::clone)
    }

    fn translate(&self) -> Result<Box<dyn Guest>, Diagnostic> {
        let engine = &self.core.host.engine;
        let failed = |why: wasmtime::Error| {
            let file = self.path().display();
            let why = sli_pack::clean(&format!("{why:#}"), crate::limits::ERROR_BYTES);
            Diagnostic::error(format!("the plugin `{}` cannot be used: {why}", self.id()))
                .note(format!("file `{file}`, plugin API {}", self.core.version))
                .help("build it with the SDK, or against the WIT files of this version")
        };
        let component = Component::from_binary(engine, &self.core.wasm).map_err(failed)?;
        api::link(engine, &component, self.core.version, self.manifest().kind).map_err(failed)
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("id", &self.id())
            .field("path", &self.core.path)
            .field("digest", &self.core.digest)
            .finish_non_exhaustive()
    }
}
