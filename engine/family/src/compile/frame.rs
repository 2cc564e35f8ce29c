//! Frames: one evaluation of one table of equations; and what is visible around a graph.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::Path;
use crate::flat::{Block, Table};
use crate::value::Val;

/// Index of a frame in the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameId(pub(crate) usize);

/// Which names beyond its own a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Tensors: layers, blocks, embed, head.
    Tensors,
    /// Plan values only: `[values]`, `count`, `when`, `prefix`.
    Plan,
    /// `config` only: `[match].when`.
    Config,
}

/// One evaluation of a table.
pub(crate) struct Frame {
    pub(crate) table: Arc<Table>,
    /// The block, for defaults of its arguments.
    pub(crate) block: Option<Block>,
    /// `x` and the arguments given.
    pub(crate) args: HashMap<String, Val>,
    pub(crate) path: Path,
    /// `decoder.1 > attention(self_attn) > qkv`.
    pub(crate) chain: String,
    pub(crate) sight: Sight,
    /// Equations already evaluated.
    pub(crate) memo: IndexMap<String, Val>,
    /// Equations under way, to find circles; the last one is being evaluated.
    pub(crate) pending: Vec<String>,
    /// Block calls made, in order.
    pub(crate) calls: Vec<BlockCall>,
    /// A `block` of `experts`: its values are no points.
    pub(crate) hidden: bool,
}

/// A call of a block, for the names of points.
pub(crate) struct BlockCall {
    pub(crate) block: String,
    pub(crate) module: String,
    /// The equation in which the call stands.
    pub(crate) equation: String,
    pub(crate) frame: FrameId,
}

impl Frame {
    pub(crate) fn new(table: Arc<Table>, sight: Sight, path: Path, chain: String) -> Frame {
        Frame {
            table,
            block: None,
            args: HashMap::new(),
            path,
            chain,
            sight,
            memo: IndexMap::new(),
            pending: Vec::new(),
            calls: Vec::new(),
            hidden: false,
        }
    }
}

/// What is visible around the graph being built.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    /// Name of the stack.
    pub(crate) stack: Option<Arc<str>>,
    /// Index and number of layers, inside layers.
    pub(crate) layer: Option<(i64, i64)>,
    /// `let` values (leaves are inputs of the graph).
    pub(crate) lets: IndexMap<String, Val>,
    /// Values carried from layer to layer.
    pub(crate) carry: IndexMap<String, Val>,
    /// The equations of `[embed]` are visible.
    pub(crate) embed: bool,
    /// Frame of `[embed]` in this graph, once asked for.
    pub(crate) embed_frame: Option<FrameId>,
    /// Frame of the `let` equations, while the graph that enters a stack is built.
    pub(crate) let_frame: Option<FrameId>,
    /// Stacks that have run.
    pub(crate) finished: Vec<Arc<str>>,
    /// Stacks that are switched off.
    pub(crate) off: Vec<Arc<str>>,
}
