//! Plugins: where they come from, what they are granted, and what they become.
//!
//! They are found like families: `plugins/` in the current directory, in the user's configuration folder, then each
//! `--plugins DIR`; later wins, by id. A file that cannot be used breaks only what needs it.

mod adapt;
mod grants;
mod messages;
mod stages;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use sli_config::family::FamilyHeader;
use sli_config::plugin::{GrantSection, PluginKind};
use sli_config::{Diagnostic, Pipeline, SourceFile};
use sli_family::{CodeFamily, ForeignFunction, Registry};
use sli_plugin::{Host, Plugin};
use sli_runtime::plugins::StagePlugins;

use crate::args::FamilyDirs;
use crate::failure::{Failure, Outcome};
pub(crate) use grants::Granted;
pub(crate) use messages::{Tapped, messages};

/// Families and plugins that a run may be made of.
pub(crate) struct Sources {
    /// The families, with the functions of plugins.
    pub(crate) registry: Registry,
    /// All plugins.
    pub(crate) plugins: Plugins,
    /// Those that are families or functions, with what they are granted.
    pub(crate) used: Vec<Plugin>,
    granted: Granted,
}

impl Sources {
    /// All that the command line can see, with what the user grants, and the pipeline (with its folder) if there is one.
    ///
    /// # Errors
    /// Folders that are not there or cannot be read, settings that are broken, functions of one name.
    pub(crate) fn find(dirs: &FamilyDirs, pipeline: Option<(&Pipeline, &Path)>) -> Outcome<Sources> {
        let granted = match pipeline {
            Some((pipeline, base)) => Granted::by_pipeline(pipeline, base)?,
            None => Granted::by_user()?,
        };
        let mut registry = crate::families::descriptors(dirs)?;
        let plugins = Plugins::find(dirs)?;
        let used = plugins.register(&mut registry, &granted)?;
        let strangers = plugins.strangers(pipeline);
        if !strangers.is_empty() {
            return Err(strangers.into());
        }
        Ok(Sources {
            registry,
            plugins,
            used,
            granted,
        })
    }

    /// The code of every stage of a pipeline that is a plugin, by the name of the stage; and the plugins as granted.
    ///
    /// # Errors
    /// Plugins that are not there, cannot be used, are no stages, or whose options do not fit: all of them.
    pub(crate) fn stages(&self, pipeline: &Pipeline) -> Result<(StagePlugins, Vec<Plugin>), Vec<Diagnostic>> {
        self.plugins.stages(pipeline, &self.granted)
    }
}

/// A file that should be a plugin.
pub(crate) struct Found {
    /// The file.
    pub(crate) path: PathBuf,
    /// The plugin, or what is wrong with the file.
    pub(crate) plugin: Result<Plugin, Vec<Diagnostic>>,
}

/// All plugins that the command line can see, by id.
#[derive(Default)]
pub(crate) struct Plugins(IndexMap<String, Found>);

impl Plugins {
    /// Looks through the folders. Files are read and checked; nothing in them runs.
    ///
    /// # Errors
    /// A folder of `--plugins` that is not there, or a folder that cannot be read.
    pub(crate) fn find(dirs: &FamilyDirs) -> Outcome<Plugins> {
        let mut plugins = Plugins::default();
        for dir in folders(dirs)? {
            for path in wasm_files(&dir)? {
                plugins.add(host()?, path);
            }
        }
        Ok(plugins)
    }

    /// Lays the plugin of a file over what is there.
    fn add(&mut self, host: &Host, path: PathBuf) {
        let plugin = host.load(&path);
        let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let plugin = plugin.and_then(|plugin| match plugin.id() == id {
            true => Ok(plugin),
            false => Err(vec![misnamed(&plugin, &id)]),
        });
        self.0.insert(id, Found { path, plugin });
    }

    /// All of them, by id.
    pub(crate) fn into_iter(mut self) -> impl Iterator<Item = (String, Found)> {
        self.0.sort_keys();
        self.0.into_iter()
    }

    /// An error for each grant of a pipeline that no plugin gets.
    fn strangers(&self, pipeline: Option<(&Pipeline, &Path)>) -> Vec<Diagnostic> {
        let sections = pipeline.into_iter().flat_map(|(pipeline, _)| pipeline.plugins.values());
        let strangers = sections.filter(|section| !self.0.contains_key(&section.id.value));
        let error = |section: &GrantSection| {
            let near = sli_config::suggest(&section.id, self.0.keys().map(String::as_str));
            Diagnostic::error(format!(
                "`{}` is granted something, and there is no such plugin",
                section.id.value
            ))
            .primary(section.id.label(""))
            .help_opt(near.map(|near| format!("did you mean `{near}`?")))
            .help("`sli-pipe plugins list` lists those that are found")
        };
        strangers.map(error).collect()
    }

