//! Calls: blocks of the family, else functions of the engine.

use std::collections::HashMap;
use std::sync::Arc;

use sli_config::suggest;
use sli_model::{Graph, GraphInput, PairIndex};

use super::frame::{BlockCall, Sight};
use super::lookup::At;
use super::{Compiler, Frame, FrameId, Path, R};
use crate::expr::{Expr, Node, Parsed};
use crate::functions::{self, Call};
use crate::prune::prune;
use crate::value::Val;

/// How deep blocks may call each other.
const MAX_BLOCKS: usize = 48;

impl Compiler<'_> {
    /// A call in an equation.
    pub(super) fn call(&mut self, name: &str, args: &[Expr], at: At<'_>) -> R<Val> {
        let plan_only = self.frames[at.0.0].sight != Sight::Tensors;
        if self.family.blocks.contains_key(name) && !plan_only {
            return self.block_call(name, args, at);
        }
        if let Some(function) = functions::find(name) {
            let call = Call::new(self, function, args, at)?;
            return (function.run)(call);
        }
        let family = self.family;
        if let Some(function) = family.foreign.get(name).filter(|_| !plan_only) {
            return self.foreign_call(function, args, at);
        }
        let near = suggest(name, family.callable()).map(|n| format!("did you mean `{n}`?"));
        let mut error = self.fail(at.0, at.1, at.2, format!("there is no function or block `{name}`"));
        *error = error.help_opt(near);
        Err(error)
    }

    /// `name(x, 'module', {'arg': value})`.
    fn block_call(&mut self, name: &str, args: &[Expr], at: At<'_>) -> R<Val> {
        let (frame, parsed, expr) = at;
        let Some(first) = args.first() else {
            return Err(self.fail(
                frame,
                parsed,
                expr,
                format!("the block `{name}` needs its input: `{name}(x)`"),
            ));
        };
        let x = self.eval(frame, parsed, first)?;
        let mut module = String::new();
        let mut given = HashMap::new();
        for arg in &args[1..] {
            match &arg.node {
                Node::Map(entries) => given = self.block_args(name, entries, at)?,
                _ => match self.eval(frame, parsed, arg)? {
                    Val::Str(text) if module.is_empty() => module = self.fill(&text, (frame, parsed, arg))?,
                    other => {
                        let message = format!(
                            "a block is called as `{name}(x, 'module', {{'argument': value}})`; {} has no place there",
                            other.show()
                        );
                        return Err(self.fail(frame, parsed, arg, message));
                    }
                },
            }
        }
        self.run_block(name, x, &module, given, at)
    }

    fn block_args(&mut self, name: &str, entries: &[(String, Expr)], at: At<'_>) -> R<HashMap<String, Val>> {
        let declared = self.family.blocks[name].args.clone();
        let mut given = HashMap::new();
        for (key, value) in entries {
            if !declared.equations.contains_key(key) {
                let list: Vec<&str> = declared.equations.keys().map(String::as_str).collect();
                let mut error = self.fail(at.0, at.1, value, format!("the block `{name}` has no argument `{key}`"));
                let known = if list.is_empty() {
                    "it has none".to_owned()
                } else {
                    format!("it has `{}`", list.join("`, `"))
                };
                *error = error.help(format!("{known}; arguments are declared with `args` in [block.{name}]"));
                return Err(error);
            }
            given.insert(key.clone(), self.eval(at.0, at.1, value)?);
        }
        Ok(given)
    }

    /// Evaluates a block at a module below the caller's path; the result is its `out`.
    pub(crate) fn run_block(
        &mut self,
        name: &str,
        x: Val,
        module: &str,
        mut given: HashMap<String, Val>,
        at: At<'_>,
    ) -> R<Val> {
        let block = self.family.blocks[name].clone();
        let caller = &self.frames[at.0.0];
        let link = if module.is_empty() {
            name.to_owned()
        } else {
            format!("{name}({module})")
        };
        let chain = if caller.chain.is_empty() {
            link
        } else {
            format!("{} > {link}", caller.chain)
        };
        if chain.matches(" > ").count() > MAX_BLOCKS {
            return Err(self.fail(
                at.0,
                at.1,
                at.2,
                format!("the blocks call each other more than {MAX_BLOCKS} deep"),
            ));
        }
        let path = if module.is_empty() {
            caller.path.clone()
        } else {
            caller.path.join(module)
        };
        let hidden = caller.hidden;
        let equation = caller.pending.last().cloned().unwrap_or_default();
        given.insert("x".to_owned(), x);
        let mut frame = Frame::new(block.table.clone(), Sight::Tensors, path, chain);
        frame.block = Some(block);
        frame.args = given;
        frame.hidden = hidden;
        let id = self.add_frame(frame);
        let call = BlockCall {
            block: name.to_owned(),
            module: module.to_owned(),
            equation,
            frame: id,
        };
        self.frames[at.0.0].calls.push(call);
        self.out(id, at)
    }

    /// The `out` of a frame's table.
    pub(super) fn out(&mut self, frame: FrameId, at: At<'_>) -> R<Val> {
        if !self.frames[frame.0].table.equations.contains_key("out") {
            let label = self.frames[frame.0].table.label.clone();
            return Err(self.fail(at.0, at.1, at.2, format!("[{label}] has no equation `out`")));
        }
        self.equation(frame, "out", at)
    }

    /// Fills `{value}` in a module name or prefix. `{e}` and `{n}` belong to `experts`, `repeat`, `params`.
    pub(crate) fn fill(&mut self, template: &str, at: At<'_>) -> R<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}') else {
                return Err(self.fail(at.0, at.1, at.2, format!("`{template}` has a `{{` without `}}`")));
            };
            let name = &rest[open + 1..open + close];
            filled.push_str(&rest[..open]);
            if name == "e" || name == "n" {
                filled.push_str(&rest[open..=open + close]);
            } else {
                match self.template_value(name, at)? {
                    Val::Str(text) => filled.push_str(&text),
                    other => match other.integer() {
                        Some(i) => filled.push_str(&i.to_string()),
                        None => {
                            let message = format!(
                                "`{{{name}}}` in a name must be an integer or a string, not {}",
                                other.show()
                            );
                            return Err(self.fail(at.0, at.1, at.2, message));
                        }
                    },
                }
            }
            rest = &rest[open + close + 1..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn template_value(&mut self, name: &str, at: At<'_>) -> R<Val> {
        let (frame, parsed, expr) = at;
        let mut parts = name.split('.');
        let head = Expr {
            node: Node::Name(parts.next().unwrap_or_default().to_owned()),
            span: expr.span,
        };
        let path = parts.fold(head, |base, field| Expr {
            span: base.span,
            node: Node::Member(Box::new(base), field.to_owned()),
        });
        self.present(frame, parsed, &path)
    }

    /// The path of a module named in an equation.
    pub(crate) fn module_path(&mut self, name: &str, at: At<'_>) -> R<Path> {
        let filled = self.fill(name, at)?;
        Ok(self.frames[at.0.0].path.join(&filled))
    }

    /// Evaluates a block as the body of `experts`, in a graph of its own.
    pub(crate) fn body(&mut self, block: &str, module: &str, given: HashMap<String, Val>, at: At<'_>) -> R<Graph> {
        let per_expert = module.contains("{e}");
        let input = |compiler: &mut Self| compiler.input(GraphInput::X, at);
        self.inner(Some(per_expert), input, (block, module, given), at)
    }

    /// Evaluates a block as the body of `pair_bias`: its x are the indices.
    pub(crate) fn pair_body(&mut self, block: &str, given: HashMap<String, Val>, at: At<'_>) -> R<Graph> {
        let input = |compiler: &mut Self| {
            let member = |index: PairIndex| (index.name().to_owned(), compiler.input(GraphInput::Pair(index), at));
            let indices = [PairIndex::Query, PairIndex::Key, PairIndex::Head];
            Val::Map(Arc::new(indices.map(member).into_iter().collect()))
        };
        self.inner(None, input, (block, "", given), at).map(prune)
    }

    /// Evaluates a block in a graph of its own, which has one output, `out`.
    fn inner(
        &mut self,
        expert: Option<bool>,
        input: impl FnOnce(&mut Self) -> Val,
        (block, module, given): (&str, &str, HashMap<String, Val>),
        at: At<'_>,
    ) -> R<Graph> {
        self.serial += 1;
        self.builders.push(super::Builder::new(self.serial, expert));
        let hidden = std::mem::replace(&mut self.frames[at.0.0].hidden, true);
        let x = input(self);
        let result = self.run_block(block, x, module, given, at);
        self.frames[at.0.0].hidden = hidden;
        self.frames[at.0.0].calls.pop();
        let out = match result {
            Ok(Val::Tensor(serial, value)) => self.own(serial, value, at),
            Ok(other) => {
                let of = if expert.is_some() {
                    "an expert"
                } else {
                    "a block of `pair_bias`"
                };
                let message = format!("the `out` of {of} is a tensor, not {}", other.show());
                Err(self.fail(at.0, at.1, at.2, message))
            }
            Err(error) => Err(error),
        };
        let mut graph = self.builders.pop().expect("pushed above").graph;
        graph.outputs.push(("out".to_owned(), out?));
        Ok(graph)
    }
}

impl Compiler<'_> {
    /// The text of a parsed expression.
    pub(crate) fn text<'p>(&self, parsed: &'p Parsed, expr: &Expr) -> &'p str {
        parsed.equation.text.get(expr.span.0..expr.span.1).unwrap_or("")
    }
}
