//! One call of a function: its arguments, checked and read one by one.

use std::collections::HashMap;

use sli_config::{Diagnostic, suggest};
use sli_model::{Num, Op, Param, ParamForm, Value};

use super::Function;
use crate::compile::{Compiler, FrameId, Path, R};
use crate::expr::{Expr, Node, Parsed};
use crate::value::Val;

/// A call under way.
pub(crate) struct Call<'c, 'a, 'p> {
    pub(crate) compiler: &'c mut Compiler<'a>,
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<&'p Expr>,
    /// Arguments already evaluated: a block called in one runs once.
    vals: HashMap<usize, Val>,
    options: Vec<(&'p str, &'p Expr)>,
    /// Options given as a plan value, and the argument that gives them.
    shared: Option<(std::sync::Arc<indexmap::IndexMap<String, Val>>, &'p Expr)>,
    pub(crate) frame: FrameId,
    pub(crate) parsed: &'p Parsed,
    pub(crate) expr: &'p Expr,
}

impl<'c, 'a, 'p> Call<'c, 'a, 'p> {
    /// Separates options from arguments and checks both against the signature.
    pub(crate) fn new(
        compiler: &'c mut Compiler<'a>,
        function: &'static Function,
        args: &'p [Expr],
        at: (FrameId, &'p Parsed, &'p Expr),
    ) -> R<Self> {
        let mut call = Call {
            compiler,
            function,
            args: args.iter().collect(),
            vals: HashMap::new(),
            options: Vec::new(),
            shared: None,
            frame: at.0,
            parsed: at.1,
            expr: at.2,
        };
        if let (
            Some(Expr {
                node: Node::Map(entries),
                ..
            }),
            false,
        ) = (args.last(), function.options.is_empty())
        {
            call.args.pop();
            call.options = entries.iter().map(|(k, v)| (k.as_str(), v)).collect();
        }
        call.take_shared_options()?;
        let given = call.args.len();
        if !(function.arity.0..=function.arity.1).contains(&given) {
            let plural = if given == 1 { "" } else { "s" };
            return Err(call.fail(format!("`{}` does not take {given} argument{plural}", function.name)));
        }
        let stated = call.options.iter().map(|(name, value)| (*name, *value));
        let shared = call
            .shared
            .iter()
            .flat_map(|(map, expr)| map.keys().map(|name| (name.as_str(), *expr)));
        for (name, value) in stated.chain(shared) {
            if !function.options.contains(&name) {
                let near = suggest(name, function.options.iter().copied()).map(|n| format!("did you mean `{n}`?"));
                let mut error = call.fail_at(value, format!("`{}` has no option `{name}`", function.name));
                *error = error
                    .help_opt(near)
                    .help(format!("its options are `{}`", function.options.join("`, `")));
                return Err(error);
            }
        }
        Ok(call)
    }

    /// One argument too many is a map of options that several calls share, as a value of `[values]`.
    fn take_shared_options(&mut self) -> R<()> {
        let most = self.function.arity.1;
        if self.function.options.is_empty() || !self.options.is_empty() || self.args.len() != most + 1 {
            return Ok(());
        }
        if let Val::Map(map) = self.val(most)? {
            let expr = self.args[most];
            self.args.pop();
            self.shared = Some((map, expr));
        }
        Ok(())
    }

    /// An error at the whole call, with the signature.
    pub(crate) fn fail(&self, message: impl Into<String>) -> Box<Diagnostic> {
        self.fail_at(self.expr, message)
    }

    /// An error at one argument.
    pub(crate) fn fail_at(&self, expr: &Expr, message: impl Into<String>) -> Box<Diagnostic> {
        let error = self.compiler.fail(self.frame, self.parsed, expr, message);
        Box::new(error.help(format!("it is called as `{}`", self.function.signature)))
    }

    fn wrong(&self, expr: &Expr, wanted: &str, found: &Val) -> Box<Diagnostic> {
        let text = self.compiler.text(self.parsed, expr);
        self.fail_at(
            expr,
            format!(
                "`{}` wants {wanted} here; `{text}` is {}",
                self.function.name,
                found.show()
            ),
        )
    }

    /// Number of positional arguments.
    pub(crate) fn count(&self) -> usize {
        self.args.len()
    }

    /// The k-th argument.
    pub(crate) fn val(&mut self, k: usize) -> R<Val> {
        if let Some(value) = self.vals.get(&k) {
            return Ok(value.clone());
        }
        let value = self.compiler.eval(self.frame, self.parsed, self.args[k])?;
        self.vals.insert(k, value.clone());
        Ok(value)
    }

    /// The k-th argument, null if it is not given.
    pub(crate) fn val_or_null(&mut self, k: usize) -> R<Val> {
        if k < self.args.len() {
            self.val(k)
        } else {
            Ok(Val::Null)
        }
    }

