//! Formatters: the rows of another stage to the bytes of a file.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{Described, log};
pub use bindings::sli_pipe::plugin::tables::{Cell, Column, ColumnKind};

/// The generated glue; of use to [`formatter!`](crate::formatter!) only.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod bindings {
    crate::bindings!(
        "formatter",
        "__export_formatter",
        "sli_pipe_plugin::formatter::bindings"
    );
}

/// A form for rows.
pub trait Formatter: Sized {
    /// The stage's `with` table; its fields are the options that the manifest's schema has.
    type Options: DeserializeOwned;

    /// Prepares for one call.
    ///
    /// # Errors
    /// What is wrong with the options.
    fn new(options: Self::Options) -> Result<Self, String>;

    /// The bytes of some rows, which are appended to the file. `first` and `last` mark the first and the last call; a
    /// call may hold no rows.
    ///
    /// # Errors
    /// Why the rows have no such form.
    fn format(&self, columns: &[Column], rows: &[Vec<Cell>], first: bool, last: bool) -> Result<Vec<u8>, String>;
}

/// A formatter as the exports of a component; of use to [`formatter!`](crate::formatter!) only.
#[doc(hidden)]
pub struct Exported<F>(PhantomData<F>);

use bindings::exports::sli_pipe::plugin as exports;

impl<F: Formatter + Described> exports::about::Guest for Exported<F> {
    fn describe() -> exports::about::Description {
        exports::about::Description {
            id: F::ID.to_owned(),
            version: F::VERSION.to_owned(),
        }
    }
}

impl<F: Formatter + Described> exports::row_formatter::Guest for Exported<F> {
    fn format(
        options: String,
        columns: Vec<Column>,
        rows: Vec<Vec<Cell>>,
        first: bool,
        last: bool,
    ) -> Result<Vec<u8>, String> {
        log::panics();
        F::new(crate::options(&options)?)?.format(&columns, &rows, first, last)
    }
}

/// Exports a type that implements [`formatter::Formatter`](crate::formatter::Formatter) as the plugin.
#[macro_export]
macro_rules! formatter {
    ($type:ty $(, id = $id:expr, version = $version:expr)?) => {
        $crate::__described!($type $(, $id, $version)?);
        type __SliPipePlugin = $crate::formatter::Exported<$type>;
        #[cfg(target_arch = "wasm32")]
        $crate::formatter::bindings::__export_formatter!(__SliPipePlugin with_types_in $crate::formatter::bindings);
    };
}
