//! {{title}}: a filter of documents.

use serde::Deserialize;
use sli_pipe_plugin::filter::{Document, Filter};

/// The filter.
pub struct MyFilter(Options);

sli_pipe_plugin::filter!(MyFilter);

/// The stage's `with` table; `plugin.toml` has its schema.
#[derive(Deserialize)]
pub struct Options {
    #[serde(default = "the")]
    word: String,
}

fn the() -> String {
    "the".to_owned()
}

impl Filter for MyFilter {
    type Options = Options;

    fn new(options: Options) -> Result<MyFilter, String> {
        Ok(MyFilter(options))
    }

    /// No text drops the document, one replaces it, several split it.
    fn apply(&self, document: Document) -> Result<Vec<String>, String> {
        match document.text.contains(&self.0.word) {
            true => Ok(vec![document.text]),
            false => Ok(Vec::new()),
        }
    }
}
