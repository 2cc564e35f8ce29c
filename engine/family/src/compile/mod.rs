//! The equation compiler: a flat family and a config.json to a plan.

mod builder;
mod call;
mod eval;
mod foreign;
mod frame;
mod lookup;
mod members;
mod paths;
mod plan;
mod points;
mod stack;
mod values;

use std::collections::HashMap;

use sli_config::Diagnostic;

use crate::check::Reached;
use crate::expr::{Expr, Parsed};
use crate::flat::Flat;
use crate::value::Val;

pub(crate) use builder::Builder;
pub(crate) use frame::{Frame, FrameId, Scope};
pub(crate) use paths::Path;
pub(crate) use plan::{compile, match_condition};

/// A diagnostic on its way up.
pub(crate) type R<T> = Result<T, Box<Diagnostic>>;

/// State of one compilation.
pub(crate) struct Compiler<'a> {
    pub(crate) family: &'a Flat,
    /// What its equations reach.
    reached: Option<&'a Reached>,
    /// config.json with `[defaults]` filled in.
    pub(crate) config: Val,
    /// Graphs being built: the last one is current, those below are around `experts`.
    builders: Vec<Builder>,
    /// Serial number of the next graph.
    serial: u32,
    /// Frames of the current graph.
    frames: Vec<Frame>,
    /// What is visible around the current graph.
    pub(crate) scope: Scope,
    /// Plan values that hold for the whole plan.
    plan_values: HashMap<String, Val>,
    /// Plan values of the current layer or stack.
    layer_values: HashMap<String, (Val, u8)>,
    /// What the evaluation in progress has looked at (`values::LAYER`, `values::GRAPH`).
    touched: u8,
    /// Values under way, to find circles.
    pending: Vec<String>,
}

impl<'a> Compiler<'a> {
    fn new(family: &'a Flat, config: &serde_json::Value) -> Compiler<'a> {
        Compiler {
            family,
            reached: None,
            config: Val::from_json(config),
            builders: Vec::new(),
            serial: 0,
            frames: Vec::new(),
            scope: Scope::default(),
            plan_values: HashMap::new(),
            layer_values: HashMap::new(),
            touched: 0,
            pending: Vec::new(),
        }
    }

    /// An error at a place of an equation, with the chain of blocks that led there.
    pub(crate) fn fail(
        &self,
        frame: FrameId,
        parsed: &Parsed,
        expr: &Expr,
        message: impl Into<String>,
    ) -> Box<Diagnostic> {
        let label = parsed.equation.label_at(expr.span.0, expr.span.1, "");
        let mut diagnostic = Diagnostic::error(message).primary(label);
        let chain = &self.frames[frame.0].chain;
        if !chain.is_empty() {
            diagnostic = diagnostic.note(format!("reached through {chain}"));
        }
        Box::new(diagnostic)
    }

    /// The evaluation in progress made a node: its value belongs to the current graph.
    pub(crate) fn touch_graph(&mut self) {
        self.touched |= values::GRAPH;
    }

    /// True if some equation reads the member `key` of a map, as `config.rope_scaling.alpha`.
    pub(crate) fn mentions_scaling(&self, key: &str) -> bool {
        self.reached.is_some_and(|reached| reached.members.contains(key))
    }

    /// The graph being built. Where none is (a condition that asks for a score bias), one that is thrown away.
    pub(crate) fn builder(&mut self) -> &mut Builder {
        if self.builders.is_empty() {
            self.serial += 1;
            self.builders.push(Builder::new(self.serial, None));
        }
        self.builders.last_mut().expect("there is one")
    }
}
