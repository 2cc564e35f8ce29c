//! Calls of functions that plugins add.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;
use sli_config::Diagnostic;
use sli_model::{Code, Foreign, Op, Value};

use super::lookup::At;
use super::{Compiler, R};
use crate::expr::{Expr, Node};
use crate::foreign::ForeignFunction;
use crate::value::Val;

impl Compiler<'_> {
    /// `name(tensor or null, …, {'option': value})`.
    pub(super) fn foreign_call(&mut self, function: &ForeignFunction, args: &[Expr], at: At<'_>) -> R<Val> {
        let (options, args) = match args.split_last() {
            Some((last, rest)) if matches!(last.node, Node::Map(_)) => (Some(last), rest),
            _ => (None, args),
        };
        if args.len() != function.inputs.len() {
            let (wanted, given) = (function.inputs.len(), args.len());
            let message = format!("`{}` takes {wanted} tensors, not {given}", function.name);
            return Err(self.wrong_call(function, message, at));
        }
        if self.builders.len() > 1 {
            let message = format!(
                "`{}` is a plugin's function; a block of `experts` or `pair_bias` cannot call it",
                function.name
            );
            return Err(self.wrong_call(function, message, at));
        }
        let mut inputs = Vec::with_capacity(args.len());
        for (arg, (name, optional)) in args.iter().zip(&function.inputs) {
            let here = (at.0, at.1, arg);
            inputs.push(match self.eval(at.0, at.1, arg)? {
                Val::Null if *optional => None,
                Val::Tensor(serial, value) => Some(self.own(serial, value, here)?),
                other => {
                    let message = format!("`{}` wants a tensor as `{name}`, not {}", function.name, other.show());
                    return Err(self.wrong_call(function, message, here));
                }
            });
        }
        let options = self.foreign_options(function, options, at)?;
        let op = Op::Foreign(Box::new(Foreign {
            plugin: function.plugin.clone(),
            function: function.name.clone(),
            options,
            outputs: function.outputs.len() as u16,
            digest: function.digest.clone(),
            code: Code(Some(Arc::clone(&function.code))),
        }));
        Ok(match (self.node(op, inputs, at), function.outputs.as_slice()) {
            (Val::Tensor(serial, value), names) if names.len() > 1 => {
                let result = |out| {
                    let node = value.node;
                    Val::Tensor(serial, Value { node, out })
                };
                let members = names.iter().zip(0..).map(|(name, out)| (name.clone(), result(out)));
                Val::Map(Arc::new(members.collect::<IndexMap<_, _>>()))
            }
            (value, _) => value,
        })
    }

    /// The options of a call as JSON that the function accepts.
    fn foreign_options(&mut self, function: &ForeignFunction, options: Option<&Expr>, at: At<'_>) -> R<String> {
        let (value, here) = match options {
            Some(expr) => (self.eval(at.0, at.1, expr)?, (at.0, at.1, expr)),
            None => (Val::Map(Arc::default()), at),
        };
        let Some(json) = value.to_json() else {
            let message = format!(
                "the options of `{}` are plan values; a tensor cannot be one",
                function.name
            );
            return Err(self.wrong_call(function, message, here));
        };
        let text = json.to_string();
        let wrong = |why: String| format!("the options of `{}` do not fit: {why}", function.name);
        function
            .code
            .check_options(&text)
            .map_err(|why| self.wrong_call(function, wrong(why), here))?;
        Ok(text)
    }

    fn wrong_call(&self, function: &ForeignFunction, message: String, at: At<'_>) -> Box<Diagnostic> {
        let error = self.fail(at.0, at.1, at.2, message);
        let plugin = &function.plugin;
        Box::new(error.help(format!(
            "the plugin `{plugin}` declares it as `{}`",
            function.signature()
        )))
    }
}

impl Val {
    /// The value as JSON; `None` if a tensor is in it. Ropes have no such form either.
    fn to_json(&self) -> Option<Json> {
        Some(match self {
            Val::Null => Json::Null,
            Val::Bool(b) => Json::from(*b),
            Val::Int(i) => Json::from(*i),
            Val::Float(x) => serde_json::Number::from_f64(*x).map(Json::Number)?,
            Val::Str(text) => Json::from(&**text),
            Val::List(list) => Json::Array(list.iter().map(Val::to_json).collect::<Option<_>>()?),
            Val::Map(map) => {
                let entries = map.iter().map(|(key, value)| Some((key.clone(), value.to_json()?)));
                Json::Object(entries.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}
