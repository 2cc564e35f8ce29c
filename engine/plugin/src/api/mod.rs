//! Versions of the contract. What the rest of the crate calls is one trait; each version of the contract implements it
//! in a module of its own, with bindings made from its frozen WIT files.

mod v0_1_0;
mod version;

use sli_config::plugin::PluginKind;
use sli_model::{ForeignTensor, ForeignType};
use wasmtime::component::Component;
use wasmtime::{Engine, Result, Store};

use crate::data::{Block, Cell, Column, Document, PointState, TableRows};
use crate::state::State;

pub(crate) use version::{NEWEST, Version, name_parts};

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) version: String,
}

/// A plan as the plugin gives it.
#[derive(Clone, Debug)]
pub(crate) struct PlanText {
    pub(crate) json: String,
    pub(crate) handled: Vec<String>,
}

/// Something that is wrong in config.json.
#[derive(Clone, Debug)]
pub(crate) struct PlanError {
    pub(crate) pointer: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A result that is an error in the plugin's own words.
pub(crate) type Answer<T> = Result<std::result::Result<T, String>>;

/// The machine code of a plugin, ready to be instantiated; every call makes an instance of its own in `store`.
/// What a plugin of another kind exports is an error of the host.
pub(crate) trait Guest: Send + Sync {
    fn describe(&self, store: &mut Store<State>) -> Result<Description>;

    fn plan(&self, _store: &mut Store<State>, _config: &str) -> Result<std::result::Result<PlanText, Vec<PlanError>>> {
        not_exported()
    }

    fn infer(
        &self,
        _store: &mut Store<State>,
        _function: &str,
        _options: &str,
        _inputs: &[Option<ForeignType>],
    ) -> Answer<Vec<ForeignType>> {
        not_exported()
    }

    fn compute(
        &self,
        _store: &mut Store<State>,
        _function: &str,
        _options: &str,
        _inputs: Vec<Option<ForeignTensor>>,
        _lengths: &[u64],
    ) -> Answer<Vec<ForeignTensor>> {
        not_exported()
    }

    fn filter(&self, _store: &mut Store<State>, _options: &str, _documents: &[Document]) -> Answer<Vec<Vec<String>>> {
        not_exported()
    }

    fn step(&self, _store: &mut Store<State>, _options: &str, _state: &[u8], _block: &Block) -> Answer<Vec<u8>> {
        not_exported()
    }

    fn finish(&self, _store: &mut Store<State>, _options: &str, _states: &[PointState]) -> Answer<TableRows> {
        not_exported()
    }

    fn format(
        &self,
        _store: &mut Store<State>,
        _options: &str,
        _columns: &[Column],
        _rows: &[Vec<Cell>],
        _first: bool,
        _last: bool,
    ) -> Answer<Vec<u8>> {
        not_exported()
    }
}

fn not_exported<T>() -> Result<T> {
    Err(wasmtime::format_err!("a plugin of this kind has no such function"))
}

/// Ties the imports of a component and looks up its exports.
pub(crate) fn link(
    engine: &Engine,
    component: &Component,
    version: Version,
    kind: PluginKind,
) -> Result<Box<dyn Guest>> {
    match version {
        v0_1_0::VERSION => v0_1_0::link(engine, component, kind),
        other => Err(wasmtime::format_err!(
            "there are no bindings for version {other} of the contract"
        )),
    }
}

/// The interface that a plugin of this kind exports beside `about`.
pub(crate) fn interface_of(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Family => "model-family",
        PluginKind::Op => "tensor-op",
        PluginKind::Filter => "document-filter",
        PluginKind::Reducer => "value-reducer",
        PluginKind::Formatter => "row-formatter",
    }
}
