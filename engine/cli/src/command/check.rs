//! `sli-pipe check FILES...`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use sli_config::{Diagnostic, Severity, SourceFile, parse_grants, parse_pipeline, parse_plugin, parse_std};
use sli_family::Registry;

use crate::args::{CheckArgs, FamilyDirs};
use crate::failure::{Failure, Outcome};
use crate::format::many;
use crate::output::{print, print_json, show};
use crate::plugins::Sources;

/// What a file is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pipeline,
    Family,
    /// A shared part of families.
    Std,
    /// The manifest of a plugin.
    Plugin,
    /// What is granted to plugins.
    Grants,
}

/// What files may refer to.
#[derive(Default)]
struct Known {
    registry: Registry,
    families: FamilyDirs,
}

/// What was found in one file.
struct Checked {
    file: PathBuf,
    kind: Option<Kind>,
    diagnostics: Vec<Diagnostic>,
}

/// Checks every file and says how many are fine.
pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let known = Known {
        registry: crate::families::registry(&args.families)?,
        families: args.families.clone(),
    };
    let checked: Vec<Checked> = collect(&args.files)?
        .into_iter()
        .map(|file| one(&known, file))
        .collect();
    let mut told: Vec<&Diagnostic> = Vec::new();
    // A broken parent is reported once, however many families extend it.
    for diagnostic in checked.iter().flat_map(|checked| &checked.diagnostics) {
        if !told.contains(&diagnostic) {
            told.push(diagnostic);
        }
    }
    show(&told.into_iter().cloned().collect::<Vec<_>>());
    let fine = checked.iter().filter(|checked| checked.is_fine()).count();
    if args.json {
        let files: Vec<_> = checked.iter().map(Checked::to_json).collect();
        print_json(&json!({ "fine": fine, "files": files }))?;
    } else {
        print(&verdict(fine, checked.len()))?;
    }
    if fine == checked.len() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

fn verdict(fine: usize, all: usize) -> String {
    match (fine, all) {
        (1, 1) => "the file is fine\n".to_owned(),
        (0, 1) => "the file is not fine\n".to_owned(),
        (fine, all) if fine == all => format!("all {} are fine\n", many(all as u64, "file")),
        (fine, all) => format!("{fine} of {} are fine\n", many(all as u64, "file")),
    }
}

impl Checked {
    fn is_fine(&self) -> bool {
        self.diagnostics
            .iter()
            .all(|diagnostic| diagnostic.severity != Severity::Error)
    }

    fn to_json(&self) -> serde_json::Value {
        let kind = self.kind.map(|kind| match kind {
            Kind::Pipeline => "pipeline",
            Kind::Family => "family",
            Kind::Std => "family-std",
            Kind::Plugin => "plugin",
            Kind::Grants => "grants",
        });
        json!({ "file": self.file, "kind": kind, "fine": self.is_fine(), "diagnostics": self.diagnostics })
    }
}

/// The files named, and all `.toml` files of the folders named.
fn collect(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        walk(path, &mut files).map_err(|error| {
            Failure::input(Diagnostic::error(format!(
                "the folder `{}` cannot be read: {error}",
                path.display()
            )))
        })?;
        if files.len() == before {
            let message = format!("the folder `{}` holds no `.toml` file", path.display());
            return Err(Failure::input(
                Diagnostic::error(message).help("name a pipeline, a descriptor, or a folder of them"),
            ));
        }
    }
    Ok(files)
}

/// All `.toml` files below `dir`, sorted; hidden folders are left out, and links to folders are not followed.
fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

fn one(known: &Known, path: PathBuf) -> Checked {
    let source = match read(&path) {
        Ok(source) => source,
        Err(diagnostic) => {
            return Checked {
                file: path,
                kind: None,
                diagnostics: vec![diagnostic],
            };
        }
    };
    let Some(kind) = kind(&path, &source.text) else {
        let message = format!("`{}` is neither a pipeline nor a family descriptor", source.name);
        let help =
            "a pipeline has `[model]`, `[data]` and `[[stage]]`; a descriptor begins with `schema`, `id` and `title`";
        let help = format!("{help}. Or say which it is in the first line: `#:schema ../schemas/pipeline.schema.json`");
        let diagnostics = vec![Diagnostic::error(message).help(help)];
        return Checked {
            file: path,
            kind: None,
            diagnostics,
        };
    };
    let found = match kind {
        Kind::Pipeline => pipeline(known, &path, source),
        Kind::Family => family(&known.registry, &path, source),
        Kind::Std => parse_std(source, &format!("std/{}", stem(&path))).map(drop),
        Kind::Plugin => parse_plugin(source).map(drop),
        Kind::Grants => parse_grants(source).map(drop),
    };
    Checked {
        file: path,
        kind: Some(kind),
        diagnostics: found.err().unwrap_or_default(),
    }
}

/// Reads a file that a user named.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn read(path: &Path) -> Result<Arc<SourceFile>, Diagnostic> {
    let shown = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(SourceFile::new(shown, text)),
        Err(error) => Err(Diagnostic::error(match error.kind() {
            std::io::ErrorKind::NotFound => {
                let missing = Diagnostic::error(format!("there is no file `{shown}`"));
                return Err(missing.help("check the path; it is relative to the current folder"));
            }
            std::io::ErrorKind::IsADirectory => format!("`{shown}` is a folder, not a file"),
            std::io::ErrorKind::InvalidData => format!("`{shown}` is no text: it is not UTF-8"),
            _ => format!("`{shown}` cannot be read: {error}"),
        })),
    }
}

