//! `sli-pipe families functions [NAME]`.

use serde_json::{Value, json};
use sli_config::{Diagnostic, suggest};
use sli_family::{FunctionDoc, signatures};

use crate::failure::{Failure, Outcome};
use crate::output::{print, print_json};

/// Explains all functions that equations may call, or one.
pub(crate) fn functions(name: Option<&str>, json: bool) -> Outcome {
    let chosen = chosen(signatures(), name)?;
    if json {
        let functions: Vec<Value> = chosen.iter().map(to_json).collect();
        return print_json(&json!({ "functions": functions }));
    }
    print(&text(&chosen, name.is_none()))
}

fn chosen(mut docs: Vec<FunctionDoc>, name: Option<&str>) -> Outcome<Vec<FunctionDoc>> {
    let Some(name) = name else { return Ok(docs) };
    if !docs.iter().any(|function| function.name == name) {
        let near = suggest(name, docs.iter().map(|function| function.name));
        let error = Diagnostic::error(format!("there is no function `{name}`"))
            .help_opt(near.map(|near| format!("did you mean `{near}`?")))
            .help("`sli-pipe families functions` lists them");
        return Err(Failure::input(error));
    }
    docs.retain(|function| function.name == name);
    Ok(docs)
}

fn text(functions: &[FunctionDoc], titles: bool) -> String {
    let mut text = String::new();
    let mut section = "";
    for function in functions {
        if titles && function.section != section {
            section = function.section;
            text += &format!("{}{section}\n", if text.is_empty() { "" } else { "\n" });
        }
        if titles {
            text.push('\n');
        }
        text += &format!("{}\n", function.signature);
        for line in function.doc.lines() {
            text += format!("    {line}").trim_end();
            text.push('\n');
        }
    }
    text
}

fn to_json(function: &FunctionDoc) -> Value {
    json!({
        "name": function.name,
        "signature": function.signature,
        "section": function.section,
        "doc": function.doc,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_function_is_shown_with_all_of_its_text() {
        let one = chosen(signatures(), Some("split_heads")).unwrap();
        let text = text(&one, false);
        assert!(text.starts_with("split_heads(x, H, D)\n    [.., H*D] -> "), "{text}");
        assert!(text.ends_with(".\n") && !text.contains("\n\n"), "{text}");
    }

    #[test]
    fn a_name_that_is_near_one_is_told() {
        let error = chosen(signatures(), Some("atend")).unwrap_err();
        let diagnostic = error.into_diagnostics().remove(0);
        assert_eq!(diagnostic.message, "there is no function `atend`");
        assert!(
            diagnostic
                .help
                .iter()
                .any(|help| help.contains("did you mean `attend`?"))
        );
    }
}
