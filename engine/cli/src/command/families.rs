//! `sli-pipe families`, `families show ID`, `families functions`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sli_config::Diagnostic;
use sli_family::{Parity, Registry, parity};

use crate::args::{FamiliesArgs, FamiliesCommand, FamilyDirs};
use crate::failure::Outcome;
use crate::output::{print, print_json, show, table, table_text};

/// Lists the families, or shows one.
pub(crate) fn families(args: &FamiliesArgs) -> Outcome {
    match &args.command {
        None => list(&crate::families::registry(&args.families)?, args.json),
        Some(FamiliesCommand::Show { id, families }) => {
            let dirs = FamilyDirs {
                dirs: [&*args.families.dirs, &*families.dirs].concat(),
                plugins: [&*args.families.plugins, &*families.plugins].concat(),
            };
            print(&crate::families::registry(&dirs)?.descriptor(id)?.show())
        }
        Some(FamiliesCommand::New(new)) => super::families_new::new(new, args.json),
        Some(FamiliesCommand::Functions { name, json }) => {
            super::functions::functions(name.as_deref(), args.json || *json)
        }
    }
}

/// One family as the list shows it.
struct Row {
    id: String,
    title: String,
    recognises: Vec<String>,
    is_abstract: bool,
    file: String,
    /// It is the one compiled into the program.
    shipped: bool,
    /// What was proved of it, by model type; empty if any of its files is not the shipped one.
    parity: BTreeMap<String, Parity>,
    errors: Vec<Diagnostic>,
}

fn list(registry: &Registry, json: bool) -> Outcome {
    let shipped = Registry::shipped();
    let rows: Vec<Row> = registry
        .ids()
        .into_iter()
        .map(|id| row(registry, &shipped, id))
        .collect();
    show(&warnings(&rows));
    if json {
        let families: Vec<Value> = rows.iter().map(to_json).collect();
        return print_json(&json!({ "families": families }));
    }
    let mut text = table(
        &[
            "ID",
            "TITLE",
            "MODEL TYPES",
            "FIXTURES",
            "WORST ERROR",
            "AGREES WITH",
            "FILE",
        ],
        &[3, 4],
    );
    for row in &rows {
        let types = if row.is_abstract {
            "(abstract)".to_owned()
        } else {
            row.types().join(", ")
        };
        let file = if row.shipped { "(shipped)" } else { &row.file };
        let [fixtures, worst, with] = row.status();
        text.add_row([&row.id, &row.title, &types, &fixtures, &worst, &with, file]);
    }
    print(&format!("{}\n{LEGEND}\n", table_text(&text)))
}

/// What the columns mean.
const LEGEND: &str = "\
FIXTURES are small models of which every layer and head was compared in f32; WORST ERROR is the largest difference, as a
share of the largest magnitude of its value. `transcription` is a second implementation in PyTorch, for models that
transformers does not have. * marks a model type without a fixture of its own. Your own and changed files claim nothing.";

impl Row {
    /// Model types, marked if nothing was proved of them.
    fn types(&self) -> Vec<String> {
        let mark = |name: &String| {
            let open = self.parity.is_empty() || self.parity.contains_key(name);
            if open { name.clone() } else { format!("{name}*") }
        };
        self.recognises.iter().map(mark).collect()
    }

    /// Number of fixtures, worst error, what they were made with.
    fn status(&self) -> [String; 3] {
        if self.parity.is_empty() {
            return [
                "-".into(),
                "-".into(),
                if self.is_abstract { "-" } else { "nothing yet" }.into(),
            ];
        }
        let fixtures: u64 = self.parity.values().map(|status| status.fixtures).sum();
        let worst = self.parity.values().map(|status| status.worst).fold(0.0, f64::max);
        let mut with: Vec<&str> = self
            .parity
            .values()
            .flat_map(|s| &s.references)
            .map(String::as_str)
            .collect();
        with.sort_unstable();
        with.dedup();
        [fixtures.to_string(), format!("{worst:.1e}"), with.join(", ")]
    }
}