/// By the schema named in the first line, else by the tables it has.
fn kind(path: &Path, text: &str) -> Option<Kind> {
    let in_std = path.parent().is_some_and(|parent| parent.ends_with("std"));
    if let Some(schema) = text.lines().next().and_then(|line| line.strip_prefix("#:schema")) {
        let name = schema.trim().rsplit('/').next().unwrap_or_default();
        match name {
            "pipeline.schema.json" => return Some(Kind::Pipeline),
            "family.schema.json" => return Some(Kind::Family),
            "family-std.schema.json" => return Some(Kind::Std),
            "plugin.schema.json" => return Some(Kind::Plugin),
            "grants.schema.json" => return Some(Kind::Grants),
            _ => {}
        }
    }
    let (document, _) = toml::de::DeTable::parse_recoverable(text);
    let has = |keys: &[&str]| {
        document
            .get_ref()
            .keys()
            .any(|key| keys.contains(&key.get_ref().as_ref()))
    };
    if has(&["model", "data", "stage", "engine", "output"]) {
        Some(Kind::Pipeline)
    } else if has(&["kind", "functions", "asks"]) {
        Some(Kind::Plugin)
    } else if has(&[
        "schema", "id", "title", "match", "extends", "layer", "block", "names", "values",
    ]) {
        Some(if in_std { Kind::Std } else { Kind::Family })
    } else {
        None
    }
}

/// A pipeline with its plugins.
fn pipeline(known: &Known, path: &Path, source: Arc<SourceFile>) -> Result<(), Vec<Diagnostic>> {
    let pipeline = parse_pipeline(source, &[])?;
    let base = path.parent().unwrap_or(Path::new(""));
    let sources = Sources::find(&known.families, Some((&pipeline, base))).map_err(Failure::into_diagnostics)?;
    sources.stages(&pipeline).map(drop)
}

/// A family with its parents and includes, which may lie beside it.
fn family(registry: &Registry, path: &Path, source: Arc<SourceFile>) -> Result<(), Vec<Diagnostic>> {
    let mut registry = registry.clone();
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    registry
        .add_dir(folder)
        .map_err(|error| vec![Diagnostic::error(format!("cannot read the files beside it: {error}"))])?;
    registry.add(&format!("{}.toml", stem(path)), source);
    registry.get(stem(path)).map(drop)
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Known {
        Known {
            registry: Registry::shipped(),
            ..Known::default()
        }
    }

    #[test]
    fn a_file_is_known_by_its_schema_line_or_its_tables() {
        let of = |path: &str, text: &str| kind(Path::new(path), text);
        assert_eq!(
            of("a.toml", "#:schema ../schemas/pipeline.schema.json\n"),
            Some(Kind::Pipeline)
        );
        assert_eq!(of("a.toml", "#:schema x/family-std.schema.json\n"), Some(Kind::Std));
        assert_eq!(
            of("a.toml", "[model]\nsource = \n"),
            Some(Kind::Pipeline),
            "broken, and still known"
        );
        assert_eq!(of("a.toml", "id = \"a\"\n"), Some(Kind::Family));
        assert_eq!(of("std/a.toml", "[block.x]\n"), Some(Kind::Std));
        assert_eq!(
            of("a.toml", "schema = 1\nid = \"a\"\nkind = \"op\"\n"),
            Some(Kind::Plugin)
        );
        assert_eq!(of("a.toml", "#:schema x/grants.schema.json\n"), Some(Kind::Grants));
        assert_eq!(of("a.toml", "[package]\n"), None);
    }

    #[test]
    fn folders_are_walked_and_must_hold_something() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert_eq!(collect(&[dir.to_owned()]).unwrap_err().code(), 2);
        for name in ["b.toml", "a.toml", "notes.txt", "std/c.toml", ".hidden/d.toml"] {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = ["a.toml", "b.toml", "std/c.toml"].map(|name| dir.join(name));
        assert_eq!(collect(&[dir.to_owned()]).unwrap(), names);
        assert_eq!(
            collect(&["none.toml".into()]).unwrap(),
            [PathBuf::from("none.toml")],
            "said where it is read"
        );
    }

    #[test]
    fn a_family_is_checked_with_the_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child.toml");
        std::fs::write(
            &path,
            "schema = 1\nid = \"child\"\ntitle = \"C\"\nextends = \"parent\"\nabstract = true\n",
        )
        .unwrap();
        let checked = one(&shipped(), path);
        assert_eq!(checked.kind, Some(Kind::Family));
        assert!(
            checked.diagnostics[0].message.contains("families/parent.toml"),
            "{:?}",
            checked.diagnostics
        );
        assert!(!checked.is_fine());
    }

    #[test]
    fn shipped_files_are_fine() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let files = collect(&[root.join("pipelines"), root.join("families")]).unwrap();
        assert!(files.len() > 6, "{files:?}");
        for file in files {
            let checked = one(&shipped(), file);
            assert!(
                checked.diagnostics.is_empty(),
                "{}: {:?}",
                checked.file.display(),
                checked.diagnostics
            );
        }
    }

    #[test]
    fn the_verdict_counts() {
        assert_eq!(
            [verdict(1, 1), verdict(3, 3), verdict(1, 3)],
            [
                "the file is fine\n",
                "all 3 files are fine\n",
                "1 of 3 files are fine\n"
            ]
        );
    }
}
