//! Bad files and what is said about them: `golden/x.toml` with `golden/x.err` beside it. A file's name says
//! what it is read as; lines `#set key=value` at its top are overrides. `UPDATE_GOLDEN=1` writes the texts.

use std::fs;
use std::path::Path;

use sli_config::{Diagnostic, SourceFile, parse_family, parse_grants, parse_pipeline, parse_plugin, parse_std, render};

#[test]
fn bad_files_get_the_expected_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        seen += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = render(&errors(name, &fs::read_to_string(&path).unwrap()), false);
        let expected = path.with_extension("err");
        if update {
            fs::write(&expected, &text).unwrap();
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&text) {
            wrong.push(format!("{name}:\n{text}"));
        }
    }
    assert!(seen >= 20, "only {seen} bad files were found");
    assert!(
        wrong.is_empty(),
        "these texts differ from their .err files:\n\n{}",
        wrong.join("\n\n")
    );
}

fn errors(name: &str, text: &str) -> Vec<Diagnostic> {
    let file = SourceFile::new(name, text);
    let nothing_wrong = format!("{name} was accepted");
    match name.split('_').next() {
        Some("family") => parse_family(file).expect_err(&nothing_wrong),
        Some("plugin") => parse_plugin(file).expect_err(&nothing_wrong),
        Some("grants") => parse_grants(file).expect_err(&nothing_wrong),
        Some("std") => parse_std(file, "std/moe").expect_err(&nothing_wrong),
        _ => {
            let sets = text
                .lines()
                .filter_map(|line| line.strip_prefix("#set ")?.split_once('='));
            let overrides: Vec<_> = sets.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            parse_pipeline(file, &overrides).expect_err(&nothing_wrong)
        }
    }
}
