//! Version 0.1.0 of the contract: bindings, and the plain values of this crate put into them.

use sli_config::plugin::PluginKind;
use sli_model::infer::Kind;
use sli_model::{ForeignDim, ForeignTensor, ForeignType, ForeignValues};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Result, Store};

use super::{Answer, Description, Guest, PlanError, PlanText, Version};
use crate::data::{Block, Cell, Column, ColumnKind, Document, Level, PointState, TableRows};
use crate::state::State;

/// This version.
pub(crate) const VERSION: Version = Version(0, 1, 0);

/// What the macros make; their names follow the WIT files.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    pub mod family {
        wasmtime::component::bindgen!({ path: "../../plugins/wit/0.1.0", world: "family" });
    }
    pub mod op {
        wasmtime::component::bindgen!({
            path: "../../plugins/wit/0.1.0",
            world: "op",
            with: { "sli-pipe:plugin/log": super::family::sli_pipe::plugin::log },
        });
    }
    pub mod filter {
        wasmtime::component::bindgen!({
            path: "../../plugins/wit/0.1.0",
            world: "filter",
            with: { "sli-pipe:plugin/log": super::family::sli_pipe::plugin::log },
        });
    }
    pub mod reducer {
        wasmtime::component::bindgen!({
            path: "../../plugins/wit/0.1.0",
            world: "reducer",
            with: {
                "sli-pipe:plugin/log": super::family::sli_pipe::plugin::log,
                "sli-pipe:plugin/folder": super::filter::sli_pipe::plugin::folder,
            },
        });
    }
    pub mod formatter {
        wasmtime::component::bindgen!({
            path: "../../plugins/wit/0.1.0",
            world: "formatter",
            with: {
                "sli-pipe:plugin/log": super::family::sli_pipe::plugin::log,
                "sli-pipe:plugin/folder": super::filter::sli_pipe::plugin::folder,
            },
        });
    }
}

use bindings::family::sli_pipe::plugin::log;
use bindings::filter::sli_pipe::plugin::folder;

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warning => Level::Warning,
        };
        self.log.write(level, &message);
    }
}

impl folder::Host for State {
    fn names(&mut self) -> std::result::Result<Vec<String>, String> {
        self.folder.names()
    }

    fn read(&mut self, name: String) -> std::result::Result<Vec<u8>, String> {
        self.folder.read(&name)
    }
}

/// The plugin of a kind with its imports tied.
pub(super) fn link(engine: &Engine, component: &Component, kind: PluginKind) -> Result<Box<dyn Guest>> {
    let mut linker = Linker::<State>::new(engine);
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    folder::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    let pre = linker.instantiate_pre(component)?;
    Ok(match kind {
        PluginKind::Family => Box::new(bindings::family::FamilyPre::new(pre)?),
        PluginKind::Op => Box::new(bindings::op::OpPre::new(pre)?),
        PluginKind::Filter => Box::new(bindings::filter::FilterPre::new(pre)?),
        PluginKind::Reducer => Box::new(bindings::reducer::ReducerPre::new(pre)?),
        PluginKind::Formatter => Box::new(bindings::formatter::FormatterPre::new(pre)?),
    })
}

/// `describe` is the same in every world.
macro_rules! describe {
    () => {
        fn describe(&self, store: &mut Store<State>) -> Result<Description> {
            let instance = self.instantiate(&mut *store)?;
            store.data_mut().started = true;
            let found = instance.sli_pipe_plugin_about().call_describe(store)?;
            Ok(Description {
                id: found.id,
                version: found.version,
            })
        }
    };
}

impl Guest for bindings::family::FamilyPre<State> {
    describe!();

    fn plan(&self, store: &mut Store<State>, config: &str) -> Result<std::result::Result<PlanText, Vec<PlanError>>> {
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        let found = instance.sli_pipe_plugin_model_family().call_plan(store, config)?;
        let error = |e: bindings::family::exports::sli_pipe::plugin::model_family::PlanError| PlanError {
            pointer: e.pointer,
            message: e.message,
            help: e.help,
        };
        Ok(found
            .map(|plan| PlanText {
                json: plan.plan,
                handled: plan.handled,
            })
            .map_err(|errors| errors.into_iter().map(error).collect()))
    }
}

impl Guest for bindings::op::OpPre<State> {
    describe!();

    fn infer(
        &self,
        store: &mut Store<State>,
        function: &str,
        options: &str,
        inputs: &[Option<ForeignType>],
    ) -> Answer<Vec<ForeignType>> {
        use bindings::op::exports::sli_pipe::plugin::tensor_op as op;
        let dim = |dim: &ForeignDim| match dim {
            ForeignDim::Rows => op::Dim::Rows,
            ForeignDim::Size(size) => op::Dim::Size(*size),
        };
        let kind = |kind: Kind| match kind {
            Kind::Float => op::Kind::Float,
            Kind::Int => op::Kind::Int,
        };
        let given = |input: &ForeignType| op::TensorType {
            kind: kind(input.kind),
            dims: input.dims.iter().map(dim).collect(),
        };
        let inputs: Vec<_> = inputs.iter().map(|input| input.as_ref().map(given)).collect();
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        let found = instance
            .sli_pipe_plugin_tensor_op()
            .call_infer(store, function, options, &inputs)?;
        let back = |found: op::TensorType| ForeignType {
            kind: match found.kind {
                op::Kind::Float => Kind::Float,
                op::Kind::Int => Kind::Int,
            },
            dims: (found.dims.into_iter())
                .map(|dim| match dim {
                    op::Dim::Rows => ForeignDim::Rows,
                    op::Dim::Size(size) => ForeignDim::Size(size),
                })
                .collect(),
        };
        Ok(found.map(|types| types.into_iter().map(back).collect()))
    }

