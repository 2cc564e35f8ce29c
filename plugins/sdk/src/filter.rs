//! Filters of a source: documents before they are tokenised.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{Described, log};
pub use bindings::exports::sli_pipe::plugin::document_filter::Document;

/// The generated glue; of use to [`filter!`](crate::filter!) only.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod bindings {
    crate::bindings!("filter", "__export_filter", "sli_pipe_plugin::filter::bindings");
}

/// A filter of documents.
pub trait Filter: Sized {
    /// The stage's `with` table; its fields are the options that the manifest's schema has.
    type Options: DeserializeOwned;

    /// Prepares for some documents: what a file of the folder says is read here, once a call.
    ///
    /// # Errors
    /// What is wrong with the options.
    fn new(options: Self::Options) -> Result<Self, String>;

    /// What becomes of a document: no text drops it, one replaces it, several split it.
    ///
    /// # Errors
    /// Why the run must stop; a document that does not please is dropped instead.
    fn apply(&self, document: Document) -> Result<Vec<String>, String>;
}

/// What a call of the component does.
///
/// # Errors
/// Those of the filter; an error at a document names it.
pub fn filter<F: Filter>(options: &str, documents: Vec<Document>) -> Result<Vec<Vec<String>>, String> {
    let filter = F::new(crate::options(options)?)?;
    let apply = |document: Document| {
        let id = document.id.clone();
        filter
            .apply(document)
            .map_err(|error| format!("document `{id}`: {error}"))
    };
    documents.into_iter().map(apply).collect()
}

/// A filter as the exports of a component; of use to [`filter!`](crate::filter!) only.
#[doc(hidden)]
pub struct Exported<F>(PhantomData<F>);

use bindings::exports::sli_pipe::plugin as exports;

impl<F: Filter + Described> exports::about::Guest for Exported<F> {
    fn describe() -> exports::about::Description {
        exports::about::Description {
            id: F::ID.to_owned(),
            version: F::VERSION.to_owned(),
        }
    }
}

impl<F: Filter + Described> exports::document_filter::Guest for Exported<F> {
    fn filter(options: String, documents: Vec<Document>) -> Result<Vec<Vec<String>>, String> {
        log::panics();
        filter::<F>(&options, documents)
    }
}

/// Exports a type that implements [`filter::Filter`](crate::filter::Filter) as the plugin.
#[macro_export]
macro_rules! filter {
    ($type:ty $(, id = $id:expr, version = $version:expr)?) => {
        $crate::__described!($type $(, $id, $version)?);
        type __SliPipePlugin = $crate::filter::Exported<$type>;
        #[cfg(target_arch = "wasm32")]
        $crate::filter::bindings::__export_filter!(__SliPipePlugin with_types_in $crate::filter::bindings);
    };
}
