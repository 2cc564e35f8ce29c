//! The families at hand: those shipped with the program, overlaid by the user's, found by id or detected.

use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use indexmap::IndexMap;
use serde_json::Value as Json;
use sli_config::family::{FamilyFile, FamilyHeader, MatchTable};
use sli_config::{Diagnostic, SourceFile, parse_family, parse_header, parse_std, suggest};
use sli_model::ModelPlan;

use crate::compile::match_condition;
use crate::descriptor::{Descriptor, Family};
use crate::expr::parse;
use crate::flat::Flat;
use crate::foreign::{ForeignFunction, ForeignFunctions};

pub(crate) static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../families");

/// How many files a chain of `extends` and `include` may have.
const MAX_CHAIN: usize = 32;

/// A family that is code: what detection reads of it, and what makes its plans.
#[derive(Clone)]
pub struct CodeFamily {
    /// Its id and `[match]`, with the file that states them.
    pub header: FamilyHeader,
    /// The code.
    pub family: Arc<dyn Family>,
}

/// What an id stands for.
#[derive(Clone)]
enum Entry {
    /// A descriptor, or a part that descriptors include.
    File(Arc<SourceFile>),
    /// A plugin.
    Code(CodeFamily),
    /// A plugin that cannot be used, and why.
    Broken(Arc<SourceFile>, Vec<Diagnostic>),
}

impl Entry {
    fn file(&self) -> &Arc<SourceFile> {
        match self {
            Entry::File(file) | Entry::Broken(file, _) => file,
            Entry::Code(code) => &code.header.file,
        }
    }
}

/// Families by id (`llama`), shared parts (`std/moe`) and the functions of plugins; later layers win.
#[derive(Clone, Default)]
pub struct Registry {
    entries: IndexMap<String, Entry>,
    foreign: ForeignFunctions,
}

