//! `sli-pipe families`, `families show ID`, `families functions`.

use serde_json::{Value, json};
use sli_config::Diagnostic;
use sli_family::{Family, Registry, signatures};

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
            };
            print(&crate::families::registry(&dirs)?.get(id)?.show())
        }
        Some(FamiliesCommand::Functions) => functions(args.json),
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
    let mut text = table(&["ID", "TITLE", "MODEL TYPES", "FILE"], &[]);
    for row in &rows {
        let types = if row.is_abstract {
            "(abstract)".to_owned()
        } else {
            row.recognises.join(", ")
        };
        let file = if row.shipped { "(shipped)" } else { &row.file };
        text.add_row([&row.id, &row.title, &types, file]);
    }
    print(&table_text(&text))
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
        Ok(family) => row.title = family.title().to_owned(),
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
        "diagnostics": row.errors,
    })
}

fn functions(json: bool) -> Outcome {
    if json {
        let functions: Vec<Value> = signatures()
            .into_iter()
            .map(|(name, signature)| json!({ "name": name, "signature": signature }))
            .collect();
        return print_json(&json!({ "functions": functions }));
    }
    let lines: String = signatures()
        .into_iter()
        .map(|(_, signature)| format!("{signature}\n"))
        .collect();
    print(&lines)
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
