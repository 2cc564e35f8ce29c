//! {{title}}: counts the values of each point above a limit.

use serde::Deserialize;
use sli_pipe_plugin::reducer::{Block, Cell, ColumnKind, PointState, Reducer, Table, column};

/// The reducer.
pub struct MyReducer(Options);

sli_pipe_plugin::reducer!(MyReducer);

/// The stage's `with` table; `plugin.toml` has its schema.
#[derive(Deserialize)]
pub struct Options {
    #[serde(default)]
    above: f32,
}

/// What a step remembers is bytes; here one number.
fn count(state: &[u8]) -> u64 {
    state.try_into().map_or(0, u64::from_le_bytes)
}

impl Reducer for MyReducer {
    type Options = Options;

    fn new(options: Options) -> Result<MyReducer, String> {
        Ok(MyReducer(options))
    }

    /// Takes some rows of a point. Nothing else is remembered than what is returned.
    fn step(&self, state: Vec<u8>, block: Block) -> Result<Vec<u8>, String> {
        let above = block.values.iter().filter(|value| **value > self.0.above).count();
        Ok((count(&state) + above as u64).to_le_bytes().to_vec())
    }

    fn finish(&self, states: Vec<PointState>) -> Result<Table, String> {
        let row = |state: PointState| vec![Cell::Integer(count(&state.state) as i64), Cell::Text(state.point)];
        Ok(Table {
            columns: vec![column("count", ColumnKind::Integer), column("point", ColumnKind::Text)],
            rows: states.into_iter().map(row).collect(),
        })
    }
}
