//! In which two pipelines differ, key by key.

use std::collections::BTreeMap;

use serde_json::Value;
use sli_config::Pipeline;

/// The keys whose values differ, as `engine.memory "8GiB" -> "4GiB"`; where a key stands and how it is spelled is no
/// difference.
pub(crate) fn differences(old: &Pipeline, new: &Pipeline) -> Vec<String> {
    let (old, new) = (keys(old), keys(new));
    let all: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|key| (key, ())).collect();
    let differ = all.into_keys().filter(|key| old.get(*key) != new.get(*key));
    let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    differ
        .map(|key| format!("{key} {} -> {}", show(old.get(key)), show(new.get(key))))
        .collect()
}

fn keys(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    // A pipeline that has been read is plain data.
    if let Ok(value) = serde_json::to_value(pipeline) {
        collect(String::new(), &value, &mut keys);
    }
    keys
}

fn collect(path: String, value: &Value, keys: &mut BTreeMap<String, Value>) {
    let below = |name: &str| match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}.{name}"),
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                collect(below(name), value, keys);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, value) in items.iter().enumerate() {
                collect(below(&index.to_string()), value, keys);
            }
        }
        Value::Null => {}
        value => drop(keys.insert(path, value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sli_config::{SourceFile, parse_pipeline};

    fn pipeline(text: &str) -> Pipeline {
        let text = format!("[model]\nsource = \"m\"\n[data]\nsource = \"d.txt\"\n{text}");
        parse_pipeline(SourceFile::new("p.toml", text), &[]).unwrap()
    }

    #[test]
    fn keys_that_differ_are_named_and_spelling_is_not() {
        let old = pipeline("[engine]\nmemory = \"1GiB\"\n[[stage]]\nuses = \"score\"\n");
        let same = pipeline("[[stage]] # a comment\nuses = 'score'\n[engine]\nmemory = 1073741824\n");
        assert_eq!(differences(&old, &same), Vec::<String>::new());
        let new = pipeline(
            "[engine]\nmemory = \"2GiB\"\n[[stage]]\nuses = \"score\"\nper_token = true\n[[stage]]\nuses = \"embed\"\n",
        );
        let differ = differences(&old, &new);
        assert!(
            differ.contains(&"engine.memory 1073741824 -> 2147483648".to_owned()),
            "{differ:?}"
        );
        assert!(
            differ.contains(&"stage.0.per_token false -> true".to_owned()),
            "{differ:?}"
        );
        assert!(
            differ.contains(&"stage.1.uses nothing -> \"embed\"".to_owned()),
            "{differ:?}"
        );
    }
}