impl Registry {
    /// The families compiled into the program.
    pub fn shipped() -> Registry {
        let mut registry = Registry::default();
        let std_files = SHIPPED.get_dir("std").into_iter().flat_map(|d| d.files());
        for file in SHIPPED.files().chain(std_files) {
            let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) else {
                continue;
            };
            registry.add(path, SourceFile::new(format!("families/{path}"), text));
        }
        registry.entries.sort_keys();
        registry
    }

    /// Lays a file over what is there. `path` is relative to the folder of families: `llama.toml`, `std/moe.toml`.
    pub fn add(&mut self, path: &str, file: Arc<SourceFile>) {
        if let Some(id) = path.strip_suffix(".toml") {
            self.entries.insert(id.to_owned(), Entry::File(file));
        }
    }

    /// Lays the `.toml` files of a folder and of its `std` over what is there.
    ///
    /// # Errors
    /// A folder or file that cannot be read.
    pub fn add_dir(&mut self, dir: &Path) -> std::io::Result<()> {
        for (folder, prefix) in [(dir.to_owned(), ""), (dir.join("std"), "std/")] {
            if !prefix.is_empty() && !folder.is_dir() {
                continue;
            }
            let mut paths: Vec<_> = std::fs::read_dir(&folder)?
                .collect::<Result<Vec<_>, _>>()?
                .iter()
                .map(|e| e.path())
                .collect();
            paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
            paths.sort();
            for path in paths {
                let named = |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
                let text = std::fs::read_to_string(&path).map_err(named)?;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.add(
                    &format!("{prefix}{name}"),
                    SourceFile::new(path.display().to_string(), text),
                );
            }
        }
        Ok(())
    }

    /// Lays a family that is code over what is there.
    pub fn add_code(&mut self, code: CodeFamily) {
        self.entries.insert(code.header.id.value.clone(), Entry::Code(code));
    }

    /// Notes that the family `id` is in `file`, which cannot be used. It breaks only itself.
    pub fn add_broken(&mut self, id: &str, file: Arc<SourceFile>, why: Vec<Diagnostic>) {
        self.entries.insert(id.to_owned(), Entry::Broken(file, why));
    }

    /// Adds a function that equations can call.
    ///
    /// # Errors
    /// The engine, or another plugin, has a function of that name.
    pub fn add_function(&mut self, function: ForeignFunction) -> Result<(), Box<Diagnostic>> {
        self.foreign.add(function)
    }

    /// Ids of all families, std files left out.
    pub fn ids(&self) -> Vec<&str> {
        self.entries
            .keys()
            .map(String::as_str)
            .filter(|id| !id.starts_with("std/"))
            .collect()
    }

    /// The file of a family: its descriptor, or the manifest of its plugin.
    pub fn file(&self, id: &str) -> Option<&Arc<SourceFile>> {
        self.entries.get(id).map(Entry::file)
    }

    /// What detection reads of a family.
    ///
    /// # Errors
    /// An unknown id, or a broken `id`, `abstract` or `[match]`.
    pub fn header(&self, id: &str) -> Result<FamilyHeader, Vec<Diagnostic>> {
        match self.entries.get(id) {
            Some(Entry::File(file)) => parse_header(file.clone()),
            Some(Entry::Code(code)) => Ok(code.header.clone()),
            Some(Entry::Broken(_, why)) => Err(why.clone()),
            None => Err(vec![self.no_family(id)]),
        }
    }

    /// The family with this id.
    ///
    /// # Errors
    /// Everything that is wrong with its files.
    pub fn get(&self, id: &str) -> Result<Arc<dyn Family>, Vec<Diagnostic>> {
        match self.entries.get(id) {
            Some(Entry::Code(code)) => Ok(Arc::clone(&code.family)),
            Some(Entry::Broken(_, why)) => Err(why.clone()),
            _ => self.descriptor(id).map(|family| family as Arc<dyn Family>),
        }
    }

    /// The descriptor with this id, its parents and includes followed.
    ///
    /// # Errors
    /// Everything that is wrong with its files; a family that is no descriptor.
    pub fn descriptor(&self, id: &str) -> Result<Arc<Descriptor>, Vec<Diagnostic>> {
        match self.entries.get(id) {
            Some(Entry::File(_)) if !id.starts_with("std/") => {}
            Some(Entry::Code(_) | Entry::Broken(..)) => {
                let message = format!("the family `{id}` is a plugin, and has no descriptor");
                return Err(vec![Diagnostic::error(message)]);
            }
            _ => return Err(vec![self.no_family(id)]),
        }
        let mut chain = Vec::new();
        self.collect(id, &mut chain, &mut Vec::new())?;
        Descriptor::new(&chain, &self.foreign).map(Arc::new)
    }

    /// The plan of a family for one config.json, its calls of plugins' functions tied to their code.
    ///
    /// # Errors
    /// As [`Family::plan`]; a function that no plugin has.
    pub fn plan(&self, family: &dyn Family, config: &Json) -> Result<ModelPlan, Vec<Diagnostic>> {
        let mut plan = family.plan(config)?;
        self.foreign.tie(&mut plan)?;
        Ok(plan)
    }

    fn no_family(&self, id: &str) -> Diagnostic {
        let near = suggest(id, self.ids()).map(|n| format!("did you mean `{n}`?"));
        Diagnostic::error(format!("there is no family `{id}`"))
            .help_opt(near)
            .help("`sli-pipe families` lists them")
    }

    /// Parents first, then includes, then the file itself.
    fn collect(
        &self,
        id: &str,
        chain: &mut Vec<Arc<FamilyFile>>,
        open: &mut Vec<String>,
    ) -> Result<(), Vec<Diagnostic>> {
        let source = self.entries[id].file().clone();
        let file = if id.starts_with("std/") {
            parse_std(source, id)?
        } else {
            parse_family(source)?
        };
        open.push(id.to_owned());
        for next in file.extends.iter().chain(&file.include) {
            let error = if open.contains(&next.value) {
                Some(Diagnostic::error(format!(
                    "the files go in a circle: {} -> {}",
                    open.join(" -> "),
                    next.value
                )))
            } else if chain.len() >= MAX_CHAIN {
                Some(Diagnostic::error(format!(
                    "more than {MAX_CHAIN} files extend and include each other"
                )))
            } else if !self.entries.contains_key(&next.value) {
                let ids = self.entries.keys().map(String::as_str);
                let near = suggest(&next.value, ids).map(|n| format!("did you mean `{n}`?"));
                Some(Diagnostic::error(format!("there is no file `families/{}.toml`", next.value)).help_opt(near))
            } else if !matches!(self.entries[&next.value], Entry::File(_)) {
                Some(Diagnostic::error(format!(
                    "the family `{}` is a plugin, and only descriptors can be extended",
                    next.value
                )))
            } else {
                None
            };
            if let Some(error) = error {
                return Err(vec![error.at(&file.file, next.span.clone(), "named here")]);
            }
            self.collect(&next.value, chain, open)?;
        }
        open.pop();
        chain.push(Arc::new(file));
        Ok(())
    }

    /// The one family that describes a config.json.
    ///
    /// # Errors
    /// None or several match; the family found is broken; a condition of detection has no value.
    pub fn detect(&self, config: &Json) -> Result<Arc<dyn Family>, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut broken = Vec::new();
        for id in self.ids() {
            match self.header(id) {
                Ok(header) if header.is_abstract => {}
                Ok(header) => {
                    for table in &header.matches {
                        if matches(&header, table, config)? {
                            found.push(id);
                            break;
                        }
                    }
                }
                Err(errors) => broken.extend(errors),
            }
        }
        match found.as_slice() {
            [id] => self.get(id),
            [] => {
                let mut errors = vec![self.nothing_matches(config)];
                errors.extend(broken);
                Err(errors)
            }
            several => Err(vec![
                Diagnostic::error(format!(
                    "several families describe this model: `{}`",
                    several.join("`, `")
                ))
                .help("choose one with `[model] family = \"…\"`, or narrow their `[match]` tables"),
            ]),
        }
    }

    fn nothing_matches(&self, config: &Json) -> Diagnostic {
        let model_type = config.get("model_type").and_then(Json::as_str);
        let architectures = config
            .get("architectures")
            .map_or_else(|| "none".to_owned(), Json::to_string);
        let what = model_type.map_or_else(|| "no `model_type`".to_owned(), |t| format!("`model_type: {t}`"));
        let near = model_type
            .and_then(|t| suggest(t, self.ids()))
            .map(|n| format!("the nearest family is `{n}`"));
        Diagnostic::error(format!(
            "no family describes this model: config.json has {what}, architectures {architectures}"
        ))
        .help_opt(near)
        .help("write a descriptor and put it into `families/`; `sli-pipe families` lists what is known")
    }
}

/// One `[match]` table is a conjunction (section 3 of the language).
fn matches(header: &FamilyHeader, table: &MatchTable, config: &Json) -> Result<bool, Vec<Diagnostic>> {
    let model_type = config.get("model_type").and_then(Json::as_str);
    let by_name = match (&table.model_types, &table.architectures, model_type) {
        (Some(types), _, Some(model_type)) => types.iter().any(|t| t == model_type),
        (_, Some(wanted), _) => {
            let stated = config.get("architectures").and_then(Json::as_array);
            stated.is_some_and(|list| {
                list.iter()
                    .filter_map(Json::as_str)
                    .any(|a| wanted.iter().any(|w| w == a))
            })
        }
        (Some(_), None, None) => false,
        (None, None, _) => true,
    };
    let Some(when) = table.when.as_ref().filter(|_| by_name) else {
        return Ok(by_name);
    };
    let parsed = parse(when)?;
    let flat = Flat::bare(header.file.clone(), header.id.clone());
    match_condition(&flat, config, &parsed).map_err(|e| vec![*e])
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("ids", &self.entries.keys()).finish()
    }
}
