//! `docs/functions.md` is what the tables of functions say.

#[test]
fn the_reference_of_the_functions_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/functions.md");
    let text = sli_family::reference();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == text, "docs/functions.md is stale: run `cargo xtask generate`");
}

#[test]
fn links_of_the_reference_lead_somewhere() {
    let text = sli_family::reference();
    for function in sli_family::signatures() {
        let name = function.name;
        assert!(text.contains(&format!("(#{name})")) && text.contains(&format!("\n### {name}\n")));
    }
}
