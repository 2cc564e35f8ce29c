//! A stack while it is built: what enters, its layers, what follows the last.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::text::json;

use super::graph::{Graph, Sheet};
use super::layers::{LayerPlan, StackPlan};
use super::module::Path;
use super::points::Frame;
use super::{Module, Tensor};

/// A run of layers under construction.
pub struct Stack {
    name: String,
    tokens: String,
    first: bool,
    enter: Option<Graph>,
    layers: Vec<LayerPlan>,
    last: Option<Graph>,
    carried: BTreeSet<String>,
}

impl Stack {
    pub(crate) fn new(name: &str, first: bool) -> Stack {
        Stack {
            name: name.to_owned(),
            tokens: "input_ids".to_owned(),
            first,
            enter: None,
            layers: Vec::new(),
            last: None,
            carried: BTreeSet::new(),
        }
    }

    /// The row field with the ids of this stack's token set; `input_ids` if this is never called.
    pub fn tokens(&mut self, field: &str) {
        self.tokens = field.to_owned();
    }

    /// What enters: the closure's result. [`Module::put_let`] and [`Module::put_carry`] name what layers read.
    pub fn enter<F>(&mut self, build: F)
    where
        F: for<'g> FnOnce(&Module<'g>) -> Tensor<'g>,
    {
        let sheet = Sheet::new(None, BTreeSet::new());
        let x = {
            let module = Module::new(&sheet, Path::root(), Rc::new(Frame::default()));
            build(&module).on(&sheet)
        };
        let graph = sheet.finish(vec![("x".to_owned(), x)], Vec::new());
        self.note_carried(&graph);
        self.enter = Some(graph);
    }

    /// As [`Stack::enter`] for a stack after the first: the closure also gets the output of the stack before.
    ///
    /// # Panics
    /// This is the first stack.
    pub fn enter_after<F>(&mut self, build: F)
    where
        F: for<'g> FnOnce(&Module<'g>, Tensor<'g>) -> Tensor<'g>,
    {
        assert!(!self.first, "there is no stack before the first");
        self.enter(|m| build(m, m.input(json!("x"))));
    }

    /// Adds a layer: its class, the path of its modules, and its equations, from the residual stream to the next.
    pub fn layer<F>(&mut self, class: &str, prefix: &str, build: F)
    where
        F: for<'g> FnOnce(&Module<'g>, Tensor<'g>) -> Tensor<'g>,
    {
        let sheet = Sheet::new(None, self.carried.clone());
        let frame = Rc::new(Frame::default());
        let out = {
            let module = Module::new(&sheet, Path::root().join(prefix), frame.clone());
            build(&module, module.input(json!("x"))).on(&sheet)
        };
        let graph = sheet.finish(vec![("out".to_owned(), out)], frame.points()).prune();
        self.note_carried(&graph);
        self.layers.push(LayerPlan {
            class: class.to_owned(),
            graph,
        });
    }

    /// What follows the last layer: the point `<stack>.final`.
    pub fn last<F>(&mut self, build: F)
    where
        F: for<'g> FnOnce(&Module<'g>, Tensor<'g>) -> Tensor<'g>,
    {
        let sheet = Sheet::new(None, self.carried.clone());
        let out = {
            let module = Module::new(&sheet, Path::root(), Rc::new(Frame::default()));
            build(&module, module.input(json!("x"))).on(&sheet)
        };
        self.last = Some(sheet.finish(vec![("final".to_owned(), out)], Vec::new()).prune());
    }

    fn note_carried(&mut self, graph: &Graph) {
        let names = graph.outputs.iter().filter_map(|(name, _)| name.strip_prefix("carry."));
        self.carried.extend(names.map(str::to_owned));
    }

    pub(crate) fn finish(self) -> StackPlan {
        StackPlan {
            enter: self
                .enter
                .unwrap_or_else(|| panic!("nothing enters the stack `{}`", self.name)),
            name: self.name,
            tokens: self.tokens,
            layers: self.layers,
            last: self.last,
        }
    }
}
