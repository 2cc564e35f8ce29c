//! A place in the tree of modules while a graph is built: weights by name, values from outside, names of points.

use std::rc::Rc;

use super::text::{Text, json};

use super::graph::{Op, Sheet};
use super::points::Frame;
use super::{Handle, StackValue, Tensor};

/// A path of names of tensors: relative to the root, or to the top of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    file: bool,
    pub(crate) text: String,
}

impl Path {
    pub(crate) fn root() -> Path {
        Path {
            file: false,
            text: String::new(),
        }
    }

    /// A name as a descriptor writes it: relative, `.`, `~from.root`, `/from.the.top`.
    pub(crate) fn join(&self, name: &str) -> Path {
        let from = |file: bool, rest: &str| Path {
            file,
            text: rest.trim_matches('.').to_owned(),
        };
        if let Some(rest) = name.strip_prefix('/') {
            return from(true, rest);
        }
        if let Some(rest) = name.strip_prefix('~') {
            return from(false, rest);
        }
        let name = name.trim_matches('.');
        let text = match (self.text.as_str(), name) {
            (path, "") => path.to_owned(),
            ("", name) => name.to_owned(),
            (path, name) => format!("{path}.{name}"),
        };
        Path { file: self.file, text }
    }

    pub(crate) fn json(&self) -> Text {
        json!({"base": if self.file { "file" } else { "root" }, "path": self.text})
    }
}

/// A module of the model in the graph being built. Names of weights are relative to its path: `"q_proj"`; `"."` is the
/// path itself, `"~name"` counts from the root, `"/name"` from the top of the file.
#[derive(Clone)]
pub struct Module<'g> {
    pub(crate) sheet: &'g Sheet,
    pub(crate) path: Path,
    pub(crate) frame: Rc<Frame>,
}

impl<'g> Module<'g> {
    pub(crate) fn new(sheet: &'g Sheet, path: Path, frame: Rc<Frame>) -> Module<'g> {
        Module { sheet, path, frame }
    }

    /// The module below with this name. Points named in it stay those of the block around.
    pub fn at(&self, name: &str) -> Module<'g> {
        Module {
            path: self.path.join(name),
            ..self.clone()
        }
    }

    /// Runs a block at a module below: its result is the point `<block>`, and points named inside are `<block>.<name>`.
    /// A block that is called with several modules shows them: `norm(input_layernorm)`; calls with the same module are
    /// numbered in their order, `rest(.)@1`.
    pub fn block(&self, block: &str, module: &str, body: impl FnOnce(&Module<'g>) -> Tensor<'g>) -> Tensor<'g> {
        let inner = self.called(block, module);
        let out = body(&inner);
        inner.frame.set_out(out.on(self.sheet));
        out
    }

    /// As [`Module::block`] for a block whose result is not one tensor; its parts are points where `body` names them.
    pub fn group<T>(&self, block: &str, module: &str, body: impl FnOnce(&Module<'g>) -> T) -> T {
        body(&self.called(block, module))
    }

    fn called(&self, block: &str, module: &str) -> Module<'g> {
        Module {
            sheet: self.sheet,
            path: self.path.join(module),
            frame: self.frame.call(block, module),
        }
    }

    /// Names a value, so that stages can ask for it: `decoder.3.attention.q`. Gives the value back.
    pub fn point(&self, name: &str, value: Tensor<'g>) -> Tensor<'g> {
        self.frame.name(name, value.on(self.sheet));
        value
    }

    /// As [`Module::point`] for a value that calls blocks: calls with the same module are numbered in the order of these
    /// names, as a descriptor numbers them.
    pub fn equation(&self, name: &str, body: impl FnOnce() -> Tensor<'g>) -> Tensor<'g> {
        let value = self.frame.within(name, body);
        self.point(name, value)
    }

    pub(crate) fn source(&self, op: Text) -> Tensor<'g> {
        Tensor {
            sheet: self.sheet,
            value: self.sheet.push(op, Vec::new()),
        }
    }

    pub(crate) fn input(&self, input: Text) -> Tensor<'g> {
        self.source(json!({ "input": input }))
    }

    /// Token ids of the stack's token set, `[N]`.
    pub fn tokens(&self) -> Tensor<'g> {
        self.input(json!("tokens"))
    }

    /// Position of each token in its sequence, `[N]`.
    pub fn positions(&self) -> Tensor<'g> {
        self.input(json!("positions"))
    }

    /// Token type ids of the rows, zeros where they have none, `[N]`.
    pub fn token_types(&self) -> Tensor<'g> {
        self.input(json!("token_types"))
    }

    /// Another field of the rows, which [`Plan::input`](super::Plan::input) declares.
    pub fn field(&self, name: &str) -> Tensor<'g> {
        self.input(json!({ "field": name }))
    }

    /// A value of a finished stack: cross-attention reads `m.stack("encoder", StackValue::Final)`.
    pub fn stack(&self, name: &str, value: StackValue) -> Tensor<'g> {
        self.input(json!({"stack": {"stack": name, "value": value.json()}}))
    }

    /// `[n]` floats: 0 .. n-1.
    pub fn range(&self, n: u64) -> Tensor<'g> {
        self.source(json!({ "range": n }))
    }

    /// `[n]` floats: these numbers.
    pub fn numbers(&self, numbers: &[f64]) -> Tensor<'g> {
        self.source(json!({ "numbers": numbers }))
    }

    /// `[2L + 1]` integers -L .. L, L the longest sequence of the batch.
    pub fn distances(&self) -> Tensor<'g> {
        self.source(json!("distances"))
    }

    /// Names a value that is computed once per stack and that its layers read. Where a stack is entered.
    pub fn put_let<H: Handle<'g>>(&self, name: &str, value: H) {
        self.sheet.output(format!("let.{name}"), value.value());
    }

    /// A value that was named by [`Module::put_let`] where the stack was entered.
    pub fn get_let<H: Handle<'g>>(&self, name: &str) -> H {
        H::of(self.sheet, self.sheet.push(Op::Let(name.to_owned()), Vec::new()))
    }

    /// Hands a value on from layer to layer; before layer 0 where the stack is entered.
    pub fn put_carry<H: Handle<'g>>(&self, name: &str, value: H) {
        self.sheet.output(format!("carry.{name}"), value.value());
    }

    /// The value that a layer before handed on; `None` if none has yet.
    pub fn get_carry<H: Handle<'g>>(&self, name: &str) -> Option<H> {
        let carried = self.sheet.carried.contains(name);
        carried.then(|| H::of(self.sheet, self.input(json!({ "carry": name })).value))
    }

    /// Names a head value: `final`, `logits`. In the head.
    pub fn output(&self, name: &str, value: Tensor<'g>) -> Tensor<'g> {
        self.sheet.output(name.to_owned(), value.on(self.sheet));
        value
    }
}