/// One warning for each broken file, with the families that it breaks.
fn warnings(rows: &[Row]) -> Vec<Diagnostic> {
    let mut broken: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows {
        let Some(first) = row.errors.first() else { continue };
        let file = first.primary.as_ref().map_or(&row.file, |label| &label.file.name);
        match broken.iter_mut().find(|(name, _)| name == file) {
            Some((_, families)) => families.push(&row.id),
            None => broken.push((file, vec![&row.id])),
        }
    }
    let warning = |(file, families): (&str, Vec<&str>)| {
        let word = if families.len() == 1 { "family" } else { "families" };
        Diagnostic::warning(format!(
            "`{file}` is wrong, which breaks the {word} `{}`",
            families.join("`, `")
        ))
        .help(format!("`sli-pipe check {file}` says what is wrong"))
    };
    broken.into_iter().map(warning).collect()
}

fn row(registry: &Registry, shipped: &Registry, id: &str) -> Row {
    let mut row = Row {
        id: id.to_owned(),
        title: String::new(),
        recognises: Vec::new(),
        is_abstract: false,
        file: registry.file(id).map_or_else(String::new, |file| file.name.clone()),
        shipped: registry.file(id) == shipped.file(id),
        parity: BTreeMap::new(),
        errors: Vec::new(),
    };
    match registry.header(id) {
        Ok(header) => {
            row.is_abstract = header.is_abstract;
            for table in &header.matches {
                let names = table.model_types.as_ref().or(table.architectures.as_ref());
                row.recognises.extend(names.into_iter().flatten().cloned());
            }
        }
        Err(errors) => row.errors = errors,
    }
    match registry.get(id) {
        Ok(family) => {
            row.title = family.title().to_owned();
            if shipped
                .get(id)
                .is_ok_and(|own| own.fingerprint() == family.fingerprint())
            {
                row.parity = parity().remove(id).unwrap_or_default();
            }
        }
        Err(errors) if row.errors.is_empty() => row.errors = errors,
        Err(_) => {}
    }
    if !row.errors.is_empty() {
        row.title = "(broken)".to_owned();
    }
    row
}

fn to_json(row: &Row) -> Value {
    json!({
        "id": row.id,
        "title": if row.errors.is_empty() { Some(&row.title) } else { None },
        "recognises": row.recognises,
        "abstract": row.is_abstract,
        "file": row.file,
        "shipped": row.shipped,
        "parity": row.parity,
        "diagnostics": row.errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_config::SourceFile;

    #[test]
    fn shipped_families_have_a_title_and_model_types() {
        let registry = Registry::shipped();
        let llama = row(&registry, &registry, "llama");
        assert!(llama.errors.is_empty(), "{:?}", llama.errors);
        assert!(!llama.title.is_empty() && llama.recognises.iter().any(|name| name == "llama"));
        assert!(llama.shipped);
        assert!(llama.parity["llama"].fixtures > 3 && llama.status()[2].contains("transformers"));
    }

    #[test]
    fn a_broken_family_is_listed_with_its_errors() {
        let mut registry = Registry::shipped();
        registry.add(
            "mine.toml",
            SourceFile::new(
                "x/mine.toml",
                "schema = 1\nid = \"mine\"\ntitle = \"M\"\nnonsense = 3\n",
            ),
        );
        let mine = row(&registry, &Registry::shipped(), "mine");
        assert!(!mine.shipped);
        assert_eq!((mine.title.as_str(), mine.file.as_str()), ("(broken)", "x/mine.toml"));
        assert!(!mine.errors.is_empty());
        let warnings = warnings(&[mine]);
        assert_eq!(
            warnings[0].message,
            "`x/mine.toml` is wrong, which breaks the family `mine`"
        );
    }
}