    fn compute(
        &self,
        store: &mut Store<State>,
        function: &str,
        options: &str,
        inputs: Vec<Option<ForeignTensor>>,
        lengths: &[u64],
    ) -> Answer<Vec<ForeignTensor>> {
        use bindings::op::exports::sli_pipe::plugin::tensor_op as op;
        let given = |input: ForeignTensor| op::Tensor {
            shape: input.shape,
            values: match input.values {
                ForeignValues::Floats(values) => op::Values::Floats(values),
                ForeignValues::Ints(values) => op::Values::Ints(values),
            },
        };
        let inputs: Vec<_> = inputs.into_iter().map(|input| input.map(given)).collect();
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        let found = instance
            .sli_pipe_plugin_tensor_op()
            .call_compute(store, function, options, &inputs, lengths)?;
        let back = |found: op::Tensor| ForeignTensor {
            shape: found.shape,
            values: match found.values {
                op::Values::Floats(values) => ForeignValues::Floats(values),
                op::Values::Ints(values) => ForeignValues::Ints(values),
            },
        };
        Ok(found.map(|tensors| tensors.into_iter().map(back).collect()))
    }
}

impl Guest for bindings::filter::FilterPre<State> {
    describe!();

    fn filter(&self, store: &mut Store<State>, options: &str, documents: &[Document]) -> Answer<Vec<Vec<String>>> {
        use bindings::filter::exports::sli_pipe::plugin::document_filter as filter;
        let given = |document: &Document| filter::Document {
            id: document.id.clone(),
            text: document.text.clone(),
            fields: document.fields.clone(),
        };
        let documents: Vec<_> = documents.iter().map(given).collect();
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        instance
            .sli_pipe_plugin_document_filter()
            .call_filter(store, options, &documents)
    }
}

impl Guest for bindings::reducer::ReducerPre<State> {
    describe!();

    fn step(&self, store: &mut Store<State>, options: &str, state: &[u8], block: &Block) -> Answer<Vec<u8>> {
        use bindings::reducer::exports::sli_pipe::plugin::value_reducer as reducer;
        let pieces = block.pieces.iter().map(|piece| reducer::Piece {
            document: piece.document.clone(),
            first: piece.first,
            rows: piece.rows,
        });
        let block = reducer::Block {
            point: block.point.clone(),
            width: block.width,
            values: block.values.clone(),
            pieces: pieces.collect(),
            tokens: block.tokens.clone(),
        };
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        instance
            .sli_pipe_plugin_value_reducer()
            .call_step(store, options, state, &block)
    }

    fn finish(&self, store: &mut Store<State>, options: &str, states: &[PointState]) -> Answer<TableRows> {
        use bindings::reducer::exports::sli_pipe::plugin::value_reducer as reducer;
        use bindings::reducer::sli_pipe::plugin::tables;
        let states = states.iter().map(|state| reducer::PointState {
            point: state.point.clone(),
            width: state.width,
            state: state.state.clone(),
        });
        let states: Vec<_> = states.collect();
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        let found = instance
            .sli_pipe_plugin_value_reducer()
            .call_finish(store, options, &states)?;
        let column = |column: tables::Column| Column {
            name: column.name,
            kind: match column.kind {
                tables::ColumnKind::Text => ColumnKind::Text,
                tables::ColumnKind::Integer => ColumnKind::Integer,
                tables::ColumnKind::Number => ColumnKind::Number,
                tables::ColumnKind::Boolean => ColumnKind::Boolean,
            },
        };
        let cell = |cell: tables::Cell| match cell {
            tables::Cell::Missing => Cell::Missing,
            tables::Cell::Text(text) => Cell::Text(text),
            tables::Cell::Integer(n) => Cell::Integer(n),
            tables::Cell::Number(n) => Cell::Number(n),
            tables::Cell::Boolean(b) => Cell::Boolean(b),
        };
        let row = |row: Vec<tables::Cell>| row.into_iter().map(cell).collect();
        Ok(found.map(|table| TableRows {
            columns: table.columns.into_iter().map(column).collect(),
            rows: table.rows.into_iter().map(row).collect(),
        }))
    }
}

impl Guest for bindings::formatter::FormatterPre<State> {
    describe!();

    fn format(
        &self,
        store: &mut Store<State>,
        options: &str,
        columns: &[Column],
        rows: &[Vec<Cell>],
        first: bool,
        last: bool,
    ) -> Answer<Vec<u8>> {
        use bindings::formatter::sli_pipe::plugin::tables;
        let column = |column: &Column| tables::Column {
            name: column.name.clone(),
            kind: match column.kind {
                ColumnKind::Text => tables::ColumnKind::Text,
                ColumnKind::Integer => tables::ColumnKind::Integer,
                ColumnKind::Number => tables::ColumnKind::Number,
                ColumnKind::Boolean => tables::ColumnKind::Boolean,
            },
        };
        let cell = |cell: &Cell| match cell {
            Cell::Missing => tables::Cell::Missing,
            Cell::Text(text) => tables::Cell::Text(text.clone()),
            Cell::Integer(n) => tables::Cell::Integer(*n),
            Cell::Number(n) => tables::Cell::Number(*n),
            Cell::Boolean(b) => tables::Cell::Boolean(*b),
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let instance = self.instantiate(&mut *store)?;
        store.data_mut().started = true;
        instance
            .sli_pipe_plugin_row_formatter()
            .call_format(store, options, &columns, &rows, first, last)
    }
}
