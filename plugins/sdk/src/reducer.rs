//! Reducers: values of the model in, a table out.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{Described, log};
pub use bindings::exports::sli_pipe::plugin::value_reducer::{Block, Piece, PointState};
pub use bindings::sli_pipe::plugin::tables::{Cell, Column, ColumnKind, Table};

/// The generated glue; of use to [`reducer!`](crate::reducer!) only.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod bindings {
    crate::bindings!("reducer", "__export_reducer", "sli_pipe_plugin::reducer::bindings");
}

/// A reducer: a fold over the rows of each point. Nothing is remembered between calls but the state that a step returns.
pub trait Reducer: Sized {
    /// The stage's `with` table; its fields are the options that the manifest's schema has.
    type Options: DeserializeOwned;

    /// Prepares for one call.
    ///
    /// # Errors
    /// What is wrong with the options.
    fn new(options: Self::Options) -> Result<Self, String>;

    /// Takes some rows of a point; `state` is what the last step of this point returned, empty at first.
    ///
    /// # Errors
    /// Why the run must stop.
    fn step(&self, state: Vec<u8>, block: Block) -> Result<Vec<u8>, String>;

    /// The table, from the last states of all points, in the order of the model.
    ///
    /// # Errors
    /// Why there is none.
    fn finish(&self, states: Vec<PointState>) -> Result<Table, String>;
}

/// A column of a table.
pub fn column(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.to_owned(),
        kind,
    }
}

/// A reducer as the exports of a component; of use to [`reducer!`](crate::reducer!) only.
#[doc(hidden)]
pub struct Exported<R>(PhantomData<R>);

use bindings::exports::sli_pipe::plugin as exports;

impl<R: Reducer + Described> exports::about::Guest for Exported<R> {
    fn describe() -> exports::about::Description {
        exports::about::Description {
            id: R::ID.to_owned(),
            version: R::VERSION.to_owned(),
        }
    }
}

impl<R: Reducer + Described> exports::value_reducer::Guest for Exported<R> {
    fn step(options: String, state: Vec<u8>, block: Block) -> Result<Vec<u8>, String> {
        log::panics();
        R::new(crate::options(&options)?)?.step(state, block)
    }

    fn finish(options: String, states: Vec<PointState>) -> Result<Table, String> {
        log::panics();
        R::new(crate::options(&options)?)?.finish(states)
    }
}

/// Exports a type that implements [`reducer::Reducer`](crate::reducer::Reducer) as the plugin.
#[macro_export]
macro_rules! reducer {
    ($type:ty $(, id = $id:expr, version = $version:expr)?) => {
        $crate::__described!($type $(, $id, $version)?);
        type __SliPipePlugin = $crate::reducer::Exported<$type>;
        #[cfg(target_arch = "wasm32")]
        $crate::reducer::bindings::__export_reducer!(__SliPipePlugin with_types_in $crate::reducer::bindings);
    };
}