    /// The plugin called `id`.
    ///
    /// # Errors
    /// There is none, or its file cannot be used.
    pub(crate) fn get(&self, id: &str) -> Result<&Plugin, Vec<Diagnostic>> {
        match self.0.get(id) {
            Some(found) => found.plugin.as_ref().map_err(Clone::clone),
            None => {
                let near = sli_config::suggest(id, self.0.keys().map(String::as_str));
                let near = near.map(|near| format!("did you mean `{near}`?"));
                let error = Diagnostic::error(format!("there is no plugin `{id}`")).help_opt(near);
                let help = format!("put `{id}.wasm` into `plugins/`, or name its folder with `--plugins`");
                Err(vec![
                    error
                        .help(help)
                        .help("`sli-pipe plugins list` lists those that are found"),
                ])
            }
        }
    }

    /// What is wrong with the file of the plugin `id`, if there is such a file and it is broken.
    pub(crate) fn problems(&self, id: &str) -> Option<&[Diagnostic]> {
        self.0.get(id)?.plugin.as_ref().err().map(Vec::as_slice)
    }

    /// Adds families and functions to what is known, with what they are granted; returns the plugins as granted.
    ///
    /// # Errors
    /// Two functions of one name.
    pub(crate) fn register(&self, registry: &mut Registry, granted: &Granted) -> Result<Vec<Plugin>, Vec<Diagnostic>> {
        let (mut used, mut errors) = (Vec::new(), Vec::new());
        for (id, found) in &self.0 {
            let plugin = match &found.plugin {
                Ok(plugin) => plugin.granted(granted.of(id)),
                Err(why) => {
                    // It may be the family that nobody else describes; then its errors are what to say.
                    if registry.file(id).is_none() {
                        let file = SourceFile::new(found.path.display().to_string(), "");
                        registry.add_broken(id, file, why.clone());
                    }
                    continue;
                }
            };
            match plugin.manifest().kind {
                PluginKind::Family => registry.add_code(family(&plugin)),
                PluginKind::Op => {
                    let added = functions(&plugin).map(|function| registry.add_function(function));
                    errors.extend(added.filter_map(Result::err).map(|error| *error));
                }
                _ => continue,
            }
            used.push(plugin);
        }
        if errors.is_empty() { Ok(used) } else { Err(errors) }
    }
}

fn misnamed(plugin: &Plugin, stem: &str) -> Diagnostic {
    let id = &plugin.manifest().id;
    let message = format!(
        "the plugin's id is `{}`, but its file is called `{stem}.wasm`",
        id.value
    );
    let help = format!("rename the file to `{}.wasm`", id.value);
    Diagnostic::error(message)
        .primary(id.label("must be the file's name"))
        .help(help)
}

fn family(plugin: &Plugin) -> CodeFamily {
    let manifest = plugin.manifest();
    CodeFamily {
        header: FamilyHeader {
            file: Arc::clone(&manifest.file),
            id: manifest.id.clone().spanned(),
            is_abstract: false,
            matches: manifest.matches.clone(),
        },
        family: Arc::new(plugin.family()),
    }
}

fn functions(plugin: &Plugin) -> impl Iterator<Item = ForeignFunction> {
    plugin.manifest().functions.iter().filter_map(|(name, def)| {
        let input = |input: &String| match input.strip_suffix('?') {
            Some(name) => (name.to_owned(), true),
            None => (input.clone(), false),
        };
        Some(ForeignFunction {
            plugin: plugin.id().to_owned(),
            name: name.clone(),
            digest: plugin.digest().to_owned(),
            inputs: def.inputs.iter().map(input).collect(),
            outputs: def.outputs.clone(),
            code: plugin.function(name)?,
        })
    })
}

/// The folders that plugins come from, in the order in which they lie over each other.
fn folders(dirs: &FamilyDirs) -> Outcome<Vec<PathBuf>> {
    let usual = crate::families::usual_folders("plugins");
    let mut folders: Vec<PathBuf> = usual.filter(|dir| dir.is_dir()).collect();
    for dir in &dirs.plugins {
        crate::families::require_folder(dir, "--plugins", "<id>.wasm")?;
        folders.push(dir.clone());
    }
    Ok(folders)
}

/// The host of all plugins of this process.
pub(crate) fn host() -> Outcome<&'static Host> {
    static HOST: OnceLock<Result<Host, Diagnostic>> = OnceLock::new();
    let host = HOST.get_or_init(Host::new);
    host.as_ref().map_err(|error| Failure::input(error.clone()))
}

/// The `.wasm` files of a folder, by name.
pub(crate) fn wasm_files(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let entries = entries.map_err(|error| {
        let message = format!("the plugins in `{}` cannot be read: {error}", dir.display());
        Failure::input(Diagnostic::error(message))
    })?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    Ok(files)
}