    /// A tensor (or a number, as a constant).
    pub(crate) fn tensor(&mut self, k: usize) -> R<Value> {
        let value = self.val(k)?;
        self.as_tensor(&value, self.args[k])
    }

    /// A value as a tensor of the current graph.
    pub(crate) fn as_tensor(&mut self, value: &Val, expr: &Expr) -> R<Value> {
        match value {
            Val::Tensor(serial, value) => self.compiler.own(*serial, *value, (self.frame, self.parsed, expr)),
            Val::Int(_) | Val::Float(_) => self.compiler.operand(value, (self.frame, self.parsed, expr)),
            other => Err(self.wrong(expr, "a tensor", other)),
        }
    }

    /// A score bias; null gives `None`.
    pub(crate) fn as_bias(&mut self, value: &Val, expr: &Expr) -> R<Option<Value>> {
        match value {
            Val::Null => Ok(None),
            Val::Bias(serial, value) => self
                .compiler
                .own(*serial, *value, (self.frame, self.parsed, expr))
                .map(Some),
            other => Err(self.wrong(expr, "a score bias", other)),
        }
    }

    /// A number.
    pub(crate) fn number(&mut self, k: usize) -> R<f64> {
        let value = self.val(k)?;
        value
            .number()
            .ok_or_else(|| self.wrong(self.args[k], "a number", &value))
    }

    /// A number, or a default if the argument is not given or null.
    pub(crate) fn number_or(&mut self, k: usize, default: f64) -> R<f64> {
        if k < self.args.len() && !matches!(self.val(k)?, Val::Null) {
            self.number(k)
        } else {
            Ok(default)
        }
    }

    /// An integer.
    pub(crate) fn int(&mut self, k: usize) -> R<i64> {
        let value = self.val(k)?;
        value
            .integer()
            .ok_or_else(|| self.wrong(self.args[k], "an integer", &value))
    }

    /// A size: an integer of at least 1.
    pub(crate) fn size(&mut self, k: usize) -> R<u64> {
        let value = self.val(k)?;
        self.as_size(&value, self.args[k])
    }

    /// A value as a size.
    pub(crate) fn as_size(&self, value: &Val, expr: &Expr) -> R<u64> {
        match value.integer() {
            Some(n) if n >= 1 => Ok(n as u64),
            _ => Err(self.wrong(expr, "a whole number of at least 1", value)),
        }
    }

    /// A string.
    pub(crate) fn string(&mut self, k: usize) -> R<std::sync::Arc<str>> {
        match self.val(k)? {
            Val::Str(text) => Ok(text),
            other => Err(self.wrong(self.args[k], "a string", &other)),
        }
    }

    /// A list.
    pub(crate) fn list(&mut self, k: usize) -> R<std::sync::Arc<Vec<Val>>> {
        match self.val(k)? {
            Val::List(list) => Ok(list),
            other => Err(self.wrong(self.args[k], "a list", &other)),
        }
    }

    /// Sizes: a list of whole numbers.
    pub(crate) fn sizes(&mut self, k: usize) -> R<Vec<u64>> {
        let list = self.list(k)?;
        list.iter().map(|v| self.as_size(v, self.args[k])).collect()
    }

    /// An option; `None` if it is not given or null.
    pub(crate) fn option(&mut self, name: &str) -> R<Option<(Val, &'p Expr)>> {
        debug_assert!(self.function.options.contains(&name));
        let Some((_, expr)) = self.options.iter().find(|o| o.0 == name).copied() else {
            let shared = self
                .shared
                .as_ref()
                .and_then(|(map, expr)| Some((map.get(name)?.clone(), *expr)));
            return Ok(shared.filter(|(value, _)| !matches!(value, Val::Null)));
        };
        match self.compiler.eval(self.frame, self.parsed, expr)? {
            Val::Null => Ok(None),
            value => Ok(Some((value, expr))),
        }
    }

    /// A number option.
    pub(crate) fn number_option(&mut self, name: &str) -> R<Option<f64>> {
        let Some((value, expr)) = self.option(name)? else {
            return Ok(None);
        };
        value
            .number()
            .map(Some)
            .ok_or_else(|| self.wrong(expr, "a number", &value))
    }

    /// An option that is a whole number of at least 1.
    pub(crate) fn size_option(&mut self, name: &str) -> R<Option<u64>> {
        let Some((value, expr)) = self.option(name)? else {
            return Ok(None);
        };
        self.as_size(&value, expr).map(Some)
    }

    /// An option that is a whole number, 0 included.
    pub(crate) fn int_option(&mut self, name: &str) -> R<Option<i64>> {
        let Some((value, expr)) = self.option(name)? else {
            return Ok(None);
        };
        value
            .integer()
            .map(Some)
            .ok_or_else(|| self.wrong(expr, "an integer", &value))
    }

