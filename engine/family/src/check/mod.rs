//! Static checks of a flat family: names, shadowing, dead values, keys of config.json.

mod harmless;
mod names;
mod reach;

use std::collections::HashSet;

use serde_json::{Map, Value as Json};
use sli_config::{Diagnostic, suggest};
use sli_model::glob_matches;

use crate::flat::Flat;

pub(crate) use harmless::is_harmless;
pub(crate) use reach::{Reached, reach};

/// Everything that is wrong with a family whatever the config.
pub(crate) fn check(flat: &Flat, reached: &Reached) -> Vec<Diagnostic> {
    let mut errors = names::unknown_names(flat);
    errors.extend(names::shadowing(flat));
    errors.extend(needs(flat));
    // a misspelt block reaches nothing: what it would have used is not dead
    if errors.is_empty() {
        errors.extend(dead_values(flat, reached));
    }
    errors
}

fn needs(flat: &Flat) -> Vec<Diagnostic> {
    let missing = flat
        .needs
        .iter()
        .filter(|(name, ..)| !flat.values.contains_key(name) && !flat.blocks.contains_key(name));
    missing
        .map(|(name, file, span)| {
            Diagnostic::error(format!(
                "`{}` needs a value or block `{name}`, and `{}` has none",
                file.name, flat.id.value
            ))
            .at(file, span.clone(), "needed here")
            .help(format!("add `{name}` to [values] or a [block.{name}]"))
        })
        .collect()
}

/// Values that the file itself states and nothing reaches.
fn dead_values(flat: &Flat, reached: &Reached) -> Vec<Diagnostic> {
    if flat.is_abstract {
        return Vec::new();
    }
    let dead = flat
        .values
        .iter()
        .filter(|(name, _)| flat.own_values.contains(*name) && !reached.values.contains(*name) && *name != "tied");
    dead.map(|(name, value)| {
        let error = Diagnostic::error(format!("the value `{name}` is used nowhere"))
            .help("remove it, or use it: a value that nothing reaches has no effect");
        match value {
            crate::flat::FlatValue::Equation(parsed) => error.primary(parsed.equation.label("")),
            crate::flat::FlatValue::Constant(..) => error.at(&flat.file, flat.id.span.clone(), "in this family"),
        }
    })
    .collect()
}

/// Keys of config.json that nothing handles. A key whose value is null counts as absent.
pub(crate) fn unhandled_keys(flat: &Flat, reached: &Reached, config: &Json) -> Vec<String> {
    let ignored = |key: &str| flat.ignore_config.keys().any(|pattern| glob_matches(pattern, key));
    let handled = |key: &str| reached.keys.contains(key) || is_harmless(key) || ignored(key);
    let keys = config.as_object().into_iter().flatten();
    keys.filter(|(key, value)| !value.is_null() && !handled(key))
        .map(|(key, _)| key.clone())
        .collect()
}

/// An error for each key that nothing handles.
pub(crate) fn unhandled(flat: &Flat, reached: &Reached, config: &Json) -> Vec<Diagnostic> {
    let Some(map) = config.as_object() else {
        return vec![not_a_map()];
    };
    let known: HashSet<&str> = reached.keys.iter().map(String::as_str).collect();
    let help = |key: &str| {
        format!(
            "if the key changes nothing, say why in the descriptor: `[ignore_config] {key} = \"…\"`; else use it in an equation"
        )
    };
    unhandled_keys(flat, reached, config)
        .iter()
        .map(|key| unhandled_key(map, key, &flat.id.value, &known).help(help(key)))
        .collect()
}

/// An error for each key of a config.json that is neither harmless nor among those that a family in code says it
/// handles. A key whose value is null counts as absent.
pub fn unhandled_by(config: &Json, family: &str, handled: &[String]) -> Vec<Diagnostic> {
    let Some(map) = config.as_object() else {
        return vec![not_a_map()];
    };
    let known: HashSet<&str> = handled.iter().map(String::as_str).collect();
    let nobodys = map
        .iter()
        .filter(|(key, value)| !value.is_null() && !known.contains(key.as_str()) && !is_harmless(key));
    nobodys
        .map(|(key, _)| {
            unhandled_key(map, key, family, &known)
                .help("the family must look at the key, or list it as handled because it changes nothing")
        })
        .collect()
}

fn not_a_map() -> Diagnostic {
    Diagnostic::error("config.json is not a map of keys")
}

fn unhandled_key(map: &Map<String, Json>, key: &str, family: &str, known: &HashSet<&str>) -> Diagnostic {
    let mut shown = map[key].to_string();
    if shown.len() > 60 {
        shown = format!("{}…", shown.chars().take(57).collect::<String>());
    }
    let near = suggest(key, known.iter().copied().filter(|k| !map.contains_key(*k)));
    Diagnostic::error(format!(
        "config.json says `{key}: {shown}`, and the family `{family}` does nothing with that key"
    ))
    .help_opt(near.map(|n| format!("did the file mean `{n}`?")))
}
