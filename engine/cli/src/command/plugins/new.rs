//! `sli-pipe plugins new ID --kind KIND`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use include_dir::{Dir, include_dir};
use sli_config::Diagnostic;

use super::args::{Language, NewPluginArgs};
use crate::failure::{Failure, Outcome};
use crate::output::print;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/templates");
/// What a plugin in Rust is written with; it reads the contract beside it.
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk");
/// The contract.
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../plugins/wit");

/// Writes the files of a template into a folder of the plugin's name, and beside it what they need.
pub(super) fn new(args: &NewPluginArgs) -> Outcome {
    if !is_id(&args.id) {
        let error = Diagnostic::error(format!("`{}` is no id of a plugin", args.id));
        let help = "an id is small letters, digits, `-` and `_`, and starts with a letter or digit";
        return Err(Failure::input(error.help(help)));
    }
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map_or_else(String::new, |value| value.get_name().to_owned())
    };
    let kind = name(&|| args.kind.to_possible_value());
    let folder = match args.lang {
        Language::Rust => kind.clone(),
        Language::C => format!("{kind}-c"),
    };
    let Some(template) = TEMPLATES.get_dir(&folder) else {
        let language = name(&|| args.lang.to_possible_value());
        let error = Diagnostic::error(format!("there is no template of a {kind} in {language}"));
        let there: Vec<String> = TEMPLATES.dirs().map(|dir| dir.path().display().to_string()).collect();
        return Err(Failure::input(
            error.help(format!("there are `{}`", there.join("`, `"))),
        ));
    };
    let target = args.out.join(&args.id);
    let values = Values {
        id: &args.id,
        title: args.title.as_deref().unwrap_or(&args.id),
    };
    let files = rendered(template, &values);
    if target.exists() {
        let error = Diagnostic::error(format!("`{}` is there already", target.display()));
        return Err(Failure::input(error.help("choose another id, or remove it")));
    }
    let failed = |why: std::io::Error| {
        let message = format!("`{}` cannot be written: {why}", target.display());
        Failure::Run(vec![Diagnostic::error(message)])
    };
    let mut words = String::new();
    for (path, text) in files {
        let path = target.join(path);
        write(&path, &text).map_err(failed)?;
        words += &format!("{}\n", path.display());
    }
    let sdk = (args.lang == Language::Rust).then_some(("sdk", &SDK));
    for (name, folder) in [("wit", &WIT)].into_iter().chain(sdk) {
        let target = args.out.join(name);
        words += &beside(folder, &target).map_err(failed)?;
    }
    print(&words)
}

/// Writes a folder that all plugins share, unless it is there; what to say of it.
fn beside(folder: &Dir<'_>, target: &Path) -> std::io::Result<String> {
    if target.exists() {
        return Ok(format!("{} is there already and stays as it is\n", target.display()));
    }
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            write(&target.join(file.path()), file.contents())?;
        }
    }
    Ok(format!("{}/\n", target.display()))
}

/// What stands for the marks of a template.
struct Values<'a> {
    id: &'a str,
    title: &'a str,
}

impl Values<'_> {
    fn fill(&self, text: &str) -> String {
        // a title stands in TOML texts
        let title = self
            .title
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(char::is_control, " ");
        text.replace("{{id}}", self.id)
            .replace("{{crate}}", &self.id.replace('-', "_"))
            .replace("{{title}}", &title)
    }
}

/// The files of a template below its folder, with their texts.
fn rendered(template: &Dir<'_>, values: &Values<'_>) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![template];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            let path = file.path().strip_prefix(template.path()).unwrap_or(file.path());
            let name = values.fill(&path.to_string_lossy());
            let name = name.strip_suffix(".in").unwrap_or(&name);
            let text = match file.contents_utf8() {
                Some(text) => values.fill(text).into_bytes(),
                None => file.contents().to_vec(),
            };
            found.push((PathBuf::from(name), text));
        }
    }
    found.sort();
    found
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

fn is_id(id: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = |c: char| first(c) || matches!(c, '-' | '_');
    id.len() <= 64 && id.starts_with(first) && id.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_filled_in_texts() {
        let values = Values {
            id: "my-filter",
            title: "Says \"no\"",
        };
        let text = values.fill("id = \"{{id}}\" # {{crate}}\ntitle = \"{{title}}\"");
        assert_eq!(text, "id = \"my-filter\" # my_filter\ntitle = \"Says \\\"no\\\"\"");
    }

    #[test]
    fn templates_are_whole() {
        let values = Values {
            id: "my-plugin",
            title: "Mine",
        };
        for template in TEMPLATES.dirs() {
            let files = rendered(template, &values);
            assert!(
                files.iter().any(|(path, _)| path == Path::new("plugin.toml")),
                "{template:?}"
            );
            for (path, text) in files {
                assert!(!String::from_utf8_lossy(&text).contains("{{id}}"), "{}", path.display());
            }
        }
    }

    #[test]
    fn ids_are_those_of_manifests() {
        assert!(is_id("length-filter") && is_id("2x_y"));
        assert!(!is_id("") && !is_id("-x") && !is_id("A") && !is_id("a/b") && !is_id(&"x".repeat(65)));
    }
}