    /// A true or false option, false if not given.
    pub(crate) fn flag(&mut self, name: &str) -> R<bool> {
        match self.option(name)? {
            None => Ok(false),
            Some((Val::Bool(b), _)) => Ok(b),
            Some((other, expr)) => Err(self.wrong(expr, "true or false", &other)),
        }
    }

    /// A string option.
    pub(crate) fn string_option(&mut self, name: &str) -> R<Option<std::sync::Arc<str>>> {
        match self.option(name)? {
            None => Ok(None),
            Some((Val::Str(text), _)) => Ok(Some(text)),
            Some((other, expr)) => Err(self.wrong(expr, "a string", &other)),
        }
    }

    /// A tensor option.
    pub(crate) fn tensor_option(&mut self, name: &str) -> R<Option<Value>> {
        let Some((value, expr)) = self.option(name)? else {
            return Ok(None);
        };
        self.as_tensor(&value, expr).map(Some)
    }

    /// The path of the module that the k-th argument names.
    pub(crate) fn module(&mut self, k: usize) -> R<Path> {
        let name = self.string(k)?;
        self.compiler
            .module_path(&name, (self.frame, self.parsed, self.args[k]))
    }

    /// A parameter of the checkpoint.
    pub(crate) fn param(&mut self, path: Path, shape: Option<Vec<u64>>, optional: bool) -> Value {
        let form = match self.compiler.builder().expert {
            None => ParamForm::One,
            Some(true) if path.text.contains("{e}") => ParamForm::Expert,
            Some(true) => ParamForm::One,
            Some(false) => ParamForm::Slice,
        };
        self.param_as(path, shape, optional, form)
    }

    /// A parameter stored in a given form.
    pub(crate) fn param_as(&mut self, path: Path, shape: Option<Vec<u64>>, optional: bool, form: ParamForm) -> Value {
        let origin = self.compiler.origin(self.frame, self.parsed, self.expr);
        self.compiler.builder().param(Param {
            name: path.param(),
            shape,
            optional,
            form,
            origin,
        })
    }

    /// `<module>.weight` or the tensor itself; and the module's path if it was named.
    pub(crate) fn weight(&mut self, k: usize) -> R<(Value, Option<Path>)> {
        match self.val(k)? {
            Val::Str(_) => {
                let path = self.module(k)?;
                Ok((self.param(path.join("weight"), None, false), Some(path)))
            }
            Val::Tensor(serial, value) => {
                let value = self
                    .compiler
                    .own(serial, value, (self.frame, self.parsed, self.args[k]))?;
                Ok((value, None))
            }
            other => Err(self.wrong(self.args[k], "the name of a module or a tensor", &other)),
        }
    }

    /// The option `bias`: a tensor, `false` for none, else `<module>.bias` where the checkpoint has it.
    pub(crate) fn bias(&mut self, module: Option<Path>) -> R<Option<Value>> {
        match self.option("bias")? {
            None | Some((Val::Bool(true), _)) => Ok(module.map(|path| self.param(path.join("bias"), None, true))),
            Some((Val::Bool(false), _)) => Ok(None),
            Some((value, expr)) => self.as_tensor(&value, expr).map(Some),
        }
    }

    /// A node of the graph.
    pub(crate) fn push(&mut self, op: Op, inputs: Vec<Option<Value>>) -> Val {
        self.compiler.node(op, inputs, (self.frame, self.parsed, self.expr))
    }

    /// A node that is a score bias.
    pub(crate) fn push_bias(&mut self, op: Op, inputs: Vec<Option<Value>>) -> Val {
        match self.push(op, inputs) {
            Val::Tensor(serial, value) => Val::Bias(serial, value),
            other => other,
        }
    }

    /// The named results of a node.
    pub(crate) fn outputs(&mut self, op: Op, inputs: Vec<Option<Value>>, names: &[&str]) -> Val {
        let Val::Tensor(serial, value) = self.push(op, inputs) else {
            return Val::Null;
        };
        let members = names.iter().enumerate().map(|(out, name)| {
            (
                (*name).to_owned(),
                Val::Tensor(
                    serial,
                    Value {
                        node: value.node,
                        out: out as u16,
                    },
                ),
            )
        });
        Val::Map(std::sync::Arc::new(members.collect()))
    }

    /// Arguments for a block given as the option `args`.
    pub(crate) fn block_args(&mut self) -> R<HashMap<String, Val>> {
        match self.option("args")? {
            None => Ok(HashMap::new()),
            Some((Val::Map(map), _)) => Ok(map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            Some((other, expr)) => Err(self.wrong(expr, "a map", &other)),
        }
    }
}

/// An optional number of a plan.
pub(crate) fn num(value: Option<f64>) -> Option<Num> {
    value.map(Num)
}
